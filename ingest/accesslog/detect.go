package accesslog

import "strings"

// envelope is something that holds records.
type envelope uint8

const (
	noEnvelope    envelope = iota
	listEnvelope           // an array of records
	spansEnvelope          // OpenTelemetry's resourceSpans
	logsEnvelope           // OpenTelemetry's resourceLogs
)

// envelopes are the members of an object that hold its records: of Azure's Event Hubs, of CloudTrail's files, of
// CloudWatch's subscriptions, and of OTLP.
var envelopes = [...]struct {
	name string
	kind envelope
}{
	{"records", listEnvelope}, {"Records", listEnvelope}, {"logEvents", listEnvelope},
	{"resourceSpans", spansEnvelope}, {"resourceLogs", logsEnvelope},
}

// nested are the members of an object that may hold a record as text: Fluent Bit writes log, most others message.
var nested = [...]string{"message", "log"}

// definitions are all formats that are told apart by content. The canonical one is tried last: what other formats add to the
// same names means more.
var definitions = []definition{
	canonical, apigee, apisix, awsAPIGateway, azureAPIM, caddy, cloudTrail, ecs, envoy, gravitee, haproxy, kong, kongOther, krakend,
	mulesoft, mulesoftOther, nginx, ocsf, otlp, traefik, tyk,
}

// signaturePart is one part of the signatures of all formats.
type signaturePart struct {
	path string
	text string // that the value must be; empty: any
	bit  partSet
}

// detection tells formats apart. It is the same for all decoders.
type detection struct {
	parts      []signaturePart
	signatures []signature // in order
}

type signature struct {
	format int // in definitions
	parts  partSet
	texts  []int // parts that must be a certain text
}

var detecting = newDetection(definitions)

func newDetection(all []definition) *detection {
	d := &detection{}
	for k := range all {
		i := (k + 1) % len(all)
		for _, parts := range all[i].signatures {
			s := signature{format: i}
			for _, part := range parts {
				n := d.part(part)
				s.parts.add(d.parts[n].bit)
				if d.parts[n].text != "" {
					s.texts = append(s.texts, n)
				}
			}
			d.signatures = append(d.signatures, s)
		}
	}
	return d
}

func (d *detection) part(part string) int {
	path, text, _ := strings.Cut(part, "=")
	for i, p := range d.parts {
		if p.path == path && p.text == text {
			return i
		}
	}
	d.parts = append(d.parts, signaturePart{path, text, bit(len(d.parts))})
	return len(d.parts) - 1
}

// of returns which format the object is that was just read, -1 if it has no signature. The answer depends on the object
// alone.
func (d *detection) of(s *scanner, f *format) int {
	for i := range d.signatures {
		g := &d.signatures[i]
		if f.tree.found.holds(g.parts) && d.texts(s, f, g) {
			return g.format
		}
	}
	return -1
}

func (d *detection) texts(s *scanner, f *format, g *signature) bool {
	for _, n := range g.texts {
		p := &d.parts[n]
		v := f.tree.values[f.parts[n]]
		if v.first != '"' || string(f.tree.plain(s, int(v.from+1), int(v.to-1))) != p.text {
			return false
		}
	}
	return true
}
