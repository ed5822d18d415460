package rules

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// Networks is an immutable set of IP networks and addresses. An IPv4 address and the same one mapped into IPv6 are equal.
type Networks struct {
	ranges []addressRange // sorted, neither overlapping nor adjacent
	texts  []string       // as written, for messages
}

// addressRange is an interval of addresses, both ends included. IPv4 addresses stand in their mapped form.
type addressRange struct{ from, to [16]byte }

// ParseNetworks reads networks (10.0.0.0/8) and addresses (10.1.2.3). A network with bits set beyond its length is an error:
// it is usually a mistyped length.
func ParseNetworks(texts ...string) (*Networks, error) {
	n := &Networks{texts: texts}
	for _, s := range texts {
		p, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		n.ranges = append(n.ranges, rangeOf(p))
	}
	n.merge()
	return n, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an IP address nor a network such as 10.0.0.0/8", shorten(s))
	}
	if p != p.Masked() {
		return p, fmt.Errorf("network %q has address bits beyond its length (did you mean %q?)", s, p.Masked())
	}
	return p, nil
}

func rangeOf(p netip.Prefix) addressRange {
	r := addressRange{p.Addr().As16(), p.Addr().As16()}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for bit := bits; bit < 128; bit++ {
		r.to[bit/8] |= 0x80 >> (bit % 8)
	}
	return r
}

func (n *Networks) merge() {
	slices.SortFunc(n.ranges, func(a, b addressRange) int { return slices.Compare(a.from[:], b.from[:]) })
	merged := n.ranges[:0]
	for _, r := range n.ranges {
		if last := len(merged) - 1; last >= 0 && !less(successor(merged[last].to), r.from) {
			if less(merged[last].to, r.to) {
				merged[last].to = r.to
			}
			continue
		}
		merged = append(merged, r)
	}
	n.ranges = merged
}

// successor returns the next address; the highest is its own.
func successor(a [16]byte) [16]byte {
	next := a
	for i := 15; i >= 0; i-- {
		next[i]++
		if next[i] != 0 {
			return next
		}
	}
	return a
}

func less(a, b [16]byte) bool {
	ah, bh := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
	if ah != bh {
		return ah < bh
	}
	return binary.BigEndian.Uint64(a[8:]) < binary.BigEndian.Uint64(b[8:])
}

// Contains reports whether an address belongs to the set. The zero Addr, which stands for no address, does not.
func (n *Networks) Contains(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	x := a.As16()
	low, high := 0, len(n.ranges)
	for low < high {
		mid := (low + high) / 2
		if less(n.ranges[mid].to, x) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(n.ranges) && !less(x, n.ranges[low].from)
}

// String lists the networks as the rule file has them.
func (n *Networks) String() string { return orList(n.texts) }

func (n *Networks) appendTo(b []byte) []byte {
	if n == nil {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(n.ranges)))
	for _, r := range n.ranges {
		b = append(append(b, r.from[:]...), r.to[:]...)
	}
	return b
}
