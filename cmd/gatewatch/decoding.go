package main

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest"
	"github.com/gatewatch/gatewatch/ingest/accesslog"
	"github.com/gatewatch/gatewatch/ingest/geo"
	"github.com/gatewatch/gatewatch/ingest/inventory"
	"github.com/gatewatch/gatewatch/rules"
)

// decoding makes the decoders of one process: they share databases, metrics and what they keep of query strings.
type decoding struct {
	options ingest.Options
	query   *accesslog.QueryNames
}

func newDecoding(c ingest.Config, databases *geo.Databases, registerer prometheus.Registerer) *decoding {
	d := &decoding{options: c.Options(), query: accesslog.NewQueryNames()}
	d.options.Geo = databases
	d.options.Query = d.query
	d.options.Metrics = ingest.NewMetrics(registerer)
	d.options.Now = time.Now
	return d
}

// know tells the decoders what operations there are; v may be nil.
func (d *decoding) know(v *inventory.Inventory) { d.options.Inventory = v }

func (d *decoding) newDecoder() *ingest.Decoder { return ingest.NewDecoder(d.options) }

// use tells the decoders which query parameters the rules look at.
func (d *decoding) use(set *rules.Set) { d.query.Set(set.QueryParams()...) }

// warnBlind says which rules cannot see for lack of a GeoIP database; the others run.
func warnBlind(log *slog.Logger, set *rules.Set, databases *geo.Databases) {
	var places, networks, anonymisers bool
	if databases != nil {
		places, networks, anonymisers = databases.Knows()
	}
	var blind []string
	for _, r := range set.Rules {
		need := r.NeedsGeo()
		if need.City && !places || need.ASN && !networks || need.Anonymity && !anonymisers {
			blind = append(blind, r.ID)
		}
	}
	if len(blind) > 0 {
		log.Warn("some rules see nothing without a GeoIP database; name them with --geo, or in the configuration under geo.databases", "rules", blind)
	}
}

// shown returns how gatewatch writes a raw value of a field: tokens as their pseudonyms. It asks a decoder, so that it cannot
// disagree with one.
func (d *decoding) shown(field, value string) string {
	if field != "token_id" {
		return value
	}
	return d.pseudonym(field, value)
}

// pseudonym returns how gatewatch writes a raw value of a field that may have pseudonyms.
func (d *decoding) pseudonym(field, value string) string {
	f, ok := event.ParseField(field)
	if !ok || !slices.Contains([]string{"token_id", "subject", "session_id", "source_ip"}, field) {
		return value
	}
	record, err := json.Marshal(map[string]any{
		"time": time.Now(), "method": "GET", "path": "/", "status": 200, "client_id": "-", field: value,
	})
	if err != nil {
		return value
	}
	canonical := d.options
	canonical.Format, canonical.Mapping = accesslog.Canonical, nil
	decoder := ingest.NewDecoder(canonical)
	decoder.Begin(event.Partition{})
	decoder.Add(0, record)
	batch, _ := decoder.Take()
	if batch == nil || len(batch.Events) == 0 {
		return value
	}
	return strings.Clone(f.Text(&batch.Events[0]))
}
