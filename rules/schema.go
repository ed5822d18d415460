package rules

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
)

// schema is a JSON schema, or a part of one.
type schema map[string]any

// Schema returns the JSON Schema (draft 2020-12) of rule files, for editors. It knows keys, types and forms; what depends
// on several values together, such as a limit that a count cannot reach, only [Parse] knows.
func Schema() []byte {
	s := schema{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"$id":                  "https://github.com/gatewatch/gatewatch/rules.schema.json",
		"title":                "gatewatch rules",
		"type":                 "object",
		"anyOf":                []schema{{"required": []string{"rules"}}, {"required": []string{"contracts"}}, {"required": []string{"tests"}}},
		"additionalProperties": false,
		"properties": schema{
			"rules":     schema{"type": "array", "minItems": 1, "maxItems": MaxRules, "items": ref("rule")},
			"contracts": schema{"type": "array", "minItems": 1, "maxItems": MaxContracts, "items": contractSchema()},
			"tests":     schema{"type": "array", "minItems": 1, "items": ref("test")},
		},
		"$defs": definitions(),
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("rules: schema: %v", err)) // made of maps, lists and texts alone
	}
	return append(b, '\n')
}

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

func definitions() schema {
	defs := schema{
		"text":      textType(),
		"texts":     oneOrMany(ref("text")),
		"duration":  schema{"type": "string", "pattern": `^(\d+d)?(\d+(\.\d+)?(h|m|s|ms))*$`, "minLength": 2, "description": "30s, 5m, 1h30m, 7d"},
		"field":     schema{"type": "string", "anyOf": []schema{{"enum": fixedFields()}, {"pattern": namedField}}},
		"where":     whereSchema(),
		"path_part": pathPart(),
		"ignore":    ignoreSchema(),
		"rule":      ruleSchema(),
		"test":      testSchema(),
		"traffic":   trafficSchema(),
		"place":     placeSchema(),
		"expect":    alertSchema(expectSchema()),
		"pattern":   alertSchema(patternSchema()),
	}
	for _, kind := range Kinds() {
		defs["rule_"+kind] = kindSchema(kind)
	}
	return defs
}

const namedField = `^(attributes|query|path)\..+$`

func fixedFields() []string {
	var names []string
	for _, name := range event.FieldNames() {
		if !strings.Contains(name, "<") {
			names = append(names, name)
		}
	}
	return names
}

func textType() schema {
	return schema{"type": []string{"string", "number", "boolean"}, "minLength": 1}
}
func numberType() schema { return schema{"type": []string{"string", "number"}, "minLength": 1} }

// anyCase is a regular expression for words in any case. Editors' expressions have no flag for it.
func anyCase(words ...string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, c := range word {
			fmt.Fprintf(&b, "[%c%c]", unicode.ToLower(c), unicode.ToUpper(c))
		}
	}
	return "(" + b.String() + ")"
}

// oneOrMany is a value or a list of such values.
func oneOrMany(s schema) schema {
	return schema{"anyOf": []schema{s, {"type": "array", "minItems": 1, "items": s}}}
}

func within(low, high int) schema { return schema{"type": "integer", "minimum": low, "maximum": high} }

func described(s schema, text string) schema {
	c := schema{"description": text}
	for k, v := range s {
		c[k] = v
	}
	return c
}

// closed is an object that has these keys and no others.
func closed(properties schema, required ...string) schema {
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// ruleSchema chooses by the kind, so that an editor offers the keys of that kind and no others.
func ruleSchema() schema {
	var choose []schema
	for _, kind := range Kinds() {
		choose = append(choose, schema{
			"if":   schema{"properties": schema{"detect": schema{"const": kind}}, "required": []string{"detect"}},
			"then": ref("rule_" + kind),
		})
	}
	return schema{
		"type": "object", "required": []string{"id", "detect", "by"}, "allOf": choose,
		"properties": schema{"detect": schema{"enum": Kinds(), "description": "the kind of detection"}},
	}
}

func kindSchema(kind string) schema {
	properties := commonSchema()
	if kind == "risk" {
		properties["where"], properties["if"] = false, false // never right
	}
	var required []string
	for key, s := range kindProperties(kind) {
		properties[key] = s
	}
	switch kind {
	case "distinct":
		required = []string{"count", "window", "limit"}
	case "rate":
		required = []string{"window", "limit"}
	case "new_value":
		required = []string{"value"}
	case "workflow":
		required = []string{"steps", "workflows", "guard"}
	case "sequence":
		required = []string{"steps", "window"}
	case "enumeration":
		required = []string{"count", "window"}
	}
	return closed(properties, required...)
}

func commonSchema() schema {
	var severities []alert.Severity
	severities = append(severities, alert.Severities()...)
	return schema{
		"id":              schema{"type": "string", "pattern": idForm.String(), "maxLength": maxID, "description": "names the rule in alerts for ever"},
		"title":           described(ref("text"), "one line for people"),
		"description":     described(ref("text"), "what the rule finds"),
		"false_positives": described(ref("text"), "how it can be wrong, and how to tune it"),
		"advice":          described(ref("text"), "what to do about a finding"),
		"detect":          schema{"enum": Kinds()},
		"by":              described(bySchema(), "whom the rule watches: a field, or up to four together"),
		"where":           described(ref("where"), "which events count"),
		"if":              schema{"type": []string{"string", "boolean"}, "minLength": 1, "description": "an expression over the event's fields that must be true"},
		"severity":        schema{"enum": severities, "default": alert.Medium},
		"tags":            oneOrMany(schema{"type": []string{"string", "number"}, "pattern": `^[^ \t\n,]+$`}),
		"mode":            schema{"enum": []string{"enforce", "shadow"}, "default": "enforce", "description": "shadow: computed and counted, not delivered"},
		"close_after":     described(ref("duration"), "how long it must be quiet before an alert is closed"),
	}
}

func bySchema() schema {
	return schema{"anyOf": []schema{ref("field"), {"type": "array", "minItems": 1, "maxItems": maxEntity, "items": ref("field"), "uniqueItems": true}}}
}

func kindProperties(kind string) schema {
	window := described(ref("duration"), "1s to 31d")
	switch kind {
	case "distinct":
		return schema{"count": described(ref("field"), "whose different values are counted"), "window": window,
			"limit": described(within(1, maxDistinct), "a finding is more than this"), "noun": described(ref("text"), "what the values are called, plural")}
	case "rate":
		return schema{"window": window, "limit": described(numberType(), "a finding is more than this: requests, bytes (500MB), a duration or a share (60%)"),
			"sum": schema{"enum": []string{"request_bytes", "response_bytes", "duration_ms"}}, "share": ref("where"), "min": within(1, maxMin)}
	case "travel":
		return schema{"speed_kmh": schema{"type": "number", "minimum": 50, "maximum": 100_000, "default": 900},
			"min_distance_km": schema{"type": "number", "minimum": 1, "maximum": 20_000, "default": 300},
			"places":          within(1, 16), "ignore": ref("ignore")}
	case "simultaneous":
		return schema{"across": schema{"enum": []string{"continent", "country", "asn"}, "default": "continent"}, "window": window,
			"limit": within(1, 15), "alternations": within(1, 64), "ignore": ref("ignore")}
	case "off_hours":
		return offHoursSchema()
	case "new_value":
		return schema{"value": described(ref("field"), "whose values are learned for each entity"), "learn": learnSchema(), "max": within(1, maxLearned)}
	case "contract":
		return contractedSchema()
	case "enumeration":
		return enumerationSchema(window)
	case "sequence":
		return sequenceSchema(window)
	case "risk":
		return riskSchema()
	}
	return workflowSchema()
}

func enumerationSchema(window schema) schema {
	limit := described(within(1, maxDistinct), "a finding is more than this")
	return schema{
		"count": described(ref("field"), "what names an object"), "noun": described(ref("text"), "what the objects are called, plural"), "window": window,
		"found": described(closed(schema{"limit": limit, "newcomer_limit": within(1, maxDistinct), "new_share": numberType()}, "limit"),
			"objects that are answered and were never touched before"),
		"denied":     described(closed(schema{"limit": limit}, "limit"), "ids that are denied"),
		"sequential": described(closed(schema{"limit": limit, "step": within(1, maxStep)}, "limit"), "ids in sequence"),
		"learn":      learnSchema(),
		"remember":   within(leastRemembered, mostRemembered),
	}
}
func riskSchema() schema {
	points := schema{}
	for _, s := range alert.Severities() {
		points[string(s)] = schema{"type": "number", "minimum": 0, "maximum": maxPoints, "default": defaultPoints[s]}
	}
	return schema{
		"limit":     schema{"type": "number", "minimum": 1, "maximum": maxPoints, "default": defaultRisk, "description": "a finding is more than this many points"},
		"half_life": described(ref("duration"), "1m to 31d: after this time half of the points are left"),
		"kinds":     described(within(1, maxKinds), "different kinds of evidence there must be"),
		"points":    described(closed(points), "what an alert adds, by the severity of its rule"),
	}
}

func offHoursSchema() schema {
	return schema{
		"hours":     oneOrMany(schema{"type": "string", "pattern": `^\d\d:\d\d *- *\d\d:\d\d$`}),
		"days":      oneOrMany(schema{"type": "string", "pattern": "^" + anyCase(dayNames...) + "(-" + anyCase(dayNames...) + ")?$"}),
		"learn":     learnSchema(),
		"new":       schema{"enum": []string{"country", "asn"}},
		"time_zone": schema{"type": "string", "minLength": 1, "not": schema{"const": "Local"}, "description": "IANA name such as Europe/Berlin"},
	}
}

func learnSchema() schema {
	return closed(schema{"min_events": within(1, 1_000_000), "min_days": within(1, 90)})
}

func workflowSchema() schema {
	return schema{
		"steps": schema{"type": "object", "minProperties": 1, "maxProperties": maxSteps, "additionalProperties": ref("where"),
			"propertyNames": schema{"pattern": stepName.String(), "maxLength": maxID}},
		"workflows": oneOrMany(closed(schema{
			"name": ref("text"), "path": ref("path_part"), "timeout": ref("duration"),
			"step_timeouts": schema{"type": "object", "additionalProperties": ref("duration")},
		}, "name", "path")),
		"guard": ref("texts"),
		"grace": ref("duration"),
	}
}

func sequenceSchema(window schema) schema {
	step := closed(schema{
		"name": schema{"type": "string", "pattern": stepName.String(), "maxLength": maxID}, "where": ref("where"),
		"times":  described(within(1, maxTimes), "how many such requests at least"),
		"absent": schema{"type": "boolean", "description": "the finding is that this step does not happen"},
	}, "name", "where")
	return schema{
		"steps":  schema{"type": "array", "minItems": 1, "maxItems": maxSequence, "items": step},
		"order":  schema{"enum": []string{"strict", "any"}, "default": "strict"},
		"window": window,
		"until":  described(ref("where"), "ends a sequence that has begun"),
	}
}

func pathPart() schema {
	part := ref("path_part")
	several := schema{"type": "array", "minItems": 2, "items": part}
	return schema{"anyOf": []schema{
		{"type": "string", "minLength": 1, "description": "a step: pay, coupon?, cart+, search*"},
		{"type": "array", "minItems": 1, "items": part},
		closed(schema{"optional": part}, "optional"),
		closed(schema{"choice": several}, "choice"),
		closed(schema{"unordered": described(several, "each once, in any order")}, "unordered"),
		closed(schema{"repeat": part, "at_least": within(0, maxRepeat), "at_most": within(1, maxRepeat)}, "repeat"),
	}}
}

func ignoreSchema() schema {
	return closed(schema{
		"anonymous": schema{"anyOf": []schema{{"type": "boolean"}, oneOrMany(schema{"enum": anonymityNames})}},
		"networks":  ref("texts"),
		"asns":      oneOrMany(schema{"type": []string{"integer", "string"}, "pattern": `^([aA][sS])?\d+$`}),
	})
}

func whereSchema() schema {
	properties := schema{"any": blocks(), "all": blocks(), "not": ref("where")}
	for _, name := range fixedFields() {
		properties[name] = matcherSchema(name)
	}
	s := closed(properties)
	s["patternProperties"] = schema{namedField: matcherSchema("")}
	return s
}

func blocks() schema { return oneOrMany(ref("where")) }

func matcherSchema(field string) schema {
	value := oneOrMany(valueSchema(field))
	return schema{"anyOf": []schema{value, closed(schema{"is": value, "not": value, "exists": schema{"type": "boolean"}})}}
}

func valueSchema(field string) schema {
	switch field {
	case "route", "path":
		return schema{"type": "string", "pattern": `^(/|\*\*)[^?#]*$`, "description": "/users/{id}/**: {name} and * are one segment, ** any number"}
	case "method":
		return schema{"type": "string", "pattern": "^[A-Za-z_-]+$"}
	case "status":
		return schema{"type": []string{"integer", "string"}, "pattern": `^ *([1-5][xX][xX]|(>=|<=|==|=|>|<)? *\d{3}|\d{3} *- *\d{3}) *$`, "minimum": 100, "maximum": maxStatus}
	case "continent":
		return schema{"type": "string", "pattern": "^" + anyCase(continents...) + "$"}
	case "country":
		return schema{"type": "string", "pattern": "^[A-Za-z]{2}$"}
	case "anonymous":
		return schema{"anyOf": []schema{{"type": "boolean"}, {"enum": anonymityNames}}}
	case "duration_ms", "request_bytes", "response_bytes", "asn":
		return numberType()
	}
	return textType()
}
