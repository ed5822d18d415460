// Package event defines the normalised API call that everything else in gatewatch works on.
//
// An event is what one gateway wrote about one request, after decoding, enrichment and replacement of secrets. The package
// is a leaf: it imports nothing of gatewatch.
package event

import (
	"net/netip"
	"time"
)

// Time is an instant of event time in Unix milliseconds. One millisecond is the resolution of all windows.
type Time int64

// TimeOf converts t, cutting below one millisecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std converts to a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// RevokedSinceEver is when a token was revoked of which a revocation list does not say when.
const RevokedSinceEver Time = 1

// String formats as RFC 3339 in UTC with milliseconds.
func (t Time) String() string { return t.Std().Format("2006-01-02T15:04:05.000Z07:00") }

// Event is one API call.
//
// All strings of an event point into memory of its [Batch] and are valid only until the batch is released: state that
// outlives the batch clones what it keeps. Empty means unknown.
type Event struct {
	Time   Time
	Offset int64 // of the record in its partition
	Index  int32 // of the event in its record

	Status       int32 // HTTP status, 100..599
	DurationMS   float64
	RequestSize  int64 // bytes
	ResponseSize int64 // bytes

	SourceIP       netip.Addr
	TokenIssuedAt  Time // 0: unknown
	TokenExpiresAt Time // 0: unknown
	TokenRevokedAt Time // by a revocation list; 0: none names the token, RevokedSinceEver: without a time

	Environment string
	API         string
	ClientID    string
	Subject     string
	TokenID     string // keyed hash, never the token itself
	SessionID   string // as logged, or its pseudonym
	Method      string // upper case
	Path        string // without query string
	Route       string // template such as /users/{id}/profile
	UserAgent   string
	RequestID   string
	IPText      string // SourceIP as text or its pseudonym: what may be shown and what entities are named by

	Scopes     []string
	Attributes []Attribute

	Geo *Geo // nil: not looked up, or nothing found
}

// Attribute is a named value beyond the fixed fields. Query parameters that a rule names are kept as "query.<name>".
type Attribute struct{ Key, Value string }

// Attribute returns the value of the attribute named key, or "".
func (e *Event) Attribute(key string) string {
	for i := range e.Attributes {
		if e.Attributes[i].Key == key {
			return e.Attributes[i].Value
		}
	}
	return ""
}

// Geo is what the GeoIP databases say of an address. Values are immutable and shared between events.
type Geo struct {
	Country   string // ISO 3166-1 alpha-2
	Continent string // AF AN AS EU NA OC SA
	City      string
	Latitude  float64 // degrees
	Longitude float64 // degrees
	RadiusKM  float64 // accuracy radius; 0 when HasPlace is false
	HasPlace  bool    // Latitude, Longitude and RadiusKM are known
	ASN       uint32  // 0: unknown
	ASOrg     string
	Anonymous Anonymity
}

// Anonymity is a set of the reasons for which an address does not tell where its user is.
type Anonymity uint8

// The members of an [Anonymity] set, as in MaxMind's Anonymous IP database.
const (
	AnonymousVPN Anonymity = 1 << iota
	AnonymousHosting
	AnonymousPublicProxy
	AnonymousResidentialProxy
	AnonymousTor
	AnonymousOther // flagged anonymous without a known kind
)

// Partition names one ordered input: a Kafka partition or a file.
type Partition struct {
	Topic string // or the file's name
	ID    int32
}

// Batch is a run of consecutive records of one partition, decoded. It owns the memory that its events point into.
type Batch struct {
	Partition Partition
	First     int64 // offset of the first record
	Next      int64 // offset after the last record, rejected ones included
	Anew      bool  // the partition was made anew: offsets that are known of it mean other records
	Events    []Event
	Release   func() // called once when nothing refers to the batch any more; nil: left to the garbage collector
}
