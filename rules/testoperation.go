package rules

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatewatch/gatewatch/detector/event"
)

// The keys of an operation, what the API inventory says of the requests of a test:
//
//	owner           who is responsible; default nobody
//	classification  of its data
//	api             which specification names it
//	sunset          deprecated, to be gone from then on; written as at, also before the start
//
// In place of the mapping "unregistered" says that no specification names the endpoint.
var operationKeys = []string{"owner", "classification", "api", "sunset"}

const unregistered = "unregistered"

func (r testReader) operation(n ast.Node, start time.Time) *event.Operation {
	if n == nil {
		return nil
	}
	if text, ok := scalar(n); ok {
		if text != unregistered {
			r.errorf(n, "operation must be %s or a mapping such as {owner: payments}, not %q", unregistered, shorten(text))
		}
		return &event.Operation{}
	}
	o := r.object(n, "operation", operationKeys...)
	op := &event.Operation{
		Registered: true, Owner: r.text(o.get("owner"), "owner", ""), API: r.text(o.get("api"), "api", ""),
		Classification: r.text(o.get("classification"), "classification", ""),
	}
	if o.has("sunset") {
		op.Deprecated, op.Sunset = true, event.TimeOf(start.Add(r.moment(o.get("sunset"), "sunset", start, 0)))
	}
	return op
}

func operationSchema() schema {
	return schema{"anyOf": []schema{
		{"const": unregistered},
		closed(schema{"owner": ref("text"), "classification": ref("text"), "api": ref("text"), "sunset": described(offsetType(), "deprecated, to be gone from then on")}),
	}}
}
