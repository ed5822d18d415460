// Package privacy takes secrets out of events before anything else sees them: tokens always, other identities where the
// operator wants it.
//
// A secret is replaced by a pseudonym: a kind, such as "tok_", and the first 128 bits of HMAC-SHA-256 of the secret under
// the operator's key, in hex. Equal secrets have equal pseudonyms, so everything can still be counted and compared, and
// who holds a token can find it with
//
//	printf %s "$TOKEN" | openssl dgst -sha256 -hmac "$KEY" | sed 's/.* //' | cut -c1-32
package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/ingest/arena"
)

// DefaultKey is used when no key is configured. Everybody knows it: pseudonyms are stable and tokens are not readable,
// but whoever suspects a value can confirm it.
const DefaultKey = "gatewatch: no privacy key configured"

// The kinds of pseudonym.
const (
	tokenPrefix   = "tok_"
	subjectPrefix = "sub_"
	sessionPrefix = "ses_"
	addressPrefix = "ip_"
)

const hexLen = 32 // characters of 128 bits

// Options says what is replaced.
type Options struct {
	Key       []byte // of the HMAC; empty: DefaultKey
	Subject   bool   // replace subject
	SessionID bool   // replace session_id
	SourceIP  bool   // replace source_ip where it is shown; the address itself stays for places and networks
}

// Filter replaces secrets. It is used by one goroutine.
type Filter struct {
	opts    Options
	mac     hash.Hash
	sum     [sha256.Size]byte
	scratch []byte
	mem     *arena.Arena // of the event being filtered
}

// New makes a filter.
func New(opts Options) *Filter {
	key := opts.Key
	if len(key) == 0 {
		key = []byte(DefaultKey)
	}
	opts.Key = nil
	return &Filter{opts: opts, mac: hmac.New(sha256.New, key)}
}

// Apply replaces the secrets of e and completes IPText, which may already be the canonical form of SourceIP. text is what e was decoded from and contains every text of e, though
// percent signs in it may be decoded in e: it is searched once for what secrets look like. Pseudonyms become memory of mem.
func (f *Filter) Apply(e *event.Event, text []byte, mem *arena.Arena) {
	f.mem = mem
	token := e.TokenID
	if f.opts.Subject && e.Subject != "" {
		e.Subject = f.pseudonym(subjectPrefix, e.Subject)
	}
	if f.opts.SessionID && e.SessionID != "" {
		e.SessionID = f.pseudonym(sessionPrefix, e.SessionID)
	}
	f.address(e)
	for i := range e.Attributes {
		if a := &e.Attributes[i]; Secret(a.Key) {
			a.Value = f.pseudonym(tokenPrefix, a.Value)
		}
	}
	if suspicious(text) || repeats(e, token) {
		f.scrubAll(e, token)
	}
	if token != "" {
		e.TokenID = f.pseudonym(tokenPrefix, token)
	}
	f.mem = nil
}

func (f *Filter) address(e *event.Event) {
	if !e.SourceIP.IsValid() {
		return
	}
	if e.IPText == "" {
		const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		e.IPText = f.mem.CommitString(e.SourceIP.AppendTo(f.mem.Reserve(longest)))
	}
	if f.opts.SourceIP {
		e.IPText = f.pseudonym(addressPrefix, e.IPText)
	}
}

func (f *Filter) pseudonym(prefix, secret string) string {
	b := append(f.mem.Reserve(len(prefix)+hexLen), prefix...)
	return f.mem.CommitString(f.appendHash(b, secret))
}

func (f *Filter) appendHash(dst []byte, secret string) []byte {
	f.mac.Reset()
	f.scratch = append(f.scratch[:0], secret...)
	f.mac.Write(f.scratch)
	return hex.AppendEncode(dst, f.mac.Sum(f.sum[:0])[:hexLen/2])
}

// AppendToken appends the pseudonym of a token to dst, as [Filter.Apply] writes it.
func (f *Filter) AppendToken(dst []byte, token string) []byte {
	return f.appendHash(append(dst, tokenPrefix...), token)
}

// ParseToken returns the 128 bits of a token's pseudonym as events and alerts show it; ok is false for any other text.
func ParseToken(s string) (sum [hexLen / 2]byte, ok bool) {
	if len(s) != len(tokenPrefix)+hexLen || s[:len(tokenPrefix)] != tokenPrefix {
		return sum, false
	}
	for i := range sum {
		high, low := hexDigit(s[len(tokenPrefix)+2*i]), hexDigit(s[len(tokenPrefix)+2*i+1])
		if high > 15 || low > 15 {
			return [hexLen / 2]byte{}, false
		}
		sum[i] = high<<4 | low
	}
	return sum, true
}

// hexDigit returns the value of a digit in lower case, more than 15 for anything else.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// secretWords are the last words of names whose values are secrets.
var secretWords = []string{
	"authorization", "cookie", "api_key", "api-key", "apikey", "token", "jwt", "password", "passwd", "secret",
	"credential", "credentials",
}

// Secret reports whether a name says that its value is a secret: the name, or its last words after a dot,
// underscore or dash or in camel case, is a secret word.
func Secret(key string) bool {
	for _, word := range secretWords {
		at := len(key) - len(word)
		if at >= 0 && key[len(key)-1]|0x20 == word[len(word)-1] && equalFold(key[at:], word) && startsWord(key, at) {
			return true
		}
	}
	return false
}

func equalFold(s, lower string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func startsWord(key string, at int) bool {
	if at == 0 {
		return true
	}
	switch before := key[at-1]; {
	case before == '.' || before == '_' || before == '-':
		return true
	default:
		return before >= 'a' && before <= 'z' && key[at] >= 'A' && key[at] <= 'Z'
	}
}
