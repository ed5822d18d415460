package syslog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// CEF is the Common Event Format of ArcSight, version 0: a head of seven parts and an extension of key=value.

// cefSeverities are 0 to 10.
var cefSeverities = map[alert.Severity]string{alert.Info: "1", alert.Low: "3", alert.Medium: "5", alert.High: "8", alert.Critical: "10"}

var (
	escapeHead  = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
	escapeValue = strings.NewReplacer(`\`, `\\`, `=`, `\=`)
)

// cef builds one record.
type cef struct {
	strings.Builder
	most int // bytes of a value
}

const cefVersion = "1" // of our forms, not of the program

func newCEF(most int, signature, name, severity string) *cef {
	c := &cef{most: most}
	c.WriteString("CEF:0|gatewatch|gatewatch|" + cefVersion + "|")
	for i, part := range []string{cut(signature, 1023), cut(name, 512), severity} {
		if i > 0 {
			c.WriteByte('|')
		}
		c.WriteString(escapeHead.Replace(clean(part)))
	}
	c.WriteByte('|')
	return c
}

// cut shortens s to at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// add appends key=value unless the value is empty.
func (c *cef) add(key, value string) {
	if value == "" {
		return
	}
	if s := c.String(); !strings.HasSuffix(s, "|") || strings.HasSuffix(s, `\|`) {
		c.WriteByte(' ')
	}
	c.WriteString(key + "=" + escapeValue.Replace(clean(cut(value, c.most))))
}

// Values are cut to maxValue, which the dictionary allows for most keys, and further, to no less than minValue, when the record
// is too long for a message.
const (
	maxValue = 1023
	minValue = 64
)

func (c *cef) labelled(key, label, value string) {
	if value != "" {
		c.add(key, value)
		c.add(key+"Label", label)
	}
}

func (c *cef) time(key string, t alert.Time) { c.add(key, strconv.FormatInt(int64(t), 10)) }

func alertCEF(a *alert.Alert, most int) string {
	c := newCEF(most, a.Rule.ID, a.Rule.Title, cefSeverities[a.Rule.Severity])
	c.time("rt", a.DetectedAt)
	c.time("start", a.FirstSeen)
	c.time("end", a.LastSeen)
	c.add("externalId", a.ID)
	c.add("act", string(a.State))
	c.add("cat", category(a.Rule.Tags))
	c.add("msg", a.Summary)
	c.add("reason", a.Rule.Advice)
	c.add("src", first(a, "source_ip"))
	c.add("suser", first(a, "subject"))
	c.evidence(a.Evidence)
	c.labelled("cs1", "entity", a.Entity.Kind+" "+a.Entity.ID)
	c.labelled("cs2", "clients", strings.Join(a.Related["client_id"], ","))
	c.labelled("cs3", "tokens", strings.Join(a.Related["token_id"], ","))
	c.labelled("cs4", "countries", strings.Join(a.Related["country"], ","))
	c.labelled("cs5", "routes", strings.Join(a.Related["route"], ","))
	c.labelled("cs6", "tags", strings.Join(a.Rule.Tags, ","))
	c.labelled("cn1", "version", strconv.Itoa(a.Version))
	c.labelled("cfp1", "observed "+a.Observed.Unit, number(a.Observed.Value))
	c.labelled("cfp2", "limit", number(a.Observed.Limit))
	if a.Risk != nil {
		c.labelled("cfp3", "risk", number(*a.Risk))
	}
	if usual, ok := a.Baseline["usual"].(float64); ok {
		c.labelled("cfp4", "usual", number(usual))
	}
	return c.String()
}

// evidence says what the latest piece of evidence was.
func (c *cef) evidence(all []alert.Evidence) {
	if len(all) == 0 {
		return
	}
	e := all[len(all)-1]
	c.add("app", "HTTP")
	c.add("requestMethod", e.Method)
	c.add("request", e.Path)
	c.add("requestClientApplication", e.UserAgent)
	if e.Status > 0 {
		c.add("outcome", strconv.Itoa(e.Status))
	}
}

func blindSpotCEF(b *alert.BlindSpot, most int) string {
	c := newCEF(most, "blind-spot-"+string(b.Cause), "gatewatch could not see", "3")
	c.time("start", b.From)
	c.time("end", b.To)
	c.add("externalId", b.ID)
	c.add("act", string(b.State))
	c.add("cat", "blind spot")
	c.add("msg", b.Detail)
	c.add("cnt", strconv.FormatUint(b.Count, 10))
	c.labelled("cs1", "rules", strings.Join(b.Rules, ","))
	c.labelled("cs2", "topic", b.Topic)
	c.labelled("cs3", "sink", b.Sink)
	c.labelled("cn1", "version", strconv.Itoa(b.Version))
	return c.String()
}

func first(a *alert.Alert, kind string) string {
	if a.Entity.Kind == kind {
		return a.Entity.ID
	}
	if values := a.Related[kind]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// category is the first tag that names a category of the OWASP API Security Top 10.
func category(tags []string) string {
	for _, tag := range tags {
		if strings.HasPrefix(tag, "owasp:") {
			return tag
		}
	}
	return ""
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
