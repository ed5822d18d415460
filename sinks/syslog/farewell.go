package syslog

import (
	"encoding/binary"
	"net"
)

// farewell tells whether the last record of TLS that came is an alert. A receiver that has read everything ends with one,
// close_notify (RFC 5425, section 4.4); one that is killed between reading and writing has its connection closed by its system,
// without. crypto/tls reads both as the end of the stream, and every other alert as an error.
type farewell struct {
	net.Conn
	header [5]byte // RFC 8446, section 5.1: type, version, length
	have   int     // bytes of the header
	left   int     // bytes of the record behind it
	said   bool
}

// The types of records.
const (
	recordAlert       = 21
	recordApplication = 23
)

// sealedAlert is the length of an alert in TLS 1.3, where all records look like application data: level, description, true type
// and tag. The shortest message of a handshake is longer, and receivers of syslog send no data.
const sealedAlert = 2 + 1 + 16

func (f *farewell) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.watch(b[:n])
	return n, err
}

func (f *farewell) watch(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, len(b))
			f.left, b = f.left-n, b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have, b = f.have+n, b[n:]
		if f.have == len(f.header) {
			f.have, f.left = 0, int(binary.BigEndian.Uint16(f.header[3:]))
			f.said = f.header[0] == recordAlert || f.header[0] == recordApplication && f.left <= sealedAlert
		}
	}
}
