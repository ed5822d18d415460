package rules

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/gatewatch/gatewatch/rules/flowseq"
)

// Bounds of one rule file. The parser works on nested values by recursion and on long mappings in quadratic time, so both
// are bounded before it runs; about 500 rules fit.
const (
	MaxFileBytes = 512 << 10
	maxTokens    = 40_000
	maxDepth     = 64
)

// document parses the one YAML document of a file. It reports what is wrong and returns nil, or nil for an empty file
// without a report.
//
// Anchors, aliases, merge keys and tags are refused: a rule must be readable where it stands, and none of their costs need
// be bounded.
func (r *reader) document(data []byte) ast.Node {
	if !r.readable(data) {
		return nil
	}
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if !r.plain(tokens) {
		return nil
	}
	file, err := parseTokens(flowseq.Tokens(tokens))
	if err != nil {
		r.syntax(err)
		return nil
	}
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			return d.Body
		}
	}
	return nil
}

// readable checks what the lexer takes for granted.
func (r *reader) readable(data []byte) bool {
	if len(data) > MaxFileBytes {
		r.at(0, 0, "the file has more than %d bytes: split it", MaxFileBytes)
		return false
	}
	for number, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !utf8.Valid(line) {
			r.at(number+1, 1+utf8.RuneCount(validPrefix(line)), "the file is not UTF-8 here")
			return false
		}
		if i := bytes.IndexFunc(line, isControl); i >= 0 {
			r.at(number+1, 1+utf8.RuneCount(line[:i]), "control character U+%04X", line[i])
			return false
		}
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; len(indent) < len(line) && bytes.ContainsRune(indent, '\t') {
			r.at(number+1, 1+bytes.IndexByte(indent, '\t'), "a tab in the indentation: YAML wants spaces")
			return false
		}
	}
	return true
}

func validPrefix(line []byte) []byte {
	for i := 0; i < len(line); {
		c, n := utf8.DecodeRune(line[i:])
		if c == utf8.RuneError && n == 1 {
			return line[:i]
		}
		i += n
	}
	return line
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// plain checks the tokens for what is refused and for what would cost the parser too much.
func (r *reader) plain(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.at(0, 0, "the file has %d words and signs, more than %d: split it", len(tokens), maxTokens)
		return false
	}
	depth, line, onLine := 0, 0, 0
	for _, tk := range tokens {
		if message := refused(tk); message != "" {
			r.at(tk.Position.Line, tk.Position.Column, "%s", message)
			return false
		}
		if tk.Position.Line != line {
			line, onLine = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			onLine++
		}
		if depth+onLine > maxDepth {
			r.at(tk.Position.Line, tk.Position.Column, "nested more than %d deep", maxDepth)
			return false
		}
	}
	return true
}

// refused says why a token has no place in a rule file.
func refused(tk *token.Token) string {
	switch tk.Type {
	case token.AnchorType, token.AliasType:
		return "anchors and aliases (& and *) are not supported: write the value out, or quote it if it is text"
	case token.MergeKeyType:
		return "merge keys (<<) are not supported: write the keys out"
	case token.TagType:
		return "tags (!) are not supported: quote the value if it is text"
	case token.DirectiveType:
		return "directives (%) are not supported"
	case token.MappingKeyType:
		return "complex keys (?) are not supported"
	case token.DocumentHeaderType:
		if tk.Prev != nil && !onlyComments(tk.Prev) {
			return "a second document (---): a rule file has one"
		}
	case token.DocumentEndType:
		if tk.Next != nil {
			return "text after the end of the document (...)"
		}
	}
	return ""
}

// onlyComments reports whether nothing but comments stands up to tk.
func onlyComments(tk *token.Token) bool {
	for ; tk != nil; tk = tk.Prev {
		if tk.Type != token.CommentType {
			return false
		}
	}
	return true
}

// parseTokens turns a panic of the parser, which none of its users can exclude, into an error: a rule file must not be able
// to stop the service that reloads it.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is no YAML (%v)", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// syntaxHints says what is usually meant by an error of the YAML parser.
var syntaxHints = map[string]string{
	"value is not allowed in this context":         "is the line indented like those beside it?",
	"mapping value is not allowed in this context": "text with a colon and a space in it needs quotes",
}

// syntax reports an error of the YAML parser.
func (r *reader) syntax(err error) {
	var positioned interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &positioned) && positioned.GetToken() != nil {
		p := positioned.GetToken().Position
		message := positioned.GetMessage()
		if hint := syntaxHints[message]; hint != "" {
			message += ": " + hint
		}
		r.at(p.Line, max(1, p.Column), "%s", message)
		return
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	r.at(1, 1, "%s", message)
}

// at reports a defect at a position that no node stands for.
func (r *reader) at(line, column int, format string, args ...any) {
	*r.errs = append(*r.errs, Error{r.file, line, column, r.rule, fmt.Sprintf(format, args...)})
}
