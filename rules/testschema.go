package rules

// testSchema and the rest are the part of the JSON Schema that describes tests.
func testSchema() schema {
	s := closed(schema{
		"name":    described(ref("text"), "unique in the file"),
		"rules":   described(ref("texts"), "the rules that run; default: those of the file, or all"),
		"start":   described(timeType(), "RFC 3339, default 2026-11-23T10:00:00Z"),
		"traffic": described(oneOrMany(ref("traffic")), "requests, ordered by time"),
		"expect":  described(noneOrMany(ref("expect")), "alerts that must come; [] is silence"),
		"forbid":  described(noneOrMany(ref("pattern")), "alerts that must not come; without it, all that are not expected"),
	}, "name", "traffic")
	s["anyOf"] = []schema{{"required": []string{"expect"}}, {"required": []string{"forbid"}}}
	return s
}

// noneOrMany is a value or a list, which may be empty.
func noneOrMany(s schema) schema { return schema{"anyOf": []schema{s, {"type": "array", "items": s}}} }

func timeType() schema {
	return schema{"type": "string", "pattern": `^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$`}
}

// offsetType is a time in a test: after its start, or absolute.
func offsetType() schema { return schema{"anyOf": []schema{ref("duration"), timeType()}} }

func trafficSchema() schema {
	properties := schema{
		"call":  described(oneOrMany(schema{"type": "string", "pattern": `^[A-Za-z]+ +/\S*( +[1-5]\d\d)?$`}), "METHOD PATH or METHOD PATH STATUS"),
		"at":    described(offsetType(), "when the first request comes; default 0s"),
		"times": described(within(1, MaxTestEvents), "how many requests"),
		"every": described(ref("duration"), "the time between two requests"),
		"over":  described(ref("duration"), "the time over which the requests are spread"),
		"repeat": described(closed(schema{"every": ref("duration"), "times": within(1, MaxTestEvents)}, "every", "times"),
			"all of that again, as on the following days"),
		"revoked_at": described(offsetType(), "when a revocation list says that the tokens were revoked"),
		"from":       described(oneOrMany(ref("place")), "where the requests come from"),
	}
	for _, name := range textFields {
		properties[name] = ref("texts")
	}
	s := closed(properties, "call")
	s["not"] = schema{"required": []string{"every", "over"}}
	s["patternProperties"] = schema{`^attributes\..+$`: ref("texts")}
	return s
}

func placeSchema() schema {
	number := func(low, high int) schema { return schema{"type": "number", "minimum": low, "maximum": high} }
	mapping := closed(schema{
		"city": ref("text"), "country": schema{"type": "string", "pattern": "^[A-Za-z]{2}$"}, "continent": schema{"enum": continents},
		"lat": number(-90, 90), "lon": number(-180, 180), "radius_km": number(0, 20_000), "asn": within(1, 1<<32-1),
		"anonymous": schema{"anyOf": []schema{{"type": "boolean"}, oneOrMany(schema{"enum": anonymityNames})}},
	})
	mapping["dependentRequired"] = schema{"lat": []string{"lon"}, "lon": []string{"lat"}}
	return schema{"anyOf": []schema{
		{"type": "string", "description": "a known city", "pattern": "^" + anyCase(cityNames()...) + "$"},
		mapping,
	}}
}

// alertSchema is an object of a pattern's keys, or of an expectation's.
func alertSchema(properties schema) schema {
	s := closed(properties)
	s["not"] = schema{"required": []string{"at"}, "anyOf": []schema{{"required": []string{"after"}}, {"required": []string{"within"}}}}
	return s
}

func patternSchema() schema {
	return schema{
		"rule":   described(ref("text"), "a rule's id; may be left out when the test runs one rule"),
		"entity": described(ref("text"), "whom the alert accuses; default: anybody"),
		"after":  described(offsetType(), "the alert opens then or later"),
		"within": described(offsetType(), "the alert opens then or earlier"),
		"at":     described(offsetType(), "the alert opens then"),
	}
}

func expectSchema() schema {
	s := patternSchema()
	bounds := schema{"type": []string{"string", "number"}, "pattern": `^ *(>=|<=|>|<)? *\d`}
	s["count"] = described(bounds, "how many alerts are like this: 3, \">= 2\", 1 - 5; default 1")
	s["value"] = described(bounds, "the highest value: 60, \">= 41\", 40 - 60, 1.2GB, 80%")
	s["severity"] = commonSchema()["severity"]
	s["summary"] = described(ref("text"), "text that the alert's summary contains")
	return s
}
