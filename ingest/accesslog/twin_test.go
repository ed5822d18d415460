package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
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

// twin decodes records with encoding/json, slowly and obviously. It knows only records that are JSON from beginning to
// end; how much of a broken one is saved is for other tests.
type twin struct {
	now     event.Time
	query   []string
	events  []event.Event
	reasons map[int32]Reason
	ignored map[string]int
	index   int32
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
	return true
}

func (w *twin) top(raw json.RawMessage) {
	var list []json.RawMessage
	if raw[0] == '{' {
		list = []json.RawMessage{raw}
		var envelope map[string]json.RawMessage
		must(json.Unmarshal(raw, &envelope))
		t, hasTime := envelope["time"]
		if records := bytes.TrimSpace(envelope["records"]); len(records) > 0 && records[0] == '[' && (!hasTime || string(t) == "null") {
			list = nil
			must(json.Unmarshal(records, &list))
		}
	} else if raw[0] == '[' {
		must(json.Unmarshal(raw, &list))
	} else {
		list = []json.RawMessage{raw}
	}
	for _, element := range list {
		if reason := w.element(element); reason != "" {
			w.reasons[w.index] = reason
		}
		w.index++
	}
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
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	must(dec.Decode(&m))
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
	e, reason := w.event(m)
	if reason == "" {
		e.Index = w.index
		w.events = append(w.events, e)
	}
	return reason
}

func (w *twin) event(m map[string]any) (e event.Event, reason Reason) {
	for _, name := range []string{"time", "method", "path", "status"} {
		if _, ok := m[name]; !ok {
			return e, MissingField
		}
	}
	if e.Time, reason = w.time(m["time"]); reason != "" {
		return e, reason
	}
	method, _ := m["method"].(string)
	if !methodForm.MatchString(method) {
		return e, BadField
	}
	e.Method = strings.ToUpper(method)
	target, _ := m["path"].(string)
	if target == "" {
		return e, BadField
	}
	target = origin.ReplaceAllString(target, "")
	target, _, _ = strings.Cut(target, "#")
	path, query, _ := strings.Cut(target, "?")
	if len(path) > MaxPathBytes {
		return e, TooLarge
	}
	if e.Path = path; !strings.HasPrefix(path, "/") {
		e.Path = "/" + path
	}
	status, ok := integer(m["status"])
	if !ok || status < 100 || status > 599 {
		return e, BadField
	}
	e.Status = int32(status)
	for name, field := range map[string]*string{
		"environment": &e.Environment, "api": &e.API, "client_id": &e.ClientID, "subject": &e.Subject, "token_id": &e.TokenID,
		"session_id": &e.SessionID, "route": &e.Route, "user_agent": &e.UserAgent, "request_id": &e.RequestID,
	} {
		*field, ok = scalarText(m[name])
		w.ignore(name, !ok)
	}
	w.address(m["source_ip"], &e)
	if e.ClientID == "" && e.Subject == "" && e.TokenID == "" && !e.SourceIP.IsValid() {
		return e, MissingField
	}
	e.RequestSize = w.size(m, "request_bytes")
	e.ResponseSize = w.size(m, "response_bytes")
	if v, present := m["duration_ms"]; present {
		f, ok := number(v)
		ok = ok && (f >= 0 || f == -1)
		w.ignore("duration_ms", !ok)
		if ok {
			e.DurationMS = max(f, 0)
		}
	}
	for name, field := range map[string]*event.Time{"token_issued_at": &e.TokenIssuedAt, "token_expires_at": &e.TokenExpiresAt} {
		if v, present := m[name]; present {
			*field, ok = anyTime(v)
			w.ignore(name, !ok)
		}
	}
	w.lists(m, &e)
	w.queryParameters(query, &e)
	return e, ""
}

func (w *twin) ignore(name string, is bool) {
	if is {
		w.ignored[name]++
	}
}

func (w *twin) time(v any) (event.Time, Reason) {
	switch v.(type) {
	case string, json.Number:
	default:
		return 0, BadField
	}
	t, ok := anyTime(v)
	switch {
	case !ok || t.Std().Year() < 2000:
		return 0, BadTime
	case t > w.now+event.Time(DefaultMaxFuture.Milliseconds()):
		return 0, Future
	}
	return t, ""
}

var (
	methodForm = regexp.MustCompile(`^[A-Za-z_-]{1,20}$`)
	origin     = regexp.MustCompile(`^[A-Za-z0-9+.-]+://[^/?#]*`)
	quoted     = regexp.MustCompile(`\+|%[0-9a-fA-F]{2}`)
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	rfc3339    = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))$`)
)

func anyTime(v any) (event.Time, bool) {
	s, ok := digitsOf(v)
	if !ok {
		return 0, false
	}
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

func scalarText(v any) (string, bool) {
	if v == nil {
		return "", true
	}
	return digitsOf(v)
}

func number(v any) (float64, bool) {
	s, ok := digitsOf(v)
	if !ok || !jsonNumber.MatchString(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func integer(v any) (int64, bool) {
	if s, ok := digitsOf(v); ok && len(s) <= 18 && jsonNumber.MatchString(s) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, true
		}
	}
	f, ok := number(v)
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

func (w *twin) size(m map[string]any, name string) int64 {
	v, present := m[name]
	if !present {
		return 0
	}
	n, ok := integer(v)
	ok = ok && n >= -1
	w.ignore(name, !ok)
	if !ok {
		return 0
	}
	return max(n, 0)
}

func (w *twin) address(v any, e *event.Event) {
	s, ok := scalarText(v)
	w.ignore("source_ip", !ok)
	if !ok || s == "" {
		return
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		var p netip.AddrPort
		if p, err = netip.ParseAddrPort(s); err != nil {
			w.ignore("source_ip", true)
			return
		}
		addr = p.Addr()
	} else if addr.Is4() {
		e.IPText = addr.String()
	}
	e.SourceIP = addr.Unmap().WithZone("")
}

func (w *twin) lists(m map[string]any, e *event.Event) {
	if v, present := m["scopes"]; present {
		bad := false
		switch v := v.(type) {
		case string:
			e.Scopes = strings.Fields(v)
		case []any:
			for _, item := range v {
				s, ok := item.(string)
				bad = bad || !ok
				if ok && s != "" {
					e.Scopes = append(e.Scopes, s)
				}
			}
		default:
			bad = true
		}
		if len(e.Scopes) == 0 {
			e.Scopes = nil
		}
		w.ignore("scopes", bad)
	}
	if v, present := m["attributes"]; present {
		object, ok := v.(map[string]any)
		bad := !ok
		for key, v := range object {
			s, ok := scalarText(v)
			if b, is := v.(bool); is {
				s, ok = strconv.FormatBool(b), true
			}
			bad = bad || !ok
			if s != "" {
				e.Attributes = append(e.Attributes, event.Attribute{Key: key, Value: s})
			}
		}
		w.ignore("attributes", bad)
	}
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
