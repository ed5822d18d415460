package main

import (
	"context"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
)

// alertFeed is a feed of the delivery queue as the pipeline sees it.
type alertFeed struct{ *sinks.Feed }

// Enqueue implements [pipeline.Delivery].
func (f alertFeed) Enqueue(ctx context.Context, alerts []*alert.Alert) (uint64, error) {
	return f.Feed.Enqueue(ctx, sinks.Alerts(alerts))
}
