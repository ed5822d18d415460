package accesslog

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// protobuf writes OTLP's JSON form as protobuf, by the definitions of opentelemetry-proto.
func protobuf(tb testing.TB, text []byte) (b []byte) {
	var root map[string][]map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		tb.Fatal(err)
	}
	for kind, resources := range root {
		for _, r := range resources {
			b = message(b, 1, protoResource(r, kind == "resourceLogs"))
		}
	}
	return b
}

func message(b []byte, number protowire.Number, inner []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), inner)
}

func protoResource(r map[string]any, logs bool) (b []byte) {
	if resource, ok := r["resource"].(map[string]any); ok {
		b = message(b, 1, protoPairs(nil, 1, resource["attributes"]))
	}
	for _, name := range []string{"scopeSpans", "scopeLogs"} {
		for _, scope := range elementsOf(r[name]) {
			s := scope.(map[string]any)
			inner := message(nil, 1, message(nil, 1, []byte("scope")))
			for _, span := range elementsOf(s["spans"]) {
				inner = message(inner, 2, protoSpan(span.(map[string]any)))
			}
			for _, record := range elementsOf(s["logRecords"]) {
				inner = message(inner, 2, protoLog(record.(map[string]any)))
			}
			b = message(b, 2, inner)
		}
	}
	return message(b, 3, []byte("https://opentelemetry.io/schemas/1.30.0"))
}

func elementsOf(v any) []any {
	list, _ := v.([]any)
	return list
}

func protoSpan(s map[string]any) (b []byte) {
	b = message(b, 1, unhex(s["traceId"]))
	b = message(b, 2, unhex(s["spanId"]))
	b = message(b, 5, []byte("name"))
	b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.VarintType), uint64(s["kind"].(float64)))
	b = fixed(b, 7, s["startTimeUnixNano"])
	b = fixed(b, 8, s["endTimeUnixNano"])
	b = protoPairs(b, 9, s["attributes"])
	return protowire.AppendFixed32(protowire.AppendTag(b, 16, protowire.Fixed32Type), 256)
}

func protoLog(r map[string]any) (b []byte) {
	b = fixed(b, 1, r["timeUnixNano"])
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 9)
	if r["body"] != nil {
		b = message(b, 5, protoAny(r["body"].(map[string]any)))
	}
	b = protoPairs(b, 6, r["attributes"])
	if r["traceId"] != nil {
		b = message(b, 9, unhex(r["traceId"]))
	}
	return fixed(b, 11, r["observedTimeUnixNano"])
}

func unhex(v any) []byte {
	b, _ := hex.DecodeString(v.(string))
	return b
}

func fixed(b []byte, number protowire.Number, v any) []byte {
	if v == nil {
		return b
	}
	n, ok := v.(float64)
	u := uint64(n)
	if !ok {
		u, _ = strconv.ParseUint(v.(string), 10, 64)
	}
	return binary.LittleEndian.AppendUint64(protowire.AppendTag(b, number, protowire.Fixed64Type), u)
}

func protoPairs(b []byte, number protowire.Number, attributes any) []byte {
	for _, a := range elementsOf(attributes) {
		pair := a.(map[string]any)
		inner := message(nil, 1, []byte(pair["key"].(string)))
		b = message(b, number, message(inner, 2, protoAny(pair["value"].(map[string]any))))
	}
	return b
}

func protoAny(v map[string]any) (b []byte) {
	for kind, inner := range v {
		switch kind {
		case "stringValue":
			return message(b, 1, []byte(inner.(string)))
		case "boolValue":
			return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), protowire.EncodeBool(inner.(bool)))
		case "intValue":
			n, ok := inner.(float64)
			if !ok {
				n, _ = strconv.ParseFloat(inner.(string), 64)
			}
			return protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(int64(n)))
		case "doubleValue":
			return protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), math.Float64bits(inner.(float64)))
		case "arrayValue":
			var values []byte
			for _, item := range elementsOf(inner.(map[string]any)["values"]) {
				values = message(values, 1, protoAny(item.(map[string]any)))
			}
			return message(b, 5, values)
		case "kvlistValue":
			return message(b, 6, protoPairs(nil, 1, inner.(map[string]any)["values"]))
		}
	}
	return b
}

func TestProtobufIsReadAsJSON(t *testing.T) {
	for _, name := range []string{"spans", "logs"} {
		text, err := os.ReadFile("testdata/otlp/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		b := protobuf(t, text)
		if *update {
			if err := os.WriteFile("testdata/otlp/"+name+".pb", b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want := rendered(newTestDecoder(), text)
		if got := rendered(newTestDecoder(), b); got != want {
			t.Errorf("%s as protobuf gives\n%s\nas JSON\n%s", name, got, want)
		}
		if got := rendered(New(Options{Now: testNow, Query: NewQueryNames(testQuery...), Format: "otlp"}), b); name == "spans" && got != want {
			t.Errorf("%s with the format set gives\n%s\nwant\n%s", name, got, want)
		}
		for form, packed := range packed(t, b) {
			if form != "snappy block" && rendered(newTestDecoder(), packed) != want {
				t.Errorf("%s in %s gives something else", name, form)
			}
		}
	}
}

func TestProtobufIsToldFromJSON(t *testing.T) {
	object := with()
	for _, record := range []string{"\n" + object, "\n\n" + object, "\n{" + strings.Repeat(" ", 123) + object[1:], "\n", "\n\n\n"} {
		if kind := telemetryKind([]byte(record)); kind != noEnvelope {
			t.Errorf("%q is taken for protobuf", record)
		}
	}
}

// TestTreeInBody puts a tree into the body of a log record: those that follow it keep the resource that they are of.
func TestTreeInBody(t *testing.T) {
	const resource = `{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"%s"}}]},%s}`
	inner := fmt.Sprintf(`{"resourceSpans":[`+resource+`]}`, "another", `"scopeSpans":[]`)
	body := fmt.Sprintf(`{"body":{"stringValue":%q},"attributes":[]}`, inner)
	record := `{"timeUnixNano":"1795341598123000000","attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},` +
		`{"key":"url.path","value":{"stringValue":"/a"}},{"key":"http.response.status_code","value":{"intValue":"200"}},` +
		`{"key":"network.peer.address","value":{"stringValue":"192.0.2.10"}}]}`
	e := decodeOne(t, Options{}, fmt.Sprintf(`{"resourceLogs":[`+resource+`]}`, "gateway", `"scopeLogs":[{"logRecords":[`+body+`,`+record+`]}]`))
	if e.API != "gateway" {
		t.Errorf("the api is %q", e.API)
	}
}
