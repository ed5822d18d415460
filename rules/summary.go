package rules

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Summary is a rule as a list shows it.
type Summary struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Severity    string   `json:"severity"`
	Mode        string   `json:"mode"`
	Detect      string   `json:"detect"`
	By          string   `json:"by"` // the fields joined by "+"
	Where       string   `json:"where"`
	Window      string   `json:"window,omitempty"`
	Limit       string   `json:"limit,omitempty"`
	CloseAfter  string   `json:"close_after"`
	Tags        []string `json:"tags"`
	Contracts   []string `json:"contracts,omitempty"` // against which it holds requests
	NeedsGeo    []string `json:"needs_geo"`           // of city, asn, anonymous: the databases without which it is blind
	Fingerprint string   `json:"fingerprint"`
	File        string   `json:"file"`
	Line        int      `json:"line"`
}

// String returns the mode as a rule file writes it.
func (m Mode) String() string {
	if m == Shadow {
		return "shadow"
	}
	return "enforce"
}

// Summary describes the rule in texts.
func (r *Rule) Summary() Summary {
	s := Summary{
		ID: r.ID, Title: r.Title, Severity: string(r.Severity), Mode: r.Mode.String(), Detect: r.Detection.Kind(), By: r.EntityKind(),
		Where: r.Filter.String(), Limit: limitText(r.Detection), CloseAfter: formatDuration(r.CloseAfter), Tags: r.Tags,
		NeedsGeo: r.NeedsGeo().names(), Fingerprint: hex.EncodeToString(r.Fingerprint[:]), File: r.File, Line: r.Line,
	}
	if r.Window > 0 {
		s.Window = formatDuration(r.Window)
	}
	if d, ok := r.Detection.(*Contracted); ok {
		s.Contracts = d.contractIDs()
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	return s
}

func (n GeoNeed) names() []string {
	names := []string{}
	if n.City {
		names = append(names, "city")
	}
	if n.ASN {
		names = append(names, "asn")
	}
	if n.Anonymity {
		names = append(names, "anonymous")
	}
	return names
}

// limitText says what a finding is more than.
func limitText(d Detection) string {
	switch d := d.(type) {
	case *Distinct:
		noun := d.Noun
		if noun == "" {
			noun = d.Count.String()
		}
		return strconv.Itoa(d.Limit) + " " + noun
	case *Rate:
		return d.limitText()
	case *Travel:
		return formatNumber(d.SpeedKMH) + " km/h"
	case *Simultaneous:
		return strings.TrimSpace(fmt.Sprintf("%d %s", d.Limit, event.FieldOf(d.Across)))
	case *Sequence:
		return d.words()
	case *Enumeration:
		return d.limitText()
	case *Inventory:
		return requestLimit(float64(d.Limit))
	case *Contracted:
		return d.limitText()
	case *Risk:
		return formatNumber(d.Limit) + " points"
	}
	return ""
}

func (d *Rate) limitText() string {
	switch {
	case d.Share != nil:
		return formatNumber(d.Limit*100) + " % of at least " + strconv.Itoa(d.Min)
	case d.Sum.Kind() == event.DurationMS:
		return formatNumber(d.Limit) + " ms"
	case d.Sum != (event.Field{}):
		return formatSize(d.Limit)
	}
	return requestLimit(d.Limit)
}

func requestLimit(limit float64) string {
	if limit == 1 {
		return "1 request"
	}
	return formatNumber(limit) + " requests"
}

// formatSize writes bytes with the largest decimal unit that leaves at most three digits after the point.
func formatSize(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for ; bytes >= 1000 && i < len(units)-1; i++ {
		bytes /= 1000
	}
	return strconv.FormatFloat(bytes, 'g', 6, 64) + " " + units[i]
}
