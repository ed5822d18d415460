package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/gatewatch/gatewatch/rules"
)

// mistake says in one line what the YAML reader has found wrong. It quotes neither the line nor the value: secrets may stand there.
func mistake(err error, body ast.Node) error {
	var unknown *yaml.UnknownFieldError
	var kind *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	var number *yaml.OverflowError
	var other yaml.Error
	switch {
	case errors.As(err, &unknown):
		return at(unknown.Token, "%s%s", unknown.Message, rules.Nearest(unknown.Token.Value, optionNames(reflect.TypeFor[config]())))
	case errors.As(err, &kind):
		return at(kind.Token, "%s must be %s", optionAt(body, kind.Token), wanted(kind.DstType))
	case errors.As(err, &node):
		return at(node.Token, "%s must be %s", optionAt(body, node.Token), wantedNode(node.Expected))
	case errors.As(err, &number):
		return at(number.Token, "%s is a number that is out of range", optionAt(body, number.Token))
	case errors.As(err, &other):
		return at(other.GetToken(), "%s", other.GetMessage())
	}
	return err
}

func at(tk *token.Token, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if tk == nil || tk.Position == nil {
		return errors.New(message)
	}
	return fmt.Errorf("[%d:%d] %s", tk.Position.Line, tk.Position.Column, message)
}

// wanted names in words what an option of type t takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list, such as [a, b]"
	}
	return "keys with values"
}

func wantedNode(t ast.NodeType) string {
	switch t {
	case ast.SequenceType:
		return "a list, such as [a, b]"
	case ast.MappingType:
		return "keys with values"
	}
	return "another kind of value than this " + strings.ToLower(t.String())
}

// optionAt returns the path of the option whose value begins with tk, such as sinks.file.max_size.
func optionAt(n ast.Node, tk *token.Token) string {
	for _, v := range mappingValues(n) {
		name := v.Key.String()
		if begins(v.Value, tk) {
			return name
		}
		if below := optionAt(v.Value, tk); below != someOption {
			return name + "." + below
		}
	}
	return someOption
}

const someOption = "the value"

func begins(n ast.Node, tk *token.Token) bool {
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, item := range list.Values {
			if begins(item, tk) {
				return true
			}
		}
	}
	return tk != nil && n.GetToken() != nil && n.GetToken().Position.Offset == tk.Position.Offset
}

// optionNames lists the names of all options, of all sections.
func optionNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
		if field.Type.Kind() == reflect.Struct && field.IsExported() {
			names = append(names, optionNames(field.Type)...)
		}
	}
	return names
}
