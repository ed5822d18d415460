package inventory

import (
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// maxBases is how many base paths the servers of one operation can have.
const maxBases = 64

// basePaths returns the path parts of the servers' addresses, each once: templates without a slash at the end. Hosts do not
// count, since gateways seldom log them.
func (s *reading) basePaths(servers []*v3.Server) (bases []string) {
	for _, server := range servers {
		var where *yaml.Node
		if low := server.GoLow(); low != nil {
			where = low.URL.ValueNode
		}
		for _, url := range s.spellings(server, where) {
			base := strings.TrimRight(pathOf(url), "/")
			if !slices.Contains(bases, base) {
				bases = append(bases, base)
			}
		}
	}
	if len(bases) > maxBases {
		s.errorf(s.file, 0, 0, "the servers have more than %d base paths", maxBases)
		return bases[:maxBases]
	}
	return bases
}

// spellings replaces the variables of an address: by each value of those that list them, by the default of those that hold a
// slash. Any other variable stays: it is a parameter of the path, or a part of the host.
func (s *reading) spellings(server *v3.Server, where *yaml.Node) []string {
	urls := []string{server.URL}
	for _, name := range variables(server.URL) {
		var v *v3.ServerVariable
		if server.Variables != nil {
			v = server.Variables.GetOrZero(name)
		}
		if v == nil {
			s.at(where, "the server's variable {%s} is not described", shorten(name))
			return nil
		}
		values := v.Enum
		if len(values) == 0 && strings.Contains(v.Default, "/") {
			values = []string{v.Default}
		}
		if len(values) == 0 {
			continue
		}
		if len(urls)*len(values) > maxBases {
			s.at(where, "the server's variables have more than %d combinations", maxBases)
			return nil
		}
		urls = replaced(urls, "{"+name+"}", values)
	}
	return urls
}

func replaced(urls []string, variable string, values []string) (all []string) {
	for _, url := range urls {
		for _, value := range values {
			all = append(all, strings.ReplaceAll(url, variable, value))
		}
	}
	return all
}

// variables lists the names in braces.
func variables(url string) (names []string) {
	for {
		_, rest, found := strings.Cut(url, "{")
		name, behind, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return names
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		url = behind
	}
}

// pathOf drops scheme, host, query and fragment. A relative address is taken from the root.
func pathOf(url string) string {
	if _, behind, found := strings.Cut(url, "://"); found {
		_, path, _ := strings.Cut(behind, "/")
		url = "/" + path
	} else if behind, found := strings.CutPrefix(url, "//"); found {
		_, path, _ := strings.Cut(behind, "/")
		url = "/" + path
	}
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	return "/" + strings.TrimLeft(strings.TrimPrefix(url, "./"), "/")
}
