package elastic

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// ecsVersion is the version of the Elastic Common Schema whose fields documents use.
const ecsVersion = "8.11.0"

// severities are the numbers by which Elastic's rule External Alerts tells severities; it knows none for info.
var severities = map[alert.Severity]int{alert.Info: 1, alert.Low: 21, alert.Medium: 47, alert.High: 73, alert.Critical: 99}

// document is a JSON object that is filled by the names of its fields.
type document map[string]any

// put sets the field that a dotted name leads to, unless the value says nothing.
func (d document) put(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	}
	at := d
	parts := strings.Split(name, ".")
	for _, part := range parts[:len(parts)-1] {
		inner, ok := at[part].(document)
		if !ok {
			inner = document{}
			at[part] = inner
		}
		at = inner
	}
	at[parts[len(parts)-1]] = value
}

func newDocument(dataset, id string, version int, at alert.Time, emitted *alert.Time) document {
	d := document{"@timestamp": at}
	d.put("ecs.version", ecsVersion)
	d.put("event.module", "gatewatch")
	d.put("event.dataset", dataset)
	d.put("event.id", id)
	d.put("event.sequence", version)
	d.put("observer.vendor", "gatewatch")
	d.put("observer.product", "gatewatch")
	d.put("observer.type", "api-gateway-monitor")
	if emitted != nil {
		d.put("event.created", *emitted)
	}
	return d
}

// alertDocument returns the fields of an alert; gatewatch.alert holds it as a whole.
func alertDocument(a *alert.Alert) document {
	d := newDocument("gatewatch.alerts", a.ID, a.Version, a.DetectedAt, a.EmittedAt)
	d.put("message", a.Rule.Title)
	d.put("tags", a.Rule.Tags)
	d.put("event.kind", "alert")
	d.put("event.category", []string{"api", "intrusion_detection"})
	d.put("event.type", []string{"info"})
	d.put("event.action", string(a.State))
	d.put("event.reason", a.Summary)
	d.put("event.severity", severities[a.Rule.Severity])
	d.put("event.start", a.FirstSeen)
	d.put("event.end", a.LastSeen)
	d.put("event.duration", int64(a.LastSeen-a.FirstSeen)*1_000_000)
	if a.Risk != nil {
		d.put("event.risk_score", *a.Risk)
	}
	d.put("rule.id", a.Rule.ID)
	d.put("rule.name", a.Rule.Title)
	putThreat(d, sinks.Techniques(a.Rule.Tags))
	putWho(d, a)
	d.put("gatewatch.state", string(a.State))
	d.put("gatewatch.entity.kind", a.Entity.Kind)
	d.put("gatewatch.entity.id", a.Entity.ID)
	d.put("gatewatch.observed.value", a.Observed.Value)
	d.put("gatewatch.observed.limit", a.Observed.Limit)
	d.put("gatewatch.advice", a.Rule.Advice)
	d.put("gatewatch.alert", a)
	return d
}

func putThreat(d document, ids []string) {
	var techniques, subs []string
	for _, id := range ids {
		technique, _, sub := strings.Cut(id, ".")
		if !slices.Contains(techniques, technique) {
			techniques = append(techniques, technique)
		}
		if sub {
			subs = append(subs, id)
		}
	}
	if len(ids) > 0 {
		d.put("threat.framework", "MITRE ATT&CK")
	}
	d.put("threat.technique.id", techniques)
	d.put("threat.technique.subtechnique.id", subs)
}

// putWho fills the fields that say who it was from the latest evidence, and all who took part from related.
func putWho(d document, a *alert.Alert) {
	d.put("related.ip", addresses(a.Related["source_ip"]))
	d.put("related.user", slices.Concat(a.Related["subject"], a.Related["client_id"]))
	if len(a.Evidence) == 0 {
		return
	}
	e := a.Evidence[len(a.Evidence)-1]
	d.put("source.address", e.SourceIP)
	if ip := addresses([]string{e.SourceIP}); len(ip) == 1 {
		d.put("source.ip", ip[0])
	}
	d.put("source.geo.country_iso_code", e.Country)
	d.put("user.id", e.Subject)
	d.put("http.request.method", e.Method)
	d.put("http.request.id", e.RequestID)
	d.put("http.response.status_code", e.Status)
	d.put("url.path", e.Path)
	d.put("user_agent.original", e.UserAgent)
}

// addresses returns those that are IP addresses and no pseudonyms.
func addresses(texts []string) (ips []string) {
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil {
			ips = append(ips, ip.WithZone("").String())
		}
	}
	return ips
}

// blindSpotDocument returns the fields of a blind spot; gatewatch.blind_spot holds it as a whole.
func blindSpotDocument(b *alert.BlindSpot) document {
	d := newDocument("gatewatch.blind_spots", b.ID, b.Version, b.To, b.EmittedAt)
	d.put("message", b.Detail)
	d.put("event.kind", "event") // of no category: none of the schema's is for gaps in what was seen
	d.put("event.action", string(b.State))
	d.put("event.reason", string(b.Cause))
	d.put("event.start", b.From)
	d.put("event.end", b.To)
	d.put("gatewatch.state", string(b.State))
	d.put("gatewatch.blind_spot", b)
	return d
}
