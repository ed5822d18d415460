package geo

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewatch/gatewatch/detector/event"
	world "github.com/gatewatch/gatewatch/fixtures/geoip"
	"github.com/gatewatch/gatewatch/ingest/watch"
)

const fixtures = "../../fixtures/geoip/"

func open(t *testing.T, names ...string) *Databases {
	t.Helper()
	var paths []string
	for _, name := range names {
		paths = append(paths, fixtures+name)
	}
	db, err := Open(paths, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func lookup(db *Databases, addr string) *event.Geo {
	return db.NewCache(16).Lookup(netip.MustParseAddr(addr))
}

func TestMaxMindDatabases(t *testing.T) {
	for _, names := range [][]string{
		{"GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "GeoIP2-Anonymous-IP-Test.mmdb"},
		{"GeoIP2-Anonymous-IP-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "GeoIP2-City-Test.mmdb"},
	} {
		db := open(t, names...)
		london := lookup(db, "81.2.69.142")
		if london == nil || london.City != "London" || london.Country != "GB" || london.Continent != "EU" || !london.HasPlace || london.RadiusKM != 10 ||
			london.Latitude != 51.5142 || london.Longitude != -0.0931 {
			t.Errorf("London: %+v", london)
		}
		if all := event.AnonymousVPN | event.AnonymousHosting | event.AnonymousPublicProxy | event.AnonymousResidentialProxy | event.AnonymousTor; london.Anonymous != all {
			t.Errorf("London is anonymous as %s", london.Anonymous)
		}
		if g := lookup(db, "1.128.0.1"); g == nil || g.ASN != 1221 || g.ASOrg != "Telstra Pty Ltd" {
			t.Errorf("Telstra: %+v", g)
		}
		if g := lookup(db, "2001:218::1"); g == nil || g.Country != "JP" || g.Continent != "AS" {
			t.Errorf("IPv6: %+v", g)
		}
		if g := lookup(db, "9.9.9.9"); g != nil {
			t.Errorf("an address that no database has: %+v", g)
		}
	}
}

func TestOtherMaxMindDatabases(t *testing.T) {
	if g := lookup(open(t, "GeoIP2-Country-Test.mmdb"), "81.2.69.142"); g == nil || g.Country != "GB" || g.HasPlace || g.City != "" {
		t.Errorf("country database: %+v", g)
	}
	if g := lookup(open(t, "GeoIP-Anonymous-Plus-Test.mmdb"), "1.2.0.1"); g == nil || g.Anonymous&event.AnonymousVPN == 0 {
		t.Errorf("Anonymous Plus: %+v", g)
	}
}

func TestSyntheticWorld(t *testing.T) {
	db, err := OpenBytes(world.Databases(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if places, networks, anonymisers := db.Knows(); !places || !networks || !anonymisers {
		t.Errorf("Knows() = %v %v %v", places, networks, anonymisers)
	}
	anonymous := map[string]event.Anonymity{
		world.Hosting: event.AnonymousHosting, world.VPN: event.AnonymousVPN, world.Tor: event.AnonymousTor,
	}
	cache := db.NewCache(0)
	for _, n := range world.Networks {
		want := event.Geo{
			Country: n.Country, Continent: n.Continent, City: n.City, Latitude: n.Lat, Longitude: n.Lon, RadiusKM: n.RadiusKM,
			HasPlace: true, ASN: n.ASN, ASOrg: n.ASOrg, Anonymous: anonymous[n.Kind],
		}
		if g := cache.Lookup(n.Prefix.Addr().Next()); g == nil || *g != want {
			t.Errorf("%s: %+v, want %+v", n.Prefix, g, want)
		}
	}
}

func TestFlatDatabase(t *testing.T) {
	db := open(t, "world-flat.mmdb")
	for _, n := range world.Networks {
		g := lookup(db, n.Prefix.Addr().Next().String())
		if g == nil || g.Country != n.Country || g.Continent != n.Continent || g.City != n.City || g.ASN != 0 {
			t.Fatalf("%s: %+v, want %+v", n.Prefix, g, n)
		}
		if isCity := n.City != ""; g.HasPlace != isCity || isCity && (g.RadiusKM != assumedRadiusKM || abs(g.Latitude-n.Lat) > 1e-3 || abs(g.Longitude-n.Lon) > 1e-3) {
			t.Errorf("%s: place %+v, want %+v", n.Prefix, g, n)
		}
	}
}

func abs(f float64) float64 { return max(f, -f) }

func TestFirstDatabaseCounts(t *testing.T) {
	if g := lookup(open(t, "world.mmdb", "world-flat.mmdb"), "11.0.0.1"); g.RadiusKM != 20 {
		t.Errorf("nested first: %+v", g)
	}
	if g := lookup(open(t, "world-flat.mmdb", "world.mmdb"), "11.0.0.1"); g.RadiusKM != assumedRadiusKM {
		t.Errorf("flat first: %+v", g)
	}
}

func TestRecordsOfManyShapes(t *testing.T) {
	for _, tt := range []struct {
		record map[string]any
		want   event.Geo
	}{
		{map[string]any{"asn": "AS15169", "as_name": "Google"}, event.Geo{ASN: 15169, ASOrg: "Google"}},
		{map[string]any{"asn": uint64(7)}, event.Geo{ASN: 7}},
		{map[string]any{"country": "de"}, event.Geo{Country: "DE"}},
		{map[string]any{"country_code": "DE", "continent": "EU", "latitude": "NaN", "longitude": "1"}, event.Geo{Country: "DE", Continent: "EU"}},
		{map[string]any{"country_code": "DE", "city": "X", "latitude": "91", "longitude": "1"}, event.Geo{Country: "DE", City: "X"}},
		{map[string]any{"country_code": "DE", "latitude": 1.0, "longitude": 2.0, "accuracy_radius": uint64(300)},
			event.Geo{Country: "DE", HasPlace: true, Latitude: 1, Longitude: 2, RadiusKM: 300}},
		{map[string]any{"country_code": "DE", "latitude": 1.0, "longitude": 2.0}, event.Geo{Country: "DE"}},
		{map[string]any{"is_anonymous": true}, event.Geo{Anonymous: event.AnonymousOther}},
		{map[string]any{"is_anonymous": true, "is_anonymous_vpn": "true"}, event.Geo{Anonymous: event.AnonymousVPN}},
	} {
		var g event.Geo
		addFlat(&g, tt.record, formOf(tt.record))
		if g != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.record, g, tt.want)
		}
	}
}

func TestBrokenDatabases(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.mmdb")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		fixtures + "GeoIP2-City-Test-Broken-Double-Format.mmdb", fixtures + "GeoIP2-City-Test-Invalid-Node-Count.mmdb",
		fixtures + "MaxMind-DB-test-broken-pointers-24.mmdb", fixtures + "README.md", fixtures + "missing.mmdb", empty, t.TempDir(),
	} {
		_, err := Open([]string{fixtures + "world.mmdb", path}, Options{})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

func TestAddressesThatAreNotPublic(t *testing.T) {
	db := open(t, "world.mmdb")
	for _, addr := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
	} {
		if isPublic(netip.MustParseAddr(addr).Unmap()) || lookup(db, addr) != nil {
			t.Errorf("%s counts as public", addr)
		}
	}
	if g := lookup(db, "::ffff:11.0.0.1"); g == nil || g.City != "London" {
		t.Errorf("IPv4 in IPv6: %+v", g)
	}
	if db.NewCache(0).Lookup(netip.Addr{}) != nil {
		t.Error("no address has a place")
	}
}

func TestContinents(t *testing.T) {
	if len(continentOf) != 250 {
		t.Errorf("%d countries, want the 249 of ISO 3166-1 and Kosovo", len(continentOf))
	}
	for _, n := range world.Networks {
		if got := continentOf[n.Country]; got != n.Continent {
			t.Errorf("%s is in %s, want %s", n.Country, got, n.Continent)
		}
	}
}

func TestCacheAgreesWithDatabases(t *testing.T) {
	db := open(t, "world.mmdb", "world-asn.mmdb")
	cache := db.NewCache(8)
	addrs := []netip.Addr{}
	for _, n := range world.Networks {
		addrs = append(addrs, n.Prefix.Addr().Next(), n.Prefix.Addr().Next().Next())
	}
	for range 3 {
		for _, addr := range addrs {
			at, results, _ := db.current.Load().find(addr)
			want, _ := db.current.Load().answer(at, results)
			for range 2 { // the second answer is a remembered one
				if got := cache.Lookup(addr); got == nil || *got != *want {
					t.Fatalf("%s: %+v, want %+v", addr, got, want)
				}
			}
		}
	}
	if cache.hits < len(addrs)*3 || cache.misses < len(addrs) {
		t.Errorf("%d hits, %d misses", cache.hits, cache.misses)
	}
	if cache.Lookup(addrs[0]) != cache.Lookup(addrs[1]) {
		t.Error("addresses of one network do not share their answer")
	}
}

func TestCacheIsForgottenWithItsDatabases(t *testing.T) {
	path := copyTo(t, t.TempDir(), "world.mmdb", "world.mmdb")
	db, err := Open([]string{path}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cache := db.NewCache(0)
	if cache.Lookup(netip.MustParseAddr("81.2.69.142")) != nil {
		t.Fatal("London is in the synthetic world")
	}
	copyTo(t, filepath.Dir(path), "GeoIP2-City-Test.mmdb", "world.mmdb")
	if err := db.Reload(); err != nil {
		t.Fatal(err)
	}
	if g := cache.Lookup(netip.MustParseAddr("81.2.69.142")); g == nil || g.City != "London" {
		t.Errorf("after the reload: %+v", g)
	}
}

func TestBrokenReplacementLeavesTheOldInUse(t *testing.T) {
	path := copyTo(t, t.TempDir(), "world.mmdb", "db.mmdb")
	var log strings.Builder
	registry := prometheus.NewRegistry()
	db, err := Open([]string{path}, Options{Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	copyTo(t, filepath.Dir(path), "GeoIP2-City-Test-Invalid-Node-Count.mmdb", "db.mmdb")
	for range 3 {
		if err := db.Reload(); err == nil {
			t.Error("a broken database was taken")
		}
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors logged, want 1:\n%s", n, log.String())
	}
	if n := testutil.ToFloat64(db.metrics.reloadFailures); n != 1 {
		t.Errorf("counted %v failures", n)
	}
	if lookup(db, "11.0.0.1") == nil {
		t.Error("the old database is gone")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := db.Reload(); err == nil || lookup(db, "11.0.0.1") == nil {
		t.Errorf("after the file was removed: error %v", err)
	}
	copyTo(t, filepath.Dir(path), "GeoIP2-City-Test.mmdb", "db.mmdb")
	if err := db.Reload(); err != nil || lookup(db, "81.2.69.142") == nil {
		t.Errorf("after the repair: error %v", err)
	}
}

func copyTo(t *testing.T, folder, fixture, name string) string {
	t.Helper()
	content, err := os.ReadFile(fixtures + fixture)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFollow drives the watcher's loop with changes as fsnotify reports them, in fake time.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := copyTo(t, t.TempDir(), "world.mmdb", "db.mmdb")
		db, err := Open([]string{path}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		changes := make(chan fsnotify.Event)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); db.follow(ctx, changes, nil) }()

		copyTo(t, filepath.Dir(path), "GeoIP2-City-Test.mmdb", "db.mmdb")
		for range 5 { // a file that is written in pieces
			changes <- fsnotify.Event{Name: path}
			time.Sleep(watch.Settle / 2)
		}
		changes <- fsnotify.Event{Name: filepath.Join(filepath.Dir(path), "other")}
		if lookup(db, "81.2.69.142") != nil {
			t.Error("read before the file was left alone")
		}
		time.Sleep(watch.Settle)
		synctest.Wait()
		if lookup(db, "81.2.69.142") == nil {
			t.Error("the change was not noticed")
		}

		copyTo(t, filepath.Dir(path), "world.mmdb", "db.mmdb")
		time.Sleep(watch.Look)
		synctest.Wait()
		if lookup(db, "11.0.0.1") == nil {
			t.Error("a change that nobody reported was not noticed")
		}
		cancel()
		<-done
	})
}

// TestWatch sees a real file that is replaced.
func TestWatch(t *testing.T) {
	path := copyTo(t, t.TempDir(), "world.mmdb", "db.mmdb")
	reloaded := make(chan struct{}, 100)
	db, err := Open([]string{path}, Options{Logger: slog.New(slog.NewTextHandler(signal(reloaded), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- db.Watch(ctx) }()
	for seen := false; !seen; { // again, should the first one come before the watch
		next := copyTo(t, filepath.Dir(path), "GeoIP2-City-Test.mmdb", "next")
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		select {
		case <-reloaded:
			seen = true
		case <-time.After(3 * watch.Settle):
		}
	}
	if lookup(db, "81.2.69.142") == nil {
		t.Error("the new database is not in use")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// signal is a log that tells of every line.
type signal chan struct{}

func (s signal) Write(line []byte) (int, error) {
	s <- struct{}{}
	return len(line), nil
}

func TestTooManyDatabases(t *testing.T) {
	if _, err := OpenBytes(slices.Repeat(world.Databases()[:1], MaxDatabases+1), Options{}); err == nil {
		t.Error("more databases than the limit")
	}
}

func TestConcerns(t *testing.T) {
	db := open(t, "world.mmdb")
	for name, want := range map[string]bool{"/x/world.mmdb": true, "/x/..data": true, "/x/other.mmdb": false} {
		if db.concerns(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		databases []string
		want      string
	}{{nil, ""}, {[]string{"a", "b"}, ""}, {[]string{"a", "a"}, "named twice"}, {[]string{""}, "empty"}} {
		err := Config{Databases: tt.databases}.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.databases, err)
		}
	}
}

func TestRememberedLookupDoesNotAllocate(t *testing.T) {
	cache := open(t, "world.mmdb").NewCache(0)
	addr := netip.MustParseAddr("11.0.0.1")
	cache.Lookup(addr)
	if n := testing.AllocsPerRun(100, func() { cache.Lookup(addr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	db, err := OpenBytes(world.Databases(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	addr := netip.MustParseAddr("11.0.0.1")
	b.Run("remembered", func(b *testing.B) {
		cache := db.NewCache(0)
		b.ReportAllocs()
		for b.Loop() {
			cache.Lookup(addr)
		}
	})
	b.Run("new", func(b *testing.B) {
		cache := db.NewCache(0)
		b.ReportAllocs()
		next := addr
		for b.Loop() {
			if next = next.Next(); !world.Networks[0].Prefix.Contains(next) {
				next = addr
				cache.reset()
			}
			cache.Lookup(next)
		}
	})
}
