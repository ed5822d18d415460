// Package accesslog turns the records that gateways write into events: one file for each format.
//
// A record is whatever one Kafka message or one line of a file holds, often many requests at once. A [Decoder] appends
// what it finds in it to an [Output]: events, and a [Problem] for every part that is none. One bad part harms no other.
// Events leave this package as the gateway logged them: secrets are replaced in the next step, before anything else
// sees the event.
package accesslog
