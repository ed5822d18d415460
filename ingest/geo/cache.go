package geo

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"net/netip"

	"github.com/gatewatch/gatewatch/detector/event"
)

// Cache remembers the answers for the addresses seen last. A look-up costs a microsecond, an address sends many requests.
// It is used by one goroutine.
//
// It is a table of buckets with two places each: an address has one bucket, and a new one takes the place of the older of
// the two there. That bounds it without lists, and a flood of new addresses cannot empty it in order.
type Cache struct {
	db      *Databases
	set     *set // whose answers these are
	buckets [][2]entry
	shift   int

	// shared has the answer for each combination of records, so that it is put together once for all addresses of a network.
	shared map[records]*event.Geo

	hits, misses, failures int
}

type entry struct {
	hi, lo uint64
	known  bool
	geo    *event.Geo
}

// DefaultCacheEntries is enough for the addresses that are active within minutes; it takes 2.5 MiB.
const DefaultCacheEntries = 1 << 16

// maxShared bounds the answers that are shared; it is started anew when it is full.
const maxShared = 1 << 14

// NewCache makes a cache of at least entries addresses, rounded up to a power of two; 0 means DefaultCacheEntries.
func (db *Databases) NewCache(entries int) *Cache {
	if entries <= 0 {
		entries = DefaultCacheEntries
	}
	exponent := max(1, bits.Len(uint(entries-1)))
	c := &Cache{db: db, buckets: make([][2]entry, 1<<(exponent-1)), shift: 64 - (exponent - 1)}
	c.reset()
	return c
}

// Lookup returns what is known of an address, nil if nothing is or the address is not public. The answer is immutable and
// may be kept.
func (c *Cache) Lookup(addr netip.Addr) *event.Geo {
	if c.set != c.db.current.Load() {
		c.reset()
	}
	raw := addr.As16()
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	bucket := &c.buckets[hash(hi, lo)>>c.shift]
	for i := range bucket {
		if e := &bucket[i]; e.lo == lo && e.hi == hi && e.known {
			c.hits++
			return e.geo
		}
	}
	c.misses++
	geo := c.ask(addr)
	bucket[1] = bucket[0]
	bucket[0] = entry{hi, lo, true, geo}
	return geo
}

func (c *Cache) reset() {
	c.set = c.db.current.Load()
	clear(c.buckets)
	c.shared = map[records]*event.Geo{}
}

func (c *Cache) ask(addr netip.Addr) *event.Geo {
	addr = addr.Unmap()
	if !isPublic(addr) {
		return nil
	}
	at, results, err := c.set.find(addr)
	geo, known := c.shared[at]
	if !known {
		var broken error
		geo, broken = c.set.answer(at, results)
		err = errors.Join(err, broken)
		if len(c.shared) == maxShared {
			clear(c.shared)
		}
		c.shared[at] = geo
	}
	if err != nil {
		c.failures++
	}
	return geo
}

// Flush adds what was counted since the last Flush to the metrics.
func (c *Cache) Flush() {
	m := c.db.metrics
	m.hits.Add(float64(c.hits))
	m.misses.Add(float64(c.misses))
	m.lookupErrors.Add(float64(c.failures))
	c.hits, c.misses, c.failures = 0, 0, 0
}

// hash mixes an address with the multiplier of Fibonacci hashing (Knuth, TAOCP 6.4), the halves apart.
func hash(hi, lo uint64) uint64 {
	const golden = 0x9E3779B97F4A7C15
	h := (hi ^ bits.RotateLeft64(lo, 32)) * golden
	h ^= h >> 32
	return (h ^ lo) * golden
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // carrier-grade NAT, RFC 6598

// isPublic reports whether the address is one of the internet's, of which a database can know something.
func isPublic(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
