package event

// Operation is what the API inventory says of a request. Values are immutable and shared between events: they are no part of the
// memory of a batch.
type Operation struct {
	Registered     bool   // a specification names it; all else is empty when none does
	API            string // which specification: its x-api-id or title
	Route          string // template, with the base path of the server: /shop/v1/orders/{id}
	Owner          string // "": nobody is named
	Classification string // of its data, as the specification words it: pii, public
	Deprecated     bool
	Sunset         Time // from when on it should be gone; 0: no date
}

// Retired reports whether the operation is deprecated and its date has come at t.
func (o *Operation) Retired(t Time) bool {
	return o.Deprecated && o.Sunset != 0 && t >= o.Sunset
}
