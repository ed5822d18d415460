package rules

// contractSchema is one access contract.
func contractSchema() schema {
	off := offHoursSchema()
	s := closed(schema{
		"id":             schema{"type": "string", "pattern": idForm.String(), "maxLength": maxID},
		"title":          ref("text"),
		"applies_to":     described(ref("where"), "who belongs to the category of consumers"),
		"may":            described(oneOrMany(ref("where")), "a request must be covered by one of these"),
		"countries":      oneOrMany(valueSchema("country")),
		"networks":       ref("texts"),
		"asns":           ignoreSchema()["properties"].(schema)["asns"],
		"hours":          off["hours"],
		"days":           off["days"],
		"time_zone":      off["time_zone"],
		"scopes":         described(ref("texts"), "what scopes tokens may have"),
		"environments":   ref("texts"),
		"token_lifetime": described(ref("duration"), "1s to 366d"),
	}, "id", "applies_to")
	var one []schema
	for _, key := range agreedKeys {
		one = append(one, schema{"required": []string{key}})
	}
	s["anyOf"] = one
	return s
}

// contractedSchema is what detect: contract has.
func contractedSchema() schema {
	return schema{
		"find":      described(oneOrMany(schema{"enum": deviationNames}), "the deviations that are looked for; default what contracts say"),
		"contracts": described(ref("texts"), "ids of contracts; default all"),
		"lifetime":  described(ref("duration"), "how long a token may live, 1s to 366d"),
		"leeway":    described(ref("duration"), "how long after its expiry or revocation a token may still be used, 0s to 1d"),
		"limit":     described(within(0, maxTolerated), "a finding is more than this"),
		"window":    described(ref("duration"), "1s to 31d"),
	}
}
