package realtest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Metric reads the sum over all series of a metric, or ok false while the service does not answer or does not have it.
func (s *Service) Metric(ctx context.Context, name string) (value float64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Address+"/metrics", nil)
	if err != nil {
		return 0, false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if v, is := sample(lines.Text(), name); is {
			value, ok = value+v, true
		}
	}
	return value, ok && lines.Err() == nil
}

// sample is the value in a line of the text format if it belongs to the metric.
func sample(line, name string) (float64, bool) {
	rest, is := strings.CutPrefix(line, name)
	if !is || rest == "" || rest[0] != ' ' && rest[0] != '{' {
		return 0, false
	}
	v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
	return v, err == nil
}

// UntilMetric waits until the metric has a value that is good enough.
func (s *Service) UntilMetric(t testing.TB, ctx context.Context, name string, enough func(float64) bool) {
	t.Helper()
	Until(t, ctx, fmt.Sprintf("%s of %s", name, s.Name), func() bool {
		s.MustRun(t)
		v, ok := s.Metric(ctx, name)
		return ok && enough(v)
	})
}

// Until asks again and again until done is true: nothing says when a process of its own has come so far.
func Until(t testing.TB, ctx context.Context, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}
