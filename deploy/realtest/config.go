package realtest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/sinks/sinktest"
)

// Config is a gatewatch.yaml.
type Config map[string]any

// Section is one of its sections.
type Section = map[string]any

// NewConfig reads topic through the broker at an address and delivers to alerts.jsonl beside the configuration. It knows the
// places of the telemetry that tests generate.
func NewConfig(t testing.TB, broker, topic string) Config {
	t.Helper()
	databases, err := Databases()
	must(t, err)
	return Config{
		"kafka":        Section{"brokers": []string{broker}, "topics": []string{topic}, "group": topic + "-group"},
		"geo":          Section{"databases": databases},
		"dead_letters": Section{"file": "rejected.jsonl", "alerts": "refused.jsonl"},
		"sinks":        Section{"file": Section{"path": "alerts.jsonl", "queue": quick()}},
	}
}

// quick is a queue that tries again soon.
func quick() Section { return Section{"retry_max": (2 * time.Second).String()} }

// Expire has the group give the partitions of a process away so long after it has died.
func (c Config) Expire(session time.Duration) {
	kafka := c["kafka"].(Section)
	kafka["session_timeout"], kafka["heartbeat_interval"], kafka["revoke_timeout"] = session.String(), (session / 10).String(), (session / 2).String()
}

// AddClickHouse delivers to a database of the server at an address too.
func (c Config) AddClickHouse(address, database string) {
	c["sinks"].(Section)["clickhouse"] = Section{
		"addresses": []string{address}, "database": database, "username": User, "password": Section{"env": "CLICKHOUSE_PASSWORD"}, "queue": quick(),
	}
}

// AddTopic delivers to a topic of three partitions too.
func (c Config) AddTopic(broker, topic string) {
	c["sinks"].(Section)["kafka"] = Section{"brokers": []string{broker}, "topic": topic, "partitions": 3, "queue": quick()}
}

// Databases are the paths of the GeoIP databases that know the world of the generated telemetry.
func Databases() ([]string, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range []string{"world", "world-asn", "world-anonymous"} {
		paths = append(paths, filepath.Join(root, "fixtures", "geoip", name+".mmdb"))
	}
	return paths, nil
}

// Proxy stands between the broker and the clients that are given its address, until the test ends: they get that address
// from the broker too and know no way around it. There are proxies 1 and 2.
func (k *Kafka) Proxy(t testing.TB, number int) *sinktest.Proxy {
	t.Helper()
	return sinktest.NewProxyAt(t, address127(k.port+7+number), address127(k.port+5+number))
}
