package kafka_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gatewatch/gatewatch/ingest/kafka"
	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// lines are the connections to a cluster, which can be cut and kept down.
type lines struct {
	mu      sync.Mutex
	conns   map[net.Conn]bool
	down    bool
	refused int
	refusal chan struct{} // has something after a refusal
}

func newLines() *lines { return &lines{conns: map[net.Conn]bool{}, refusal: make(chan struct{}, 1)} }

func (l *lines) listen(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	return &lineListener{listener, l}, err
}

// cut ends all connections; while down, new ones end as soon as they are made. It returns how many did before.
func (l *lines) cut(down bool) (refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for conn := range l.conns {
		conn.Close()
		delete(l.conns, conn)
	}
	return l.refused
}

func (l *lines) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

type lineListener struct {
	net.Listener
	lines *lines
}

func (l *lineListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.lines.hold(conn) {
			return conn, nil
		}
		conn.Close()
	}
}

func (l *lines) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.refused++
		select {
		case l.refusal <- struct{}{}:
		default:
		}
		return false
	}
	l.conns[conn] = true
	return true
}

// untilRefused waits until n connections were refused.
func (l *lines) untilRefused(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		refused := l.refused
		l.mu.Unlock()
		if refused >= n {
			return
		}
		select {
		case <-l.refusal:
		case <-deadline:
			t.Fatalf("%d connections refused, want %d", refused, n)
		}
	}
}

// Nothing is committed here: that each record comes once although connections and the membership are lost again and again
// shows that the source goes on where it was.
func TestCutConnectionsLoseAndRepeatNothing(t *testing.T) {
	net := newLines()
	c := newCluster(t, kfake.SeedTopics(4, topic), kfake.ListenFn(net.listen))
	conf := config(c)
	conf.FetchBytes = 2 << 10
	p := start(t, conf, newRecorder())
	for i := range 10 {
		produce(t, c, topic, 4, 1000*i, 1000)
		p.untilValues(t, 1000*i+500)
		net.cut(false)
	}
	p.untilValues(t, 10_000)
	p.end(t)
	p.check(t, 10_000)
}

func TestSurvivesAnOutage(t *testing.T) {
	net := newLines()
	c := newCluster(t, kfake.SeedTopics(2, topic), kfake.ListenFn(net.listen))
	net.cut(true)
	p := start(t, config(c), newRecorder())
	net.untilRefused(t, 5)
	if n := p.log.count("no broker answers"); n != 1 {
		t.Errorf("logged %d times that the cluster is out of reach", n)
	}
	net.up()
	produce(t, c, topic, 2, 0, 100)
	p.untilValues(t, 100)
	refused := net.cut(true)
	p.until(t, "the partitions to be revoked", func() bool { return p.revoked == 2 })
	net.untilRefused(t, refused+2) // to leave, and to join
	net.up()
	produce(t, c, topic, 2, 100, 100)
	back := time.Now()
	p.untilValues(t, 200)
	// The member of before the outage, who could not leave, must not be waited for.
	if took := time.Since(back); took > config(c).SessionTimeout/2 {
		t.Errorf("came back only after %v", took)
	}
	p.end(t)
	p.check(t, 200)
}

func TestEndsDuringAnOutage(t *testing.T) {
	net := newLines()
	c := newCluster(t, kfake.SeedTopics(2, topic), kfake.ListenFn(net.listen))
	p := start(t, config(c), newRecorder())
	p.untilAssigned(t, 2)
	net.cut(true)
	p.end(t)
}

func TestFollowsLeaders(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(4, topic), kfake.NumBrokers(3))
	p := start(t, config(c), newRecorder())
	for i := range 5 {
		produce(t, c, topic, 4, 100*i, 100)
		p.untilValues(t, 100*(i+1))
		for partition := range int32(4) {
			must(t, c.MoveTopicPartition(topic, partition, (int32(i)+partition)%3))
		}
	}
	p.end(t)
	p.check(t, 500)
}

func TestAuthentication(t *testing.T) {
	for _, mechanism := range []string{connection.Plain, connection.ScramSHA256, connection.ScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(1, topic), kfake.EnableSASL(), kfake.Superuser(mechanism, "gatewatch", "right"))
			conf := config(c)
			conf.SASL = connection.SASL{Mechanism: mechanism, Username: "gatewatch", Password: "right"}
			p := start(t, conf, newRecorder())
			p.untilAssigned(t, 1)
			p.end(t)

			conf.SASL.Password = "wrong-password"
			p = start(t, conf, newRecorder())
			err := p.wait(t)
			if err == nil || !strings.Contains(err.Error(), "sasl.password") || !strings.Contains(err.Error(), conf.Brokers[0]) {
				t.Errorf("Run returned %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "wrong-password") || strings.Contains(p.log.String(), "wrong-password") {
				t.Errorf("the password is shown: %v\n%s", err, p.log.String())
			}
		})
	}
}

func TestConfig(t *testing.T) {
	if err := kafka.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := kafka.Config{Topics: []string{""}, Start: "now", HeartbeatInterval: 2, RevokeTimeout: time.Hour, FetchWait: time.Hour}
	err := bad.Validate()
	for _, want := range []string{
		"brokers", "topics", "group", "start", "session_timeout", "heartbeat_interval", "revoke_timeout", "topic_interval",
		"request_timeout", "fetch_wait", "fetch_bytes", "batch_events", "dial_timeout",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
