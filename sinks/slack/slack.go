// Package slack tells a Slack channel of alerts through an incoming webhook: up to ten alerts in a message.
//
// Slack does not deduplicate: after a lost answer a message is there twice.
package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatewatch/gatewatch/detector/alert"
	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// maxAlerts go into a message: at most three blocks each, of the 50 that Slack takes, and nobody reads more.
const maxAlerts = 10

// maxSignals of an incident are shown.
const maxSignals = 5

var format = post.Format{Separator: ",", MaxItems: maxAlerts, MaxBytes: 1 << 20}

var _ sinks.Sink = (*Sink)(nil)

// Sink tells one channel.
type Sink struct {
	config Config
	client *post.Client
}

// New returns a sink for a valid configuration. It reads certificates but does not connect.
func New(c Config) (*Sink, error) {
	client, err := post.New(c.Config, append(c.Behind(), c.URL)...)
	if err != nil {
		return nil, fmt.Errorf("set up slack sink: %w", err)
	}
	return &Sink{config: c, client: client}, nil
}

// Name implements [sinks.Sink].
func (s *Sink) Name() string { return "slack" }

// Deliver implements [sinks.Sink].
func (s *Sink) Deliver(ctx context.Context, batch []*alert.Alert) error {
	items, refused := post.Encode(batch, format, func(a *alert.Alert) ([]byte, error) {
		if !s.config.Passes(a) {
			return nil, nil
		}
		array, err := post.JSON(blocks(a))
		if err != nil {
			return nil, err
		}
		return array[1 : len(array)-1], nil // the blocks of all alerts are one array
	})
	return post.Deliver(ctx, items, refused, format, func(ctx context.Context, items []post.Item) error {
		return s.send(ctx, notification(batch, items), items)
	})
}

// message is the body of a request. Text is what notifications show.
type message struct {
	Text        string          `json:"text"`
	Blocks      json.RawMessage `json:"blocks"`
	UnfurlLinks bool            `json:"unfurl_links"`
	UnfurlMedia bool            `json:"unfurl_media"`
}

func (s *Sink) send(ctx context.Context, text string, items []post.Item) error {
	body, err := post.JSON(message{Text: text, Blocks: slices.Concat([]byte("["), format.Join(items), []byte("]"))})
	if err != nil {
		return err
	}
	answer, err := s.client.Post(ctx, post.Request{Body: body})
	if err != nil {
		return err
	}
	return answer.Err()
}

// notification returns one line about the alerts of a message.
func notification(batch []*alert.Alert, items []post.Item) string {
	first := batch[items[0].Index]
	text := fmt.Sprintf("%s: %s", headline(first), escape(first.Summary, 500))
	if more := len(items) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"` // no links are made of what looks like one
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

// colours show the severity at a glance.
var colours = map[alert.Severity]string{
	alert.Info: ":white_circle:", alert.Low: ":large_blue_circle:", alert.Medium: ":large_yellow_circle:",
	alert.High: ":large_orange_circle:", alert.Critical: ":red_circle:",
}

var states = map[alert.State]string{alert.Open: "opened", alert.Update: "got worse", alert.Closed: "closed"}

func headline(a *alert.Alert) string {
	return fmt.Sprintf("%s %s %s", strings.ToUpper(string(a.Rule.Severity)), escape(a.Rule.Title, 300), states[a.State])
}

// blocks returns how one alert looks.
func blocks(a *alert.Alert) []block {
	colour := colours[a.Rule.Severity]
	if a.State == alert.Closed {
		colour = ":white_check_mark:"
	}
	body := fmt.Sprintf("%s *%s*\n%s", colour, headline(a), escape(a.Summary, 1500))
	if a.Rule.Advice != "" && a.State != alert.Closed {
		body += "\n_" + escape(a.Rule.Advice, 800) + "_"
	}
	context := fmt.Sprintf("%s %s · %s to %s · rule %s · alert `%s` version %d", a.Entity.Kind, escape(a.Entity.ID, 200),
		a.FirstSeen.Std().Format("2006-01-02 15:04:05"), a.LastSeen.Std().Format("15:04:05 UTC"), a.Rule.ID, a.ID, a.Version)
	if a.Risk != nil {
		context = fmt.Sprintf("risk %.0f · ", *a.Risk) + context
	}
	all := []block{{Type: "section", Text: &text{"mrkdwn", body, true}}}
	if signals := sinks.Signals(a); len(signals) > 0 && a.State != alert.Closed {
		all = append(all, block{Type: "section", Text: &text{"mrkdwn", evidence(signals), true}})
	}
	return append(all, block{Type: "context", Elements: []text{{"mrkdwn", context, true}}})
}

// evidence lists what an incident combines.
func evidence(signals []sinks.Signal) string {
	var out strings.Builder
	for i, s := range signals {
		if i == maxSignals {
			fmt.Fprintf(&out, "and %d more", len(signals)-i)
			break
		}
		fmt.Fprintf(&out, "• %s *%s* (%s): %s\n", s.Time.Std().Format("15:04:05"), escape(s.Title, 100), escape(s.Signal, 30), escape(s.Summary, 400))
	}
	return out.String()
}

// escape makes a text that mentions nobody and links nowhere, of at most n characters once it is escaped.
func escape(text string, n int) string {
	var out strings.Builder
	size := 0
	for _, r := range text {
		piece := piece(r)
		if size += utf8.RuneCountInString(piece); size >= n {
			return out.String() + "…"
		}
		out.WriteString(piece)
	}
	return out.String()
}

func piece(r rune) string {
	switch {
	case r == '&':
		return "&amp;"
	case r == '<':
		return "&lt;"
	case r == '>':
		return "&gt;"
	case r == '`':
		return "'"
	case unicode.IsControl(r):
		return " "
	}
	return string(r)
}

// Close implements [sinks.Sink].
func (s *Sink) Close(context.Context) error {
	s.client.Close()
	return nil
}
