package inventory

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi/datamodel"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"

	"github.com/gatewatch/gatewatch/detector/event"
)

// specification reads one OpenAPI file. What it says of schemas does not matter here and is not checked.
func (l *loader) specification(name string, data []byte) {
	model, err := parse(data)
	if err != nil {
		l.failed(name, err)
		return
	}
	s := &reading{loader: l, file: name, model: model}
	s.read()
}

// parse never follows a reference out of the file: a specification must not make its reader fetch anything.
func parse(data []byte) (model *v3.Document, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file cannot be read as OpenAPI: %v", r)
		}
	}()
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("is larger than %d MiB", MaxFileBytes>>20)
	}
	document, err := libopenapi.NewDocumentWithConfiguration(data, &datamodel.DocumentConfiguration{
		Logger:                     slog.New(slog.NewTextHandler(io.Discard, nil)),
		SkipExternalRefResolution:  true,
		SkipCircularReferenceCheck: true,
		SkipMetadataCollection:     true,
		ExcludeExtensionRefs:       true,
	})
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(document.GetVersion(), "3.") {
		return nil, fmt.Errorf("is OpenAPI %s; only OpenAPI 3 is read", shorten(document.GetVersion()))
	}
	built, err := document.BuildV3Model()
	if err != nil {
		return nil, err
	}
	return &built.Model, nil
}

// failed reports each line of the library's error once.
func (l *loader) failed(file string, err error) {
	seen := map[string]bool{}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if line == "" || seen[line] {
			continue
		}
		seen[line] = true
		line = strings.TrimSuffix(line, ", sorry")
		line = strings.Replace(line, "spec type not supported by libopenapi", "is no OpenAPI file: it does not begin with openapi: 3.…", 1)
		line = strings.Replace(line, "; set AllowExcessiveAliases for trusted documents", "", 1)
		if strings.Contains(line, "cannot find reference") {
			line += "; references to other files are not followed: bundle them into one"
		}
		l.errorf(file, 0, 0, "%s", line)
	}
}

// reading is one specification being read.
type reading struct {
	*loader
	file  string
	model *v3.Document
	api   facts // what holds for all of it
	bases []string
}

// facts are what extensions say. An empty one is not said.
type facts struct {
	api, owner, classification string
	sunset                     event.Time
}

// over returns the facts with those of something more special in front.
func (f facts) over(general facts) facts {
	if f.owner == "" {
		f.owner = general.owner
	}
	if f.classification == "" {
		f.classification = general.classification
	}
	if f.sunset == 0 {
		f.sunset = general.sunset
	}
	f.api = general.api
	return f
}

func (s *reading) read() {
	s.api = s.info()
	s.bases = s.basePaths(s.model.Servers)
	if len(s.bases) == 0 {
		s.bases = []string{""}
	}
	if s.model.Paths == nil {
		return
	}
	for path, item := range s.model.Paths.PathItems.FromOldest() {
		s.path(path, item)
	}
}

// info reads what holds for the whole API. Whoever is to be contacted owns what nobody else does.
func (s *reading) info() facts {
	f := s.facts(s.model.Extensions)
	title := ""
	if info := s.model.Info; info != nil {
		f = s.facts(info.Extensions).over(f)
		title = info.Title
		if f.owner == "" && info.Contact != nil {
			if f.owner = strings.TrimSpace(info.Contact.Name); f.owner == "" {
				f.owner = strings.TrimSpace(info.Contact.Email)
			}
		}
	}
	for _, name := range []string{s.apiID(), title, strings.TrimSuffix(filepath.Base(s.file), filepath.Ext(s.file))} {
		if f.api = strings.TrimSpace(name); f.api != "" {
			break
		}
	}
	return f
}

func (s *reading) apiID() string {
	if s.model.Info != nil {
		if id := s.text(s.model.Info.Extensions, "x-api-id"); id != "" {
			return id
		}
	}
	return s.text(s.model.Extensions, "x-api-id")
}

type extensions = *orderedmap.Map[string, *yaml.Node]

func (s *reading) facts(x extensions) facts {
	f := facts{owner: s.text(x, "x-owner"), classification: s.text(x, "x-data-classification")}
	if f.classification == "" {
		f.classification = s.text(x, "x-classification")
	}
	f.sunset = s.date(x, "x-sunset")
	return f
}

// text returns the text of an extension, "" when it is absent.
func (s *reading) text(x extensions, name string) string {
	n := extension(x, name)
	if n == nil {
		return ""
	}
	text := strings.TrimSpace(n.Value)
	if n.Kind != yaml.ScalarNode || text == "" || n.Tag == "!!null" {
		s.at(n, "%s must be a text", name)
		return ""
	}
	return text
}

// date reads an instant, or a day, which stands for its beginning in UTC.
func (s *reading) date(x extensions, name string) event.Time {
	n := extension(x, name)
	if n == nil {
		return 0
	}
	t, err := parseDate(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		s.at(n, "%s must be a date such as 2026-06-30 or an instant such as 2026-06-30T12:00:00Z, not %q", name, shorten(n.Value))
		return 0
	}
	return t
}

func extension(x extensions, name string) *yaml.Node {
	if x == nil {
		return nil
	}
	return x.GetOrZero(name)
}

func (s *reading) at(n *yaml.Node, format string, args ...any) {
	if n == nil {
		n = &yaml.Node{}
	}
	s.errorf(s.file, n.Line, n.Column, format, args...)
}

func (s *reading) path(path string, item *v3.PathItem) {
	if item == nil {
		return
	}
	where := item.GoLow().KeyNode
	if !strings.HasPrefix(path, "/") {
		s.at(where, "the path %q must begin with /", shorten(path))
		return
	}
	general := s.facts(item.Extensions).over(s.api)
	bases := s.bases
	if own := s.basePaths(item.Servers); len(own) > 0 {
		bases = own
	}
	for method, op := range item.GetOperations().FromOldest() {
		if op == nil {
			continue
		}
		special := bases
		if own := s.basePaths(op.Servers); len(own) > 0 {
			special = own
		}
		s.operation(strings.ToUpper(method), path, where, op, s.facts(op.Extensions).over(general), special)
	}
}

func (s *reading) operation(method, path string, where *yaml.Node, op *v3.Operation, f facts, bases []string) {
	o := Operation{Method: method, File: s.file, Operation: event.Operation{
		Registered: true, API: f.api, Owner: f.owner, Classification: f.classification,
		Deprecated: s.deprecated(op) || f.sunset != 0, Sunset: f.sunset,
	}}
	if where != nil {
		o.Line = where.Line
	}
	for _, base := range bases {
		o.Route = base + path
		s.add(o, where)
	}
}

// deprecated looks at the file itself: of what is no boolean the library keeps nothing.
func (s *reading) deprecated(op *v3.Operation) bool {
	n := value(op.GoLow().RootNode, "deprecated")
	if n == nil {
		return false
	}
	value, err := strconv.ParseBool(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || err != nil {
		s.at(n, "deprecated must be true or false, not %q", shorten(n.Value))
	}
	return value
}

// value returns that of a key of a mapping, or nil.
func value(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func (s *reading) add(o Operation, where *yaml.Node) {
	if s.templates++; s.templates > MaxOperations {
		if s.templates == MaxOperations+1 {
			s.at(where, "the specifications name more than %d operations", MaxOperations)
		}
		return
	}
	end, err := s.inventory.tree.insert(o.Route)
	if err != nil {
		s.at(where, "the path %q %s", shorten(o.Route), err)
		return
	}
	before := end.add(o.Method, len(s.inventory.operations))
	if before < 0 {
		s.inventory.operations = append(s.inventory.operations, o)
		return
	}
	other := s.inventory.operations[before]
	if other.File == s.file {
		s.at(where, "%s %s is the same as the path at line %d", o.Method, shorten(o.Route), other.Line)
		return
	}
	s.inventory.warnings = append(s.inventory.warnings, fmt.Sprintf("%s:%d: %s %s is left out: %s:%d names it too, and comes first",
		s.file, o.Line, o.Method, shorten(o.Route), other.File, other.Line))
}
