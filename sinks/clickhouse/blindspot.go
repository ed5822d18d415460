package clickhouse

import (
	"fmt"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// blindSpotColumns are those of the table blind_spots in the order of a row.
var blindSpotColumns = []string{
	"id", "version", "schema", "state", "cause", "from_time", "to_time", "topic", "partitions", "rules", "kinds", "sink", "count",
	"detail", "emitted_at",
}

var insertBlindSpots = "INSERT INTO blind_spots (" + strings.Join(blindSpotColumns, ", ") + ")"

func blindSpotRow(b *alert.BlindSpot) ([]any, error) {
	t, err := times(b.From, b.To, orElse(b.EmittedAt, b.To))
	if err != nil {
		return nil, fmt.Errorf("encode blind spot %s version %d: %w", b.ID, b.Version, err)
	}
	return []any{
		b.ID, uint32(b.Version), uint16(b.Schema), string(b.State), string(b.Cause), t[0], t[1], b.Topic, b.Partitions, b.Rules,
		b.Kinds, b.Sink, b.Count, b.Detail, t[2],
	}, nil
}
