// Package accesslog turns the records that gateways write into events: one small file for each format.
//
// A record is whatever one Kafka message or one line of a file holds, often many requests at once. A [Decoder] finds
// events in it, and a [Problem] for every part that is none. One bad part harms no other.
// Events leave this package as the gateway logged them: secrets are replaced in the next step, before anything else
// sees the event.
//
// A format is a table: a [Mapping] from the fields of events to paths in a JSON object, and signatures that tell its
// objects from others. Users write tables of the same kind in their configuration. A table is compiled into a tree of
// names that is walked along with the text, in one pass and without building anything; the tree remembers the order of
// names, so that most of them are recognised by one comparison. Lines that are no JSON are cut into columns, which then
// are what members of an object are. OpenTelemetry's protobuf becomes its JSON first.
//
// Which format an object has depends on the object alone. That the previous format is tried first only saves a second
// reading.
//
// A new format needs a file like kong.go, its name in definitions, records in testdata with what comes of them
// (go test -run TestSamples -update writes it: read it), and a row in the README.
package accesslog
