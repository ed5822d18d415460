package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/event"
)

// twin decodes records with encoding/json, slowly and obviously: maps that are asked for one path after the other. It
// shares nothing with the decoder but the tables of the formats. It knows only records that are JSON from beginning to end; how
// much of a broken one is saved is for other tests, as is what stands as text inside other records.
type twin struct {
	now     event.Time
	query   []string
	events  []event.Event
	reasons map[int32]Reason
	ignored map[string]int
	index   int32
	skipped int

	def    definition
	object map[string]any
	outer  map[string]any // the resource around OpenTelemetry's records
	other  bool           // the record is not for the twin
}

// decode reports false when the record is not for the twin.
func (w *twin) decode(record []byte) bool {
	w.reasons, w.ignored = map[int32]Reason{}, map[string]int{}
	record = bytes.TrimPrefix(record, []byte("\ufeff"))
	dec := json.NewDecoder(bytes.NewReader(record))
	values := 0
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false
		}
		values++
		if raw[0] == '{' && depth(raw) > maxDepth {
			return false
		}
		w.top(raw)
	}
	if values == 0 {
		w.reasons[0] = NotJSON
	}
	return !w.other
}

func (w *twin) top(raw json.RawMessage) {
	list := []json.RawMessage{raw}
	if raw[0] == '{' {
		var object map[string]json.RawMessage
		must(json.Unmarshal(raw, &object))
		w.read(raw)
		t, hasTime := object["time"]
		known := utf8.Valid(raw) && w.recognise() >= 0
		if !known && w.object["messageType"] == "CONTROL_MESSAGE" {
			w.skipped++
			return
		}
		found := 0
		for _, name := range []string{"records", "Records", "logEvents", "resourceSpans", "resourceLogs"} {
			if inner := bytes.TrimSpace(object[name]); len(inner) > 0 && inner[0] == '[' && (!hasTime || string(t) == "null") && !known {
				found++
				if strings.HasPrefix(name, "resource") {
					w.telemetry(inner, name)
					list = nil
					continue
				}
				list = nil
				must(json.Unmarshal(inner, &list))
			}
		}
		w.other = w.other || found > 1
	} else if raw[0] == '[' {
		list = nil
		must(json.Unmarshal(raw, &list))
	}
	for _, element := range list {
		w.done(w.element(element))
	}
}

// done notes what became of a part of the record.
func (w *twin) done(reason Reason) {
	if reason == skippedPart {
		w.skipped++
		return
	}
	if reason != "" {
		w.reasons[w.index] = reason
	}
	w.index++
}

// skippedPart stands for no reason at all: the part is none of ours.
const skippedPart Reason = "skipped"

func (w *twin) read(raw json.RawMessage) {
	w.object = nil
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	must(dec.Decode(&w.object))
}

func (w *twin) element(raw json.RawMessage) Reason {
	if depth(raw) > maxDepth {
		return NotJSON
	}
	if raw[0] != '{' {
		return UnknownForm
	}
	if !utf8.Valid(raw) {
		return NotJSON
	}
	w.read(raw)
	n := w.recognise()
	w.def = definitions[max(n, 0)]
	if n >= 0 && w.def.skip {
		return skippedPart
	}
	for _, name := range nested {
		text, _ := w.object[name].(string)
		w.other = w.other || n < 0 && newTestDecoder().isRecord([]byte(text))
	}
	return w.add()
}

// add appends the event of the object.
func (w *twin) add() Reason {
	e, reason := w.event()
	if reason == "" {
		e.Index = w.index
		w.events = append(w.events, e)
	}
	return reason
}

// telemetry reads OpenTelemetry's tree.
func (w *twin) telemetry(raw json.RawMessage, root string) {
	groups, records := "scopeSpans", "spans"
	if root == "resourceLogs" {
		groups, records = "scopeLogs", "logRecords"
	}
	var tree []any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	must(dec.Decode(&tree))
	w.def = otlp
	for _, resource := range tree {
		r, ok := resource.(map[string]any)
		w.other = w.other || !ok || !utf8.Valid(raw) // what becomes of those is for other tests
		w.outer, _ = r["resource"].(map[string]any)
		scopes, _ := r[groups].([]any)
		for _, scope := range scopes {
			s, ok := scope.(map[string]any)
			w.other = w.other || !ok
			list, _ := s[records].([]any)
			for _, record := range list {
				w.object, ok = record.(map[string]any)
				w.other = w.other || !ok
				w.done(w.record(root == "resourceSpans"))
			}
		}
	}
	w.outer = nil
}

func (w *twin) record(span bool) Reason {
	kind := w.at("kind")
	server := kind == "2" || kind == json.Number("2") || kind == "SPAN_KIND_SERVER"
	body, _ := w.object["body"].(map[string]any)
	text, _ := body["stringValue"].(string)
	switch {
	case span && !(server && w.has("method")):
		return skippedPart
	case !span && !(w.has("method") && w.has("status")):
		w.other = w.other || body["kvlistValue"] != nil || newTestDecoder().isRecord([]byte(text))
		return skippedPart
	}
	return w.add()
}

// recognise returns the number of the format, -1 if there is none.
func (w *twin) recognise() int {
	for k := range definitions {
		n := (k + 1) % len(definitions) // the canonical one comes last
		for _, parts := range definitions[n].signatures {
			all := true
			for _, part := range parts {
				p, text, literal := strings.Cut(part, "=")
				v := w.at(p)
				s, _ := v.(string)
				all = all && v != nil && (!literal || s == text)
			}
			if all {
				return n
			}
		}
	}
	return -1
}

// at returns the value at a path, nil if there is none.
func (w *twin) at(p string) any {
	steps, err := parsePath(p)
	must(err)
	var v any = w.object
	if w.outer != nil && w.def.outer != "" && steps[0].name == w.def.outer {
		v = map[string]any{w.def.outer: w.outer}
	}
	above := ""
	for _, s := range steps {
		v = w.step(v, s, strings.HasSuffix(strings.ToLower(above), "headers"))
		above = s.name
	}
	return v
}

func (w *twin) step(v any, s step, fold bool) any {
	switch v := v.(type) {
	case map[string]any:
		if s.element {
			return nil
		}
		return w.member(v, s.name, fold)
	case []any:
		if s.element {
			n := s.index
			if n == -1 {
				n = len(v) - 1
			}
			if n < 0 || n >= len(v) {
				return nil
			}
			return v[n]
		}
		return w.pairs(v, s.name, fold)
	}
	return nil
}

func (w *twin) member(m map[string]any, name string, fold bool) any {
	if !fold {
		return m[name]
	}
	var found []any
	for k, v := range m {
		if len(k) == len(name) && strings.EqualFold(k, name) {
			found = append(found, v)
		}
	}
	if len(found) > 1 {
		w.other = true // maps have no order
	}
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// pairs looks for a name in a list of {"key": …, "value": …}.
func (w *twin) pairs(list []any, name string, fold bool) (found any) {
	for _, item := range list {
		m, _ := item.(map[string]any)
		var keys, values []any
		for k, v := range m {
			switch k {
			case "key", "name", "Name":
				keys = append(keys, v)
			case "value", "Value":
				values = append(values, v)
			}
		}
		w.other = w.other || len(keys) > 1 || len(values) > 1
		if len(keys) != 1 || len(values) != 1 {
			continue
		}
		if key, ok := keys[0].(string); ok && (key == name || fold && len(key) == len(name) && strings.EqualFold(key, name)) {
			found = w.plain(values[0])
		}
	}
	return found
}

// plain is the value that an AnyValue of OpenTelemetry stands for.
func (w *twin) plain(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		return v
	}
	w.other = w.other || len(m) > 1
	for k, inner := range m {
		switch k {
		case "stringValue", "intValue", "boolValue", "doubleValue":
			return inner
		case "arrayValue":
			object, _ := inner.(map[string]any)
			w.other = w.other || len(object) > 1
			if list, _ := object["values"].([]any); len(list) > 0 {
				return w.plain(list[0])
			}
		}
	}
	return v
}

// text is what a source stands for; ok is false for what is there but of the wrong type.
func (w *twin) text(s Source) (text string, there, ok bool) {
	switch {
	case s.Path != "":
		text, there, ok = w.scalar(w.at(s.Path))
	case s.Template != "":
		text, there, ok = s.Template, true, true
		for _, braces := range regexp.MustCompile(`\{[^}]*\}`).FindAllString(s.Template, -1) {
			part, has, good := w.scalar(w.at(braces[1 : len(braces)-1]))
			if !has || part == "" || !good {
				return "", has && !good, false
			}
			text = strings.Replace(text, braces, part, 1)
		}
	}
	if there && ok && s.Part != "" {
		text, there = w.part(text, s.Part)
		ok = there
	}
	if there && ok && s.Values != nil {
		if to, has := s.Values[text]; has {
			text = to
		} else if to, has := s.Values["*"]; has {
			text = to
		}
	}
	if !(there && ok) && s.Default != "" {
		return s.Default, true, true
	}
	return text, there, ok
}

func (w *twin) part(name, attribute string) (string, bool) {
	w.other = w.other || strings.ContainsAny(name, `\+`)
	separator := ","
	if name[0] == '/' {
		name, separator = name[1:], "/"
	}
	for part := range strings.SplitSeq(name, separator) {
		if key, value, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.Trim(key, " \t\n\v\f\r\u0085\u00a0"), attribute) {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

func (w *twin) scalar(v any) (text string, there, ok bool) {
	if list, is := v.([]any); is && !w.def.strict {
		if len(list) == 0 {
			return "", false, false
		}
		if v = list[0]; v == nil {
			return "", false, false
		}
	}
	if b, is := v.(bool); is && !w.def.strict {
		return strconv.FormatBool(b), true, true
	}
	if v == nil {
		return "", false, false
	}
	text, ok = digitsOf(v)
	if _, is := v.(string); is && !w.def.strict && (text == "" || text == "-") {
		return "", false, false
	}
	return text, true, ok
}

// has reports whether a field has a value, good or bad.
func (w *twin) has(name string) bool {
	for _, s := range w.def.mapping[name] {
		if s.Path != "" && s.Values == nil && s.Default == "" && s.Part == "" {
			if w.at(s.Path) != nil {
				return true
			}
		} else if _, there, _ := w.text(s); there {
			return true
		}
	}
	return false
}

// field returns the first text of a field, and reports whether all is well with it.
func (w *twin) field(name string) (string, bool) {
	bad := false
	for _, s := range w.def.mapping[name] {
		text, there, ok := w.text(s)
		if there && ok && text != "" {
			return text, true
		}
		bad = bad || there && !ok
	}
	return "", !bad
}

// word is field for what must be a text.
func (w *twin) word(name string) string {
	for _, s := range w.def.mapping[name] {
		if s.Path != "" && s.Values == nil && s.Default == "" {
			switch w.at(s.Path).(type) {
			case string, []any:
			default:
				continue
			}
		}
		if text, there, ok := w.text(s); there && ok {
			return text
		}
	}
	return ""
}

func (w *twin) event() (e event.Event, reason Reason) {
	for _, name := range []string{"time", "method", "path", "status"} {
		if !w.has(name) && !((name == "method" || name == "path") && w.has("request_line")) {
			return e, MissingField
		}
	}
	if e.Time, reason = w.time(); reason != "" {
		return e, reason
	}
	method, target := w.word("method"), w.word("path")
	if line := w.word("request_line"); line != "" {
		verb, rest, _ := strings.Cut(line, " ")
		if i := strings.LastIndex(rest, " HTTP/"); i >= 0 {
			rest = rest[:i]
		}
		if method == "" {
			method = verb
		}
		if target == "" {
			target = rest
		}
	}
	if !methodForm.MatchString(method) || target == "" {
		if status := w.status(); !w.def.strict && (status == 400 || status == 408) {
			return e, skippedPart
		}
		return e, BadField
	}
	e.Method = strings.ToUpper(method)
	target = origin.ReplaceAllString(target, "")
	target, _, _ = strings.Cut(target, "#")
	path, query, _ := strings.Cut(target, "?")
	if len(path) > MaxPathBytes {
		return e, TooLarge
	}
	if e.Path = path; !strings.HasPrefix(path, "/") {
		e.Path = "/" + path
	}
	if e.Status = w.status(); e.Status == 0 {
		return e, BadField
	}
	for name, field := range map[string]*string{
		"environment": &e.Environment, "api": &e.API, "client_id": &e.ClientID, "subject": &e.Subject, "token_id": &e.TokenID,
		"session_id": &e.SessionID, "route": &e.Route, "user_agent": &e.UserAgent, "request_id": &e.RequestID,
	} {
		var ok bool
		*field, ok = w.field(name)
		w.ignore(name, !ok)
	}
	if !w.def.strict {
		if i := strings.Index(e.Route, " "); i > 0 {
			e.Route = e.Route[i+1:]
		}
		if !strings.HasPrefix(e.Route, "/") || e.Route == e.Path || regexp.MustCompile(`[*<]|\+}`).MatchString(e.Route) {
			e.Route = ""
		}
		segments := strings.Split(e.Route, "/")
		for i, s := range segments {
			if name, ok := strings.CutPrefix(s, ":"); ok && name != "" {
				segments[i] = "{" + name + "}"
			}
		}
		if len(segments) > 1 {
			e.Route = strings.Join(segments, "/")
		}
	}
	w.address(&e)
	if header, _ := w.field("authorization"); e.TokenID == "" {
		e.TokenID = w.credentials(header)
	}
	if e.ClientID == "" && e.Subject == "" && e.TokenID == "" && !e.SourceIP.IsValid() {
		return e, MissingField
	}
	e.RequestSize = w.size("request_bytes")
	e.ResponseSize = w.size("response_bytes")
	e.DurationMS = w.duration()
	for name, field := range map[string]*event.Time{"token_issued_at": &e.TokenIssuedAt, "token_expires_at": &e.TokenExpiresAt} {
		w.each(name, func(s Source, text string, ok bool) bool {
			t, good := anyTime(text)
			if ok && good {
				*field = t
			}
			return ok && good
		})
	}
	w.lists(&e)
	if query == "" {
		query, _ = w.field("query")
	}
	w.queryParameters(query, &e)
	return e, ""
}

// each gives the sources of a field that are there to use, until one is good; if none is, the field is ignored.
func (w *twin) each(name string, use func(s Source, text string, ok bool) bool) {
	bad := false
	for _, s := range w.def.mapping[name] {
		text, there, ok := w.text(s)
		if !there {
			continue
		}
		if use(s, text, ok) {
			return
		}
		bad = true
	}
	w.ignore(name, bad)
}

func (w *twin) status() int32 {
	for _, s := range w.def.mapping["status"] {
		text, there, ok := w.text(s)
		if n, good := integer(text); there && ok && good && n >= 100 && n <= 599 {
			return int32(n)
		}
	}
	return 0
}

func (w *twin) credentials(header string) string {
	scheme, token, ok := strings.Cut(strings.TrimSpace(header), " ")
	if !ok {
		scheme, token = "", scheme
	}
	token = strings.TrimSpace(token)
	word := strings.ToLower(strings.Trim(token, "*<>[](){}_- "))
	switch strings.Trim(word, "x") {
	case "", "redacted", "filtered", "hidden", "masked", "removed":
		return ""
	}
	if scheme = strings.ToLower(scheme); scheme == "negotiate" || scheme == "ntlm" || strings.Contains(token, ",") {
		return ""
	}
	if len(token) < 8 || len(scheme) > 32 {
		return ""
	}
	return token
}

func (w *twin) ignore(name string, is bool) {
	if is {
		w.ignored[name]++
	}
}

func (w *twin) time() (event.Time, Reason) {
	reason := Reason("")
	for _, s := range w.def.mapping["time"] {
		t, why := w.timeOf(s)
		if why == "" {
			return t, ""
		}
		if reason == "" || reason == MissingField {
			reason = why
		}
	}
	return 0, reason
}

func (w *twin) timeOf(s Source) (event.Time, Reason) {
	text, there, ok := w.text(s)
	if !there {
		return 0, MissingField
	}
	if !ok {
		return 0, BadField
	}
	t, ok := timeIn(text, s.Unit)
	switch {
	case !ok || t.Std().Year() < 2000:
		return 0, BadTime
	case t > w.now+event.Time(DefaultMaxFuture.Milliseconds()):
		return 0, Future
	}
	return t, ""
}

// nanoseconds of a unit.
var unitNanos = map[string]int64{"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}

func timeIn(s, unit string) (event.Time, bool) {
	switch {
	case unit == "clf":
		return clfTime(s)
	case unitNanos[unit] == 0:
		return anyTime(s)
	case len(s) > 4 && s[4] == '-':
		return stdTime(s)
	case !jsonNumber.MatchString(s) || s[0] == '-':
		return 0, false
	}
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if f *= float64(unitNanos[unit]); err != nil || f > math.MaxInt64/2 {
			return 1e15, true
		}
		return event.Time(int64(f) / 1e6), true
	}
	exact, _ := new(big.Rat).SetString(s)
	exact.Mul(exact, big.NewRat(unitNanos[unit], 1e6))
	milli := new(big.Int).Quo(exact.Num(), exact.Denom())
	if !milli.IsInt64() || milli.Int64() > 1e15 {
		return 1e15, true
	}
	return event.Time(milli.Int64()), true
}

var clfForm = regexp.MustCompile(`^(\d\d)/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?: (?:[Zz]|([+-])(\d\d):?(\d\d)))?$`)

func clfTime(s string) (event.Time, bool) {
	m := clfForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	month, _ := time.Parse("Jan", m[2])
	iso := fmt.Sprintf("%s-%02d-%sT%s:%s:%s", m[3], month.Month(), m[1], m[4], m[5], m[6])
	if m[7] != "" {
		iso += "." + m[7]
	}
	if m[8] == "" {
		return stdTime(iso + "Z")
	}
	return stdTime(iso + m[8] + m[9] + ":" + m[10])
}

func (w *twin) duration() (ms float64) {
	w.each("duration_ms", func(s Source, text string, ok bool) bool {
		var good bool
		if s.Since != "" {
			begin, _, _ := w.scalar(w.at(s.Since))
			ms, good = between(begin, text, s.Unit)
		} else {
			ms, good = milliseconds(text, s.Unit)
		}
		if !ok || !good {
			ms = 0
		}
		return ok && good
	})
	return ms
}

func between(begin, end, unit string) (float64, bool) {
	from, ok := nanosOf(begin, unit)
	to, ok2 := nanosOf(end, unit)
	if !ok || !ok2 || to < from {
		return 0, false
	}
	return float64(to-from) / 1e6, true
}

func nanosOf(s, unit string) (int64, bool) {
	if len(s) > 4 && s[4] == '-' {
		m := rfc3339.FindStringSubmatch(s)
		t, ok := stdTime(s)
		if !ok || t < -9e12 || t > 9e12 {
			return 0, false
		}
		sub, _ := strconv.Atoi((m[7] + "000000000")[:9])
		return int64(t)/1000*1e9 + int64(sub), true
	}
	if !jsonNumber.MatchString(s) {
		return 0, false
	}
	if unit == "" {
		t, ok := anyTime(s)
		return int64(t) * 1e6, ok && t > -9e12 && t < 9e12
	}
	if strings.ContainsAny(s, "-eE") {
		f, err := strconv.ParseFloat(s, 64)
		f *= float64(unitNanos[unit])
		return int64(f), err == nil && math.Abs(f) < math.MaxInt64/2
	}
	exact, _ := new(big.Rat).SetString(s)
	exact.Mul(exact, big.NewRat(unitNanos[unit], 1))
	nanos := new(big.Int).Quo(exact.Num(), exact.Denom())
	return nanos.Int64(), nanos.IsInt64() && nanos.Int64() < math.MaxInt64-2e9
}

func milliseconds(s, unit string) (float64, bool) {
	if unit != "" && unit != "ms" {
		if len(s) > 4 && s[4] == '-' {
			return 0, false
		}
		if nanos, ok := nanosOf(s, unit); ok && nanos >= 0 {
			return float64(nanos) / 1e6, true
		}
		f, ok := number(s)
		return 0, ok && f == -1
	}
	f, ok := number(s)
	if !ok || f < 0 && f != -1 {
		return 0, false
	}
	return max(f, 0), true
}

var (
	methodForm = regexp.MustCompile(`^[A-Za-z_-]{1,20}$`)
	origin     = regexp.MustCompile(`^[A-Za-z0-9+.-]+://[^/?#]*`)
	quoted     = regexp.MustCompile(`\+|%[0-9a-fA-F]{2}`)
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	rfc3339    = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))$`)
)

func anyTime(s string) (event.Time, bool) {
	if len(s) > 4 && s[4] == '-' {
		return stdTime(s)
	}
	if !jsonNumber.MatchString(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	if strings.ContainsAny(s, "-eE") || f >= 1e15 {
		if math.Abs(f) < 1e11 {
			f = math.Round(f * 1000)
		}
		return event.Time(max(-1e15, min(f, 1e15))), true
	}
	exact, _ := new(big.Rat).SetString(s)
	if exact.Cmp(big.NewRat(1e11, 1)) < 0 {
		exact.Mul(exact, big.NewRat(1000, 1))
	}
	return event.Time(new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()), true
}

func stdTime(s string) (event.Time, bool) {
	m := rfc3339.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
	if n(2) < 1 || n(2) > 12 || n(4) > 23 || n(5) > 59 || n(6) > 60 || n(9) > 23 || n(10) > 59 {
		return 0, false
	}
	if day := time.Date(n(1), time.Month(n(2)), n(3), 0, 0, 0, 0, time.UTC); day.Day() != n(3) {
		return 0, false
	}
	milli, _ := strconv.Atoi((m[7] + "000")[:3])
	offset := n(9)*3600 + n(10)*60
	if m[8] == "-" {
		offset = -offset
	}
	t := time.Date(n(1), time.Month(n(2)), n(3), n(4), n(5), n(6), milli*1e6, time.FixedZone("", offset))
	return event.TimeOf(t), true
}

func digitsOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

func number(s string) (float64, bool) {
	if !jsonNumber.MatchString(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func integer(s string) (int64, bool) {
	if len(s) <= 18 && jsonNumber.MatchString(s) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, true
		}
	}
	f, ok := number(s)
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

func (w *twin) size(name string) (size int64) {
	w.each(name, func(_ Source, text string, ok bool) bool {
		n, good := integer(text)
		if ok && good && n >= -1 {
			size = max(n, 0)
		}
		return ok && good && n >= -1
	})
	return size
}

func (w *twin) address(e *event.Event) {
	w.each("source_ip", func(_ Source, text string, ok bool) bool {
		if text == "" && ok {
			return true
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			var p netip.AddrPort
			if p, err = netip.ParseAddrPort(text); err != nil {
				return false
			}
			addr = p.Addr()
		} else if addr.Is4() {
			e.IPText = addr.String()
		}
		e.SourceIP = addr.Unmap().WithZone("")
		return true
	})
}

func (w *twin) lists(e *event.Event) {
	for _, s := range w.def.mapping["scopes"] {
		v := w.at(s.Path)
		if v == nil {
			continue
		}
		w.ignore("scopes", !w.scopes(v, e))
		if len(e.Scopes) > 0 {
			break
		}
	}
	if object := w.at("attributes"); object != nil && w.def.strict {
		w.ignore("attributes", !w.attributes(object, e))
	}
	for name := range w.def.mapping {
		if key, ok := strings.CutPrefix(name, attributePrefix); ok {
			text, ok := w.field(name)
			w.ignore("attributes", !ok)
			if text != "" {
				e.Attributes = append(e.Attributes, event.Attribute{Key: key, Value: text})
			}
		}
	}
}

func (w *twin) scopes(v any, e *event.Event) (good bool) {
	good = true
	switch v := v.(type) {
	case string:
		if !w.def.strict {
			v = strings.ReplaceAll(v, ",", " ")
			if v == "-" {
				v = ""
			}
		}
		e.Scopes = strings.Fields(v)
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			good = good && ok
			if ok && s != "" {
				e.Scopes = append(e.Scopes, s)
			}
		}
	default:
		good = false
	}
	if len(e.Scopes) == 0 {
		e.Scopes = nil
	}
	return good
}

func (w *twin) attributes(v any, e *event.Event) bool {
	object, good := v.(map[string]any)
	for key, v := range object {
		s, ok := digitsOf(v)
		if b, is := v.(bool); is {
			s, ok = strconv.FormatBool(b), true
		}
		good = good && (ok || v == nil)
		if s != "" {
			e.Attributes = append(e.Attributes, event.Attribute{Key: key, Value: s})
		}
	}
	return good
}

func (w *twin) queryParameters(query string, e *event.Event) {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key = slowUnquote(key); value == "" || !slices.Contains(w.query, key) {
			continue
		}
		key, value = "query."+key, slowUnquote(value)
		i := slices.IndexFunc(e.Attributes, func(a event.Attribute) bool { return a.Key == key })
		if i < 0 {
			e.Attributes = append(e.Attributes, event.Attribute{Key: key, Value: value})
		} else {
			e.Attributes[i].Value += "," + value
		}
	}
}

func slowUnquote(s string) string {
	decoded := quoted.ReplaceAllStringFunc(s, func(m string) string {
		if m == "+" {
			return " "
		}
		b, _ := strconv.ParseUint(m[1:], 16, 8)
		return string([]byte{byte(b)})
	})
	if !utf8.ValidString(decoded) {
		return s
	}
	return decoded
}

func depth(raw []byte) int {
	dec := json.NewDecoder(bytes.NewReader(raw))
	deepest, now := 0, 0
	for {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				now++
				deepest = max(deepest, now)
			} else {
				now--
			}
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
