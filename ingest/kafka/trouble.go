package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	kafka "github.com/segmentio/kafka-go"

	"github.com/gatewatch/gatewatch/ingest/kafka/connection"
)

// The kinds of failure: what an operator has to look at.
const (
	kindAccess     = "access"     // credentials, certificates, permissions
	kindConnection = "connection" // a broker that cannot be reached or stopped talking
	kindLeader     = "leader"     // partitions and groups that move between brokers
	kindTopic      = "topic"      // topics that do not exist
	kindBroker     = "broker"     // everything else that a broker says
	kindOther      = "other"
)

var kinds = []string{kindAccess, kindConnection, kindLeader, kindTopic, kindBroker, kindOther}

func kindOf(err error) string {
	code, fromBroker := errors.AsType[kafka.Error](err)
	_, missing := errors.AsType[missingTopic](err)
	_, network := errors.AsType[net.Error](err)
	switch {
	case connection.Advice(err) != "":
		return kindAccess
	case missing:
		return kindTopic
	case fromBroker:
		return kindOfCode(code)
	case network, isEnd(err):
		return kindConnection
	}
	return kindOther
}

func kindOfCode(code kafka.Error) string {
	switch code {
	case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed:
		return kindAccess
	case kafka.UnknownTopicOrPartition:
		return kindTopic
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.ReplicaNotAvailable, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch,
		kafka.NotCoordinatorForGroup, kafka.GroupCoordinatorNotAvailable, kafka.GroupLoadInProgress, kafka.RebalanceInProgress:
		return kindLeader
	}
	return kindBroker
}

// advice says what to do about an error that has begun.
func advice(err error) string {
	if a := connection.Advice(err); a != "" {
		return a
	}
	switch kindOf(err) {
	case kindConnection:
		return "check that kafka.brokers is right and that the brokers run"
	case kindAccess:
		return "allow kafka.sasl.username to read the topics and the group"
	}
	return ""
}

// trouble logs that something does not work when that begins and when it ends, not each time that it is tried. One goroutine
// at a time may use it.
type trouble struct {
	log      *slog.Logger
	patience time.Duration // for how long nothing is said
	begun    map[string]*affliction
	refused  int // times in a row that repeating was without hope
}

// affliction is what is wrong with one thing that is being done.
type affliction struct {
	doing  string
	since  time.Time
	logged map[string]bool // the kinds of errors that were logged
}

// patience is how long partitions and groups may be without leader, as they are whenever a broker restarts, before that is
// worth a line.
const patience = 5 * time.Second

// hopeless is how often in a row the cluster must refuse us before we believe it: a broker that stops while it checks a
// password looks as if it did.
const hopeless = 3

// note takes note of how doing went and reports whether there is no hope.
func (t *trouble) note(doing string, err error) bool {
	if err == nil {
		t.end(doing)
		return false
	}
	if connection.Advice(err) == "" {
		t.refused = 0
	} else if t.refused++; t.refused >= hopeless {
		return true
	}
	key := kindOf(err)
	if key == kindTopic {
		key = err.Error() // names the topic, and nothing that changes
	}
	t.say(t.affliction(doing), key, err)
	return false
}

func (t *trouble) affliction(doing string) *affliction {
	if t.begun == nil {
		t.begun = map[string]*affliction{}
	}
	if t.begun[doing] == nil {
		t.begun[doing] = &affliction{doing: doing, since: time.Now(), logged: map[string]bool{}}
	}
	return t.begun[doing]
}

func (t *trouble) say(a *affliction, key string, err error) {
	wait := t.patience
	if key == kindLeader {
		wait = patience
	}
	if a.logged[key] || time.Since(a.since) < wait {
		return
	}
	a.logged[key] = true
	args := []any{"error", err}
	if text := advice(err); text != "" {
		args = append(args, "advice", text)
	}
	t.log.Warn("cannot "+a.doing+"; trying again", args...)
}

func (t *trouble) end(doing string) {
	t.refused = 0
	if old := t.begun[doing]; old != nil {
		delete(t.begun, doing)
		if len(old.logged) > 0 {
			t.log.Info("can "+doing+" again", "after", time.Since(old.since).Round(time.Millisecond))
		}
	}
}

// leash holds the connections of a consumer group, so that waiting for an answer can be cut short.
type leash struct {
	dialer *kafka.Dialer
	mu     sync.Mutex
	held   map[net.Conn]bool
}

func newLeash(d *kafka.Dialer) *leash {
	l := &leash{dialer: d, held: map[net.Conn]bool{}}
	dial := d.DialFunc
	d.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held[conn] = true
		return leashed{conn, l}, nil
	}
	return l
}

// cutAfter closes all connections after d, unless the function that it returns is called before.
func (l *leash) cutAfter(d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for conn := range l.held {
			conn.Close()
		}
	}).Stop
}

type leashed struct {
	net.Conn
	leash *leash
}

// Close implements [net.Conn].
func (c leashed) Close() error {
	c.leash.mu.Lock()
	delete(c.leash.held, c.Conn)
	c.leash.mu.Unlock()
	return c.Conn.Close()
}
