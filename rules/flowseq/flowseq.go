// Package flowseq mends how plain scalars in the flow sequences of YAML are read.
//
// In {brokers: [kafka-1:9092], tags: [owasp:API1:2023]} the elements are plain scalars: a colon ends a key only in front of a
// space (YAML 1.2.2, 7.3.3). The lexer of goccy/go-yaml takes them for mappings inside of flow mappings, and nowhere else.
package flowseq

import (
	"github.com/goccy/go-yaml/token"
)

// Tokens returns the tokens with what stands in flow sequences around a colon without spaces as one word again. It changes the
// given tokens.
func Tokens(tokens token.Tokens) token.Tokens {
	var open []token.Type
	kept := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		tk := tokens[i]
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, tk.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(0, len(open)-1)]
		}
		if len(open) > 0 && open[len(open)-1] == token.SequenceStartType && isOneWord(tokens[i:]) {
			join(tk, tokens[i+1], tokens[i+2])
			i += 2
		}
		kept = append(kept, tk)
	}
	return kept
}

// isOneWord says whether the first three tokens are two plain scalars with nothing but a colon in between.
func isOneWord(t token.Tokens) bool {
	return len(t) > 2 && isPlain(t[0]) && t[1].Type == token.MappingValueType && isPlain(t[2]) &&
		end(t[0]) == t[1].Position.Offset && t[2].Position.Offset == t[1].Position.Offset+1
}

func end(tk *token.Token) int { return tk.Position.Offset + len([]rune(tk.Value)) }

// isPlain tells scalars without quotes.
func isPlain(tk *token.Token) bool {
	switch tk.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
		token.BoolType, token.NullType:
		return true
	}
	return false
}

func join(word, colon, rest *token.Token) {
	word.Value += colon.Value + rest.Value
	word.Origin += colon.Origin + rest.Origin
	word.Type = token.StringType
	word.Next = rest.Next
	if rest.Next != nil {
		rest.Next.Prev = word
	}
}
