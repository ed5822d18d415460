package syslog

import (
	"bytes"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// severities are those of RFC 5424, section 6.2.1.
var severities = map[alert.Severity]int{alert.Critical: 2, alert.High: 3, alert.Medium: 4, alert.Low: 5, alert.Info: 6}

const notice = 5

// structured names our element. 32473 is the enterprise number that RFC 5612 sets aside for what has none.
const structured = "gatewatch@32473"

// param is one parameter of the structured data.
type param struct{ name, value string }

func (s *Sink) alertMessage(a *alert.Alert) ([]byte, error) {
	severity, ok := severities[a.Rule.Severity]
	if !ok {
		severity = notice
	}
	head := s.head(severity, orElse(a.EmittedAt, a.DetectedAt), "alert", []param{
		{"id", a.ID}, {"version", strconv.Itoa(a.Version)}, {"state", string(a.State)}, {"rule", a.Rule.ID},
		{"entity_kind", a.Entity.Kind}, {"entity_id", a.Entity.ID},
	})
	if s.config.Format == CEF {
		return s.fitCEF(head, func(most int) string { return alertCEF(a, most) })
	}
	for cuts := 0; ; cuts++ {
		short, more := shortened(a, cuts)
		m, err := appendJSON(head, short)
		if err != nil || len(m) <= s.config.MaxMessageBytes {
			return m, err
		}
		if !more {
			return s.fit(m)
		}
	}
}

// shortened is the alert after so many cuts, and whether more can be cut. Each leaves the beginning and the end of half of the
// evidence, until none is left; then go what the alert relates to and the details, which callers can fill with long texts.
func shortened(a *alert.Alert, cuts int) (short *alert.Alert, more bool) {
	if cuts == 0 {
		return a, true
	}
	c := *a
	evidence := len(a.Evidence) >> cuts
	first := (evidence + 1) / 2
	c.Evidence = append(append([]alert.Evidence{}, a.Evidence[:first]...), a.Evidence[len(a.Evidence)-(evidence-first):]...)
	beyond := cuts - bits.Len(uint(len(a.Evidence)))
	if beyond > 0 {
		c.Related = map[string][]string{}
	}
	if beyond > 1 {
		c.Baseline, c.Observed.Detail = nil, nil
	}
	return &c, beyond < 2
}

func appendJSON(head []byte, a *alert.Alert) ([]byte, error) {
	var b bytes.Buffer
	b.Write(head)
	if err := sinks.WriteJSON(&b, a); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (s *Sink) blindSpotMessage(b *alert.BlindSpot) ([]byte, error) {
	head := s.head(notice, orElse(b.EmittedAt, b.To), "blind_spot", []param{
		{"id", b.ID}, {"version", strconv.Itoa(b.Version)}, {"state", string(b.State)}, {"cause", string(b.Cause)},
	})
	if s.config.Format == CEF {
		return s.fitCEF(head, func(most int) string { return blindSpotCEF(b, most) })
	}
	m := bytes.NewBuffer(head)
	if err := sinks.WriteBlindSpot(m, b); err != nil {
		return nil, err
	}
	return s.fit(bytes.TrimSuffix(m.Bytes(), []byte("\n")))
}

func orElse(t *alert.Time, other alert.Time) alert.Time {
	if t != nil {
		return *t
	}
	return other
}

func (s *Sink) fit(m []byte) ([]byte, error) {
	if len(m) > s.config.MaxMessageBytes {
		return nil, fmt.Errorf("the message has %d bytes, more than max_message_bytes %d", len(m), s.config.MaxMessageBytes)
	}
	return m, nil
}

// fitCEF cuts all values shorter until the record fits.
func (s *Sink) fitCEF(head []byte, record func(most int) string) ([]byte, error) {
	for most := maxValue; ; most /= 2 {
		m := append(head, record(most)...)
		if len(m) <= s.config.MaxMessageBytes || most < minValue {
			return s.fit(m)
		}
	}
}

// head is everything before the message: RFC 5424, section 6.
func (s *Sink) head(severity int, at alert.Time, id string, params []param) []byte {
	b := fmt.Appendf(nil, "<%d>1 %s %s %s - %s [%s", s.facility*8+severity, at.Std().Format(time.RFC3339Nano), s.hostname, orDash(s.config.AppName), id, structured)
	for _, p := range params {
		b = append(append(append(append(b, ' '), p.name...), `="`...), escapeParam.Replace(clean(p.value))...)
		b = append(b, '"')
	}
	return append(b, "] "...)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

var escapeParam = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// clean replaces what is no text: control characters could end a line, and so a message, early.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}
