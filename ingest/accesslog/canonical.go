package accesslog

// canonical is gatewatch's own format: the members of the object have the names of the fields.
var canonical = definition{
	name:       Canonical,
	signatures: [][]string{{"time", "method", "path", "status"}},
	strict:     true,
	mapping:    canonicalMapping(),
}

func canonicalMapping() Mapping {
	m := Mapping{}
	for _, name := range mappable[:canonicalCount] {
		m[name] = path(name)
	}
	return m
}
