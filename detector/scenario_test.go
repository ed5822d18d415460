package detector

import (
	"bufio"
	stdcmp "cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

var update = flag.Bool("update", false, "write what the scenarios raise into their files")

// TestScenarios runs testdata/*.txtar: rules, traffic, and the alerts that must come of it, in order; what is not listed must
// not come. The traffic notation stands at [parseTraffic].
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := loadScenario(t, file)
			got := s.run(t, plainRun)
			if *update {
				s.write(t, file, got)
				return
			}
			if diff := cmp.Diff(s.want, lines(got)); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			for _, v := range variants {
				if diff := cmp.Diff(got, s.run(t, v)); diff != "" {
					t.Errorf("with %s the alerts differ (-plain +%s):\n%s", v.name, v.name, diff)
				}
			}
		})
	}
}

// variant is a way to feed the same events to an engine that must not make a difference.
type variant struct {
	name           string
	lanes, workers int
	batch          int
	reload         bool // of the same rules, after every batch
	repeat         bool // every batch is delivered twice
	encode         bool // all state goes through its binary form after every batch
	advanceAtEnd   bool
}

var (
	plainRun = variant{name: "the plain run", lanes: 64, workers: 1, batch: 64}
	variants = []variant{
		{name: "one lane", lanes: 1, workers: 1, batch: 64},
		{name: "many workers", lanes: 64, workers: 8, batch: 64},
		{name: "batches of one", lanes: 8, workers: 1, batch: 1},
		{name: "one large batch", lanes: 64, workers: 2, batch: 1 << 20},
		{name: "reloads", lanes: 64, workers: 1, batch: 7, reload: true},
		{name: "duplicated deliveries", lanes: 64, workers: 1, batch: 16, repeat: true},
		{name: "state through its encoding", lanes: 16, workers: 1, batch: 16, encode: true},
		{name: "one advance at the end", lanes: 64, workers: 1, batch: 64, advanceAtEnd: true},
	}
)

type scenario struct {
	archive *txtar.Archive
	rules   []byte
	events  []event.Event // in the order of their arrival
	want    []string
	limits  Limits // from the part "limits"; shares of lanes matter to them, so such a scenario runs on one lane
	lanes   int    // 0: as the variant says

	left []string // what the last run knew before its end, see [contents]
}

func loadScenario(t *testing.T, file string) *scenario {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(archive.Comment)) == "" {
		t.Fatal("the scenario does not say what it shows")
	}
	s := &scenario{archive: archive}
	for _, f := range archive.Files {
		switch f.Name {
		case "rules.yaml":
			s.rules = f.Data
		case "traffic":
			s.events = parseTraffic(t, string(f.Data))
		case "limits":
			s.limits, s.lanes = parseLimits(t, string(f.Data)), 1
		case "alerts":
			for line := range strings.Lines(string(f.Data)) {
				s.want = append(s.want, strings.TrimSuffix(line, "\n"))
			}
		default:
			t.Fatalf("the scenario has an unknown part %q", f.Name)
		}
	}
	return s
}

// parseLimits reads the most entities of kinds, one a line: "client_id 64".
func parseLimits(t *testing.T, text string) Limits {
	t.Helper()
	l := Limits{Entities: map[string]int{}}
	for line := range strings.Lines(text) {
		var kind string
		var n int
		if _, err := fmt.Sscan(line, &kind, &n); err != nil {
			t.Fatalf("limits: %q: %v", line, err)
		}
		l.Entities[kind] = n
	}
	return l
}

func (s *scenario) write(t *testing.T, file string, got []*alert.Alert) {
	t.Helper()
	data := []byte(strings.Join(lines(got), "\n"))
	if len(got) > 0 {
		data = append(data, '\n')
	}
	for i, f := range s.archive.Files {
		if f.Name == "alerts" {
			s.archive.Files = append(s.archive.Files[:i], s.archive.Files[i+1:]...)
			break
		}
	}
	s.archive.Files = append(s.archive.Files, txtar.File{Name: "alerts", Data: data})
	if err := os.WriteFile(file, txtar.Format(s.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *scenario) run(t *testing.T, v variant) []*alert.Alert {
	t.Helper()
	set := parseRules(t, s.rules)
	e := New(set, Options{Disorder: 2 * time.Second, Lanes: stdcmp.Or(s.lanes, v.lanes), Workers: v.workers, Limits: s.limits})
	input := event.Partition{Topic: "test"}
	var all []*alert.Alert
	for from := 0; from < len(s.events); from += v.batch {
		to := min(from+v.batch, len(s.events))
		batch := func() *event.Batch {
			return &event.Batch{Partition: input, First: int64(from), Next: int64(to), Events: s.events[from:to]}
		}
		e.Push(e.NewPreparer().Prepare(batch()))
		if v.repeat {
			e.Push(e.NewPreparer().Prepare(batch()))
		}
		if !v.advanceAtEnd {
			all = append(all, e.Advance()...)
		}
		if v.reload {
			all = append(all, e.Reload(parseRules(t, s.rules))...)
		}
		if v.encode {
			recode(t, e)
		}
	}
	all = append(all, e.Advance()...)
	s.left = contents(e)
	return append(all, e.Flush()...)
}

// contents lists the entities of an engine and what decides over their eviction.
func contents(e *Engine) (all []string) {
	for _, l := range e.lanes {
		for i, g := range l.program.groups {
			all = append(all, fmt.Sprintf("%s: hand %x", g.kind, l.pressures[i].hand))
			l.tables[i].each(func(n *entity) {
				all = append(all, fmt.Sprintf("%s %s: seen %d, %d hits, %d bytes", g.kind, n.name, n.seen, n.hits, n.bytes))
			})
		}
	}
	return all
}

func parseRules(t testing.TB, text []byte) *rules.Set {
	t.Helper()
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: text})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// lines writes alerts as scenarios do.
func lines(alerts []*alert.Alert) (lines []string) {
	for _, a := range alerts {
		lines = append(lines, fmt.Sprintf("%s %-6s v%d %s %s=%s: %s", a.DetectedAt.Std().Format("2006-01-02 15:04:05.000"), a.State,
			a.Version, a.Rule.ID, a.Entity.Kind, a.Entity.ID, a.Summary))
	}
	return lines
}

// parseTraffic reads events, one or more a line:
//
//	2026-03-02 10:00:00 x60 every 500ms client_id=app place=London GET /users/{n}/profile 200
//
// The date may be left out after the first line, and so may "x60 every 500ms". {n} counts from 1 within the line; {n%5} runs
// through 0..4; more at [counted]. Fields are written as in rules; place is one of [places], scope repeats; delay=3s lets the events arrive
// later than they happened. Events arrive in the order of time plus delay.
func parseTraffic(t *testing.T, text string) []event.Event {
	t.Helper()
	type arrival struct {
		at    time.Time
		event event.Event
	}
	var all []arrival
	date := ""
	scanner := bufio.NewScanner(strings.NewReader(text))
	for number := 1; scanner.Scan(); number++ {
		words := strings.Fields(scanner.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if strings.Count(words[0], "-") == 2 {
			date, words = words[0], words[1:]
		}
		at, err := time.Parse("2006-01-02 15:04:05.999", date+" "+words[0])
		if err != nil {
			t.Fatalf("traffic line %d: %v", number, err)
		}
		times, every := 1, time.Duration(0)
		if words = words[1:]; strings.HasPrefix(words[0], "x") {
			times, _ = strconv.Atoi(words[0][1:])
			every, err = time.ParseDuration(words[2])
			if err != nil || words[1] != "every" {
				t.Fatalf("traffic line %d: want xN every DURATION", number)
			}
			words = words[3:]
		}
		for n := 1; n <= times; n++ {
			e, delay := trafficEvent(t, number, words, n)
			e.Time = event.TimeOf(at)
			all = append(all, arrival{at.Add(delay), e})
			at = at.Add(every)
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].at.Before(all[j].at) })
	events := make([]event.Event, len(all))
	for i := range all {
		events[i] = all[i].event
		events[i].Offset = int64(i)
	}
	return events
}

func trafficEvent(t *testing.T, line int, words []string, n int) (e event.Event, delay time.Duration) {
	t.Helper()
	var rest []string
	for _, word := range words {
		word = numbered(word, n)
		if strings.Contains(word, "{n") {
			t.Fatalf("traffic line %d: what is %q?", line, word)
		}
		key, value, found := strings.Cut(word, "=")
		if !found {
			rest = append(rest, word)
			continue
		}
		switch key {
		case "client_id":
			e.ClientID = value
		case "subject":
			e.Subject = value
		case "token_id":
			e.TokenID = value
		case "session_id":
			e.SessionID = value
		case "route":
			e.Route = value
		case "api":
			e.API = value
		case "user_agent":
			e.UserAgent = value
		case "scope":
			e.Scopes = append(e.Scopes, value)
		case "response_bytes":
			e.ResponseSize, _ = strconv.ParseInt(value, 10, 64)
		case "duration_ms":
			e.DurationMS, _ = strconv.ParseFloat(value, 64)
		case "source_ip":
			e.SourceIP, e.IPText = netip.MustParseAddr(value), value
		case "place":
			p, ok := places[value]
			if !ok {
				t.Fatalf("traffic line %d: unknown place %q", line, value)
			}
			e.SourceIP, e.IPText, e.Geo = p.ip, p.ip.String(), p.geo
		case "environment":
			e.Environment = value
		case "issued":
			e.TokenIssuedAt = trafficTime(t, line, value)
		case "expires":
			e.TokenExpiresAt = trafficTime(t, line, value)
		case "revoked":
			e.TokenRevokedAt = event.RevokedSinceEver
			if value != "ever" {
				e.TokenRevokedAt = trafficTime(t, line, value)
			}
		case "delay":
			delay, _ = time.ParseDuration(value)
		default:
			t.Fatalf("traffic line %d: unknown field %q", line, key)
		}
	}
	if len(rest) != 3 {
		t.Fatalf("traffic line %d: want METHOD PATH STATUS, not %q", line, rest)
	}
	status, err := strconv.Atoi(rest[2])
	if err != nil {
		t.Fatalf("traffic line %d: %v", line, err)
	}
	e.Method, e.Path, e.Status = rest[0], rest[1], int32(status)
	if e.Route == "" {
		e.Route = e.Path
	}
	return e, delay
}

// trafficTime reads the times of a token, such as 2026-03-02T10:00:00Z.
func trafficTime(t *testing.T, line int, value string) event.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		t.Fatalf("traffic line %d: %v", line, err)
	}
	return event.TimeOf(at)
}

// counted is {n}, which may be multiplied, taken modulo, added to and padded with zeros, in that order: {n*3%100+7:06}.
var counted = regexp.MustCompile(`\{n(?:\*(-?\d+))?(?:%(\d+))?(?:\+(\d+))?(?::0(\d+))?\}`)

// numbered replaces what is counted.
func numbered(word string, n int) string {
	return counted.ReplaceAllStringFunc(word, func(match string) string {
		part := counted.FindStringSubmatch(match)
		value := n
		if times, err := strconv.Atoi(part[1]); err == nil {
			value *= times
		}
		if modulus, err := strconv.Atoi(part[2]); err == nil {
			value %= modulus
		}
		more, _ := strconv.Atoi(part[3])
		width, _ := strconv.Atoi(part[4])
		return fmt.Sprintf("%0*d", width, value+more)
	})
}

type testPlace struct {
	ip  netip.Addr
	geo *event.Geo
}

// places are where scenario traffic can come from.
var places = map[string]testPlace{
	"London":      {netip.MustParseAddr("192.0.2.1"), &event.Geo{Country: "GB", Continent: "EU", City: "London", Latitude: 51.51, Longitude: -0.13, RadiusKM: 20, HasPlace: true, ASN: 100}},
	"Reading":     {netip.MustParseAddr("192.0.2.2"), &event.Geo{Country: "GB", Continent: "EU", City: "Reading", Latitude: 51.45, Longitude: -0.97, RadiusKM: 20, HasPlace: true, ASN: 101}},
	"Paris":       {netip.MustParseAddr("192.0.2.3"), &event.Geo{Country: "FR", Continent: "EU", City: "Paris", Latitude: 48.86, Longitude: 2.35, RadiusKM: 20, HasPlace: true, ASN: 102}},
	"New-York":    {netip.MustParseAddr("192.0.2.4"), &event.Geo{Country: "US", Continent: "NA", City: "New York", Latitude: 40.71, Longitude: -74.01, RadiusKM: 20, HasPlace: true, ASN: 103}},
	"Tokyo":       {netip.MustParseAddr("192.0.2.5"), &event.Geo{Country: "JP", Continent: "AS", City: "Tokyo", Latitude: 35.68, Longitude: 139.69, RadiusKM: 20, HasPlace: true, ASN: 104}},
	"London-Tel":  {netip.MustParseAddr("192.0.2.6"), &event.Geo{Country: "GB", Continent: "EU", City: "London", Latitude: 51.51, Longitude: -0.13, RadiusKM: 200, HasPlace: true, ASN: 105}},
	"Glasgow-Tel": {netip.MustParseAddr("192.0.2.7"), &event.Geo{Country: "GB", Continent: "EU", City: "Glasgow", Latitude: 55.86, Longitude: -4.25, RadiusKM: 200, HasPlace: true, ASN: 105}},
	"VPN-NY":      {netip.MustParseAddr("192.0.2.8"), &event.Geo{Country: "US", Continent: "NA", City: "New York", Latitude: 40.71, Longitude: -74.01, RadiusKM: 20, HasPlace: true, ASN: 106, Anonymous: event.AnonymousVPN}},
	"Somewhere":   {netip.MustParseAddr("192.0.2.9"), &event.Geo{Country: "GB", Continent: "EU", ASN: 107}},
	"Egress-NY":   {netip.MustParseAddr("198.51.100.1"), &event.Geo{Country: "US", Continent: "NA", City: "New York", Latitude: 40.71, Longitude: -74.01, RadiusKM: 20, HasPlace: true, ASN: 108}},
}

// recode sends all state of an engine through its binary form.
func recode(t *testing.T, e *Engine) {
	t.Helper()
	for _, l := range e.lanes {
		for i := range l.tables {
			l.tables[i].each(func(n *entity) { recodeEntity(t, l, n) })
		}
	}
}

func recodeEntity(t *testing.T, l *lane, n *entity) {
	t.Helper()
	for i := range n.cells {
		c := &n.cells[i]
		b, err := c.state.appendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, rest, err := l.program.bySlot[c.slot].detection.decode(b, &interner{})
		if err != nil || len(rest) != 0 {
			t.Fatalf("decode state of rule %s: %v, %d bytes left", l.program.bySlot[c.slot].rule.ID, err, len(rest))
		}
		c.state = s
	}
}
