package kafka

import (
	"context"
	"errors"
	"time"

	kafka "github.com/segmentio/kafka-go"
)

// farewell makes a group forget a member.
//
// When kafka-go loses the group's coordinator, it tries to leave, which fails for the same reason, and forgets who it was.
// The group does not: once the coordinator is back, everybody would wait a whole session timeout for the lost member. So we
// leave in its name, as soon as that is possible.
type farewell struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// sayFarewell tries until it has succeeded or is stopped.
func (s *Source) sayFarewell(ctx context.Context, member string) *farewell {
	ctx, cancel := context.WithCancel(ctx)
	f := &farewell{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for ctx.Err() == nil && !s.leave(ctx, member) {
			sleep(ctx, joinBackoff)
		}
	}()
	return f
}

// stop ends the attempts and waits for their end.
func (f *farewell) stop() {
	if f != nil {
		f.cancel()
		<-f.done
	}
}

// leave reports whether the group no longer has the member. The pool of connections is new each time: one that was made
// during an outage remembers its failure for seconds.
func (s *Source) leave(ctx context.Context, member string) bool {
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	transport := s.cluster.Transport()
	transport.MetadataTopics = s.config.Topics
	defer transport.CloseIdleConnections()
	client := kafka.Client{Addr: s.cluster.Addr(), Transport: transport}
	answer, err := client.LeaveGroup(ctx, &kafka.LeaveGroupRequest{
		GroupID: s.config.Group, Members: []kafka.LeaveGroupRequestMember{{ID: member}},
	})
	if err != nil {
		return false
	}
	for _, m := range answer.Members {
		if answer.Error == nil {
			answer.Error = m.Error
		}
	}
	return answer.Error == nil || errors.Is(answer.Error, kafka.UnknownMemberId)
}

// joinBackoff is the pause between attempts to join, and to leave for another.
const joinBackoff = 500 * time.Millisecond
