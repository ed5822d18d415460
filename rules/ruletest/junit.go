package ruletest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// JUnit's XML has no standard; this is the common denominator of what CI systems read.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`

		took time.Duration
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`

		took time.Duration
	}
	junitCase struct {
		Name     string         `xml:"name,attr"`
		Class    string         `xml:"classname,attr"` // the rules that run
		File     string         `xml:"file,attr"`
		Line     int            `xml:"line,attr"`
		Time     string         `xml:"time,attr"`
		Failures []junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as JUnit XML: a suite for each file, a case for each test.
func WriteJUnit(w io.Writer, results []Result) error {
	report := junitReport{Name: "gatewatch rules test", Tests: len(results)}
	for i := range results {
		report.add(&results[i])
	}
	report.Time = seconds(report.took)
	for i := range report.Suites {
		report.Suites[i].Time = seconds(report.Suites[i].took)
	}
	b, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	if _, err := io.WriteString(w, xml.Header+string(b)+"\n"); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return nil
}

func (p *junitReport) add(r *Result) {
	if n := len(p.Suites); n == 0 || p.Suites[n-1].Name != r.Test.File {
		p.Suites = append(p.Suites, junitSuite{Name: r.Test.File})
	}
	suite := &p.Suites[len(p.Suites)-1]
	suite.Tests++
	suite.took += r.Elapsed
	p.took += r.Elapsed
	c := junitCase{Name: r.Test.Name, Class: ruleNames(r), File: r.Test.File, Line: r.Test.Line, Time: seconds(r.Elapsed)}
	for _, failure := range r.Failures {
		message, _, _ := strings.Cut(failure.Text, "\n")
		c.Failures = append(c.Failures, junitFailure{message, "alerts", fmt.Sprintf("%s:%d: %s", r.Test.File, failure.Line, failure.Text)})
	}
	if !r.Passed() {
		suite.Failures++
		p.Failures++
	}
	suite.Cases = append(suite.Cases, c)
}

// ruleNames names the rules of a test, if there are few.
func ruleNames(r *Result) string {
	const most = 3
	if len(r.Test.Rules) > most {
		return "rules"
	}
	var ids []string
	for _, rule := range r.Test.Rules {
		ids = append(ids, rule.ID)
	}
	return strings.Join(ids, ",")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
