package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// paint colours words for terminals; the zero paint leaves them as they are.
type paint struct{ on bool }

func (p paint) code(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string { return p.code("1", s) }
func (p paint) dim(s string) string  { return p.code("2", s) }
func (p paint) good(s string) string { return p.code("32", s) }
func (p paint) bad(s string) string  { return p.code("31", s) }

func (p paint) severity(s alert.Severity) string {
	word := fmt.Sprintf("%-8s", strings.ToUpper(string(s)))
	return p.code(map[alert.Severity]string{
		alert.Info: "36", alert.Low: "36", alert.Medium: "33", alert.High: "31", alert.Critical: "1;31",
	}[s], word)
}

// screen shows alerts as they come, one a line, above a status line that is rewritten in place. In a pipe the status line is a
// line like any other, now and then.
type screen struct {
	w     io.Writer
	paint paint
	width int // of the terminal; 0: no terminal

	mu     sync.Mutex
	status string
}

// newScreen looks at what f is. NO_COLOR in the environment is honoured, see no-color.org.
func newScreen(f *os.File, noColor bool) *screen {
	s := &screen{w: f}
	if term.IsTerminal(int(f.Fd())) {
		s.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.width = width
		}
		_, refused := os.LookupEnv("NO_COLOR")
		s.paint.on = !noColor && !refused && os.Getenv("TERM") != "dumb"
	}
	return s
}

// interactive reports whether a person watches.
func (s *screen) interactive() bool { return s.width > 0 }

// line writes above the status line.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interactive() {
		fmt.Fprintf(s.w, "\r\x1b[K%s\n%s", text, s.status)
		return
	}
	fmt.Fprintln(s.w, text)
}

// show replaces the status line.
func (s *screen) show(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.interactive() {
		fmt.Fprintln(s.w, status)
		return
	}
	if r := []rune(status); len(r) >= s.width {
		status = string(r[:s.width-1])
	}
	s.status = s.paint.dim(status)
	fmt.Fprintf(s.w, "\r\x1b[K%s", s.status)
}

// clear removes the status line.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interactive() && s.status != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
	s.status = ""
}

// alertLine is an alert in one readable line. With a width, what does not fit is cut: the file has it all.
func (s *screen) alertLine(a *alert.Alert) string {
	state := map[alert.State]string{alert.Open: "NEW ", alert.Update: "more", alert.Closed: "over"}[a.State]
	head := fmt.Sprintf("%s  %s  %s  ", a.DetectedAt.Std().Local().Format(time.TimeOnly), state, s.paint.severity(a.Rule.Severity))
	plain := len("15:04:05  more  CRITICAL  ")
	text := fmt.Sprintf("%s: %s", a.Rule.ID, a.Summary)
	if r := []rune(text); s.interactive() && plain+len(r) > s.width {
		text = string(r[:max(20, s.width-plain-1)]) + "…"
	}
	return head + text
}
