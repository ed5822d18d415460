package route

// shape is what isID needs to know of a segment, read in one pass. A segment consists of parts of letters and digits with
// separators between.
type shape struct {
	digits, separators int
	marked             bool // has what only ids have: an @, two colons, an argument in parentheses
	strong             bool // has a part that is an id wherever it stands

	parts          int
	first          part
	last, previous part
	lastBehind     byte // the separator before the last part
}

// part is a run of letters and digits.
type part struct {
	kind kind
	len  int
}

type kind uint8

const (
	word   kind = iota // letters, or letters with a digit or two: oauth2, k8s
	number             // digits
	code               // what nobody would take for a word
)

func read(s string) shape {
	var sh shape
	colons := 0
	for i := 0; i < len(s); {
		if bytesInfo[s[i]].class == separator {
			switch s[i] {
			case '@':
				sh.marked = true
			case ':':
				colons++
			case '(':
				sh.marked = sh.marked || i+1 < len(s) && s[i+1] != ')'
			}
			sh.separators++
			i++
			continue
		}
		before := byte(0)
		if i > 0 {
			before = s[i-1]
		}
		n, digits, p, strong := readPart(s[i:])
		sh.add(p, before)
		sh.digits += digits
		sh.strong = sh.strong || strong
		i += n
	}
	sh.marked = sh.marked || colons > 1
	return sh
}

func (sh *shape) add(p part, before byte) {
	if sh.parts == 0 {
		sh.first = p
	}
	sh.parts++
	sh.previous, sh.last, sh.lastBehind = sh.last, p, before
}

// named decides on segments whose parts are no ids by themselves: user-123 and 123-a-title are ids, oauth-login and
// index.html are not.
func (sh *shape) named() bool {
	parts, last := sh.parts, sh.last
	if parts > 1 && sh.lastBehind == '.' && last.kind == word && last.len <= 5 { // a file name: what counts is before the dot
		parts, last = parts-1, sh.previous
	}
	return last.kind != word || parts > 1 && sh.first.kind == number && sh.first.len >= 3
}

// Lengths from which a part is an id wherever it stands in its segment.
const (
	strongNumber = 5
	strongCode   = 6
	strongHex    = 8 // with a digit in it
	strongHexAll = 16
	strongWord   = 40 // no language needs a longer one in a route
)

// readPart reads the part that s starts with.
func readPart(s string) (n, digits int, p part, strong bool) {
	var (
		turns    int // from letter to digit or back
		changes  int // turns, and capitals after small letters
		hasUpper bool
		hasLower bool
		hex      = true
		last     class
	)
	for n < len(s) {
		info := bytesInfo[s[n]]
		if info.class == separator {
			break
		}
		switch info.class {
		case digit:
			if digits++; last > digit {
				turns++
			}
		case upper:
			hasUpper = true
			if last == lower {
				changes++
			}
		case lower:
			hasLower = true
		}
		if last == digit && info.class != digit {
			turns++
		}
		hex = hex && info.hex
		last = info.class
		n++
	}
	changes += turns
	if last == digit { // a number behind a name is no sign of randomness
		changes--
	}
	switch {
	case digits == n:
		return n, digits, part{number, n}, n >= strongNumber
	case hex && (n >= strongHexAll || n >= strongHex && digits > 0):
		return n, digits, part{code, n}, true
	case hasUpper && hasLower && isRandom(n, digits, changes):
		return n, digits, part{code, n}, n >= strongCode
	case digits <= 2 && turns <= 2 || isTerm(s[:n]):
		return n, digits, part{word, n}, n > strongWord
	}
	return n, digits, part{code, n}, n >= strongCode
}

// isRandom reports whether letters of both cases change too often for camel case: there a capital comes every five or six
// letters, in random base 62 text a quarter of all letters are capitals behind small ones.
func isRandom(n, digits, changes int) bool {
	if n < 16 {
		return n >= 8 && digits > 0 && changes*3 >= n
	}
	return changes*4 >= n
}

// isTerm reports whether s is a technical term with more digits than words have.
func isTerm(s string) bool {
	switch s {
	case "sha256", "sha384", "sha512", "x509", "h264", "h265", "ed25519", "office365", "o365", "iso8601", "rfc3339":
		return true
	}
	return false
}
