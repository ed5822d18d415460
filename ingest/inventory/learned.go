package inventory

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// learnedFile is the form of a file of learned routes.
type learnedFile struct {
	Routes []string `yaml:"routes"`
}

// FormatLearned writes a file of learned routes.
func FormatLearned(routes []string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Route templates that gatewatch inventory learn found. Name this file under inventory.learned.\n")
	if routes == nil {
		routes = []string{}
	}
	text, err := yaml.Marshal(learnedFile{routes})
	if err != nil {
		return nil, fmt.Errorf("write learned routes: %w", err)
	}
	b.Write(text)
	return b.Bytes(), nil
}

// learned reads a file of learned routes.
func (l *loader) learned(name string, data []byte) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		l.errorf(name, 0, 0, "is no file of learned routes: %s", said(err))
		return
	}
	var read learnedFile
	if err := yaml.NodeToValue(file.Docs[0].Body, &read, yaml.Strict()); err != nil {
		l.errorf(name, 0, 0, "is no file of learned routes: %s", said(err))
		return
	}
	if len(read.Routes) > MaxOperations {
		l.errorf(name, 0, 0, "holds more than %d routes", MaxOperations)
		return
	}
	l.inventory.learned = &node{}
	places := ast.Filter(ast.StringType, file.Docs[0].Body)
	for _, template := range read.Routes {
		if err := l.addLearned(template); err != nil {
			line, column := placeOf(places, template)
			l.errorf(name, line, column, "the route %q %s", shorten(template), err)
		}
	}
}

func (l *loader) addLearned(template string) error {
	if !strings.HasPrefix(template, "/") {
		return fmt.Errorf("must begin with /")
	}
	end, err := l.inventory.learned.insert(template)
	if err == nil {
		end.route = template
	}
	return err
}

func placeOf(nodes []ast.Node, text string) (line, column int) {
	for _, n := range nodes {
		if s, ok := n.(*ast.StringNode); ok && s.Value == text {
			p := s.GetToken().Position
			return p.Line, p.Column
		}
	}
	return 0, 0
}

func said(err error) string {
	if err == nil {
		return "it is empty"
	}
	return strings.TrimSpace(yaml.FormatError(err, false, false))
}
