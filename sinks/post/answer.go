package post

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gatewatch/gatewatch/sinks"
)

// maxExcerpt bounds how much of an answer an error shows, in bytes.
const maxExcerpt = 300

// Answer is what a destination said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	client *Client
	host   string
}

// refusals are the statuses that speak of the records, so that the same will never be taken. All others speak of addresses,
// credentials, grants, quotas, encodings or of what stands in between, which an operator can repair while alerts wait.
var refusals = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

// Err says what becomes of records that were answered so: nil for 2xx, [*sinks.RefusedError] when the status speaks of
// them, else [*sinks.RetryError] with what Retry-After asks for. A web page is never a success: it comes from a proxy that
// blocks, or from another service than the one that was meant.
func (a Answer) Err() error {
	switch {
	case a.OK() && !a.page():
		return nil
	case slices.Contains(refusals, a.Status):
		return a.Refuse()
	}
	return a.Retry()
}

// OK reports a status of success, whatever the body says.
func (a Answer) OK() bool { return a.Status/100 == 2 }

func (a Answer) page() bool { return bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<")) }

// Retry reports a failure that may pass.
func (a Answer) Retry() error {
	return &sinks.RetryError{After: retryAfter(a.Header, time.Now()), Err: a.err()}
}

// Refuse reports that the records will never be taken.
func (a Answer) Refuse() error { return &sinks.RefusedError{Err: a.err()} }

func (a Answer) err() error {
	text := fmt.Sprintf("%s answered %d", a.host, a.Status)
	if name := http.StatusText(a.Status); name != "" {
		text += " " + name
	}
	if advice := advice[a.Status]; advice != "" {
		text += " (" + advice + ")"
	}
	if a.OK() && a.page() {
		text += " (with a web page: check url and proxy)"
	}
	if place, err := url.Parse(a.Header.Get("Location")); err == nil && place.Host != "" && a.Status/100 == 3 {
		text += fmt.Sprintf(" (redirects to %s are not followed: set url)", place.Host)
	}
	if excerpt := a.excerpt(); excerpt != "" {
		text += ": " + excerpt
	}
	return errors.New(a.client.Clean(text))
}

// advice says what an operator can do about a status.
var advice = map[int]string{
	http.StatusUnauthorized:         "check the credentials",
	http.StatusForbidden:            "check the credentials and what they are granted",
	http.StatusNotFound:             "check url and names",
	http.StatusMethodNotAllowed:     "check url",
	http.StatusUnsupportedMediaType: "does it take gzip? else set gzip: false",
	http.StatusProxyAuthRequired:    "check the credentials of the proxy",
	http.StatusGone:                 "the other side wants nothing more: make a new address there or take the sink out",
}

// excerpt returns the beginning of the body in one line. Secrets go before it is cut: half of one is one.
func (a Answer) excerpt() string {
	body := a.Body[:min(len(a.Body), 1<<16)]
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(a.client.Clean(string(body)), "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
	}
	return text
}

// retryAfter reads the header Retry-After, seconds or a date (RFC 9110, 10.2.3); 0: there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
