package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gatewatch/gatewatch/rules"
	"github.com/gatewatch/gatewatch/rules/ruletest"
)

const (
	passingTest = "tests:\n  - {name: six of one, rules: good, traffic: {client_id: app, call: \"GET /users/{n}\", times: 6, every: 1s}, expect: {entity: app, at: 5s, value: 6}}\n"
	failingTest = "  - {name: five of one, rules: good, traffic: {client_id: app, call: \"GET /users/{n}\", times: 5, every: 1s}, expect: {entity: app}}\n"
)

func TestRulesTest(t *testing.T) {
	good := writeFile(t, "good.yaml", goodRule+passingTest)
	out, err := runRules(t, "", "test", good, "--require-tests")
	if err != nil || !strings.HasPrefix(out, good+"\n  ok    six of one  6 requests, 1 alert\n\n1 test, 1 rule, all passed in ") {
		t.Errorf("%v: %s", err, out)
	}
	bad := writeFile(t, "bad.yaml", goodRule+passingTest+failingTest)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	out, err = runRules(t, "", "test", bad, "--junit", junit)
	if err == nil || mistaken(err) || err.Error() != "1 test failed" {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"  FAIL  five of one  5 requests, 0 alerts\n        line 4: expected an alert of good for app: none came\n          closest: app at 10:00:04: 5 different", "1 failed in"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours in a pipe")
	}
	text, err := os.ReadFile(junit)
	if err != nil || !strings.Contains(string(text), `tests="2" failures="1"`) {
		t.Errorf("%v: %s", err, text)
	}
	out, err = runRules(t, "", "test", bad, "--run", "^six")
	if err != nil || strings.Contains(out, "five") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := runRules(t, "", "test"); err != nil || !strings.Contains(out, "all passed") {
		t.Errorf("the shipped rules: %v\n%s", err, out)
	}
}

func TestRulesTestAsksForTests(t *testing.T) {
	untested := writeFile(t, "untested.yaml", goodRule)
	out, err := runRules(t, "", "test", untested)
	if err != nil || out != "\nno test expects an alert of good\n\n0 tests, 1 rule, nothing was tested in 0s\n" {
		t.Errorf("%v: %q", err, out)
	}
	if _, err := runRules(t, "", "test", untested, "--require-tests"); err == nil || mistaken(err) || err.Error() != "1 rule without a test that expects an alert" {
		t.Errorf("%v", err)
	}
	// Tests can stand in a file of their own, and run and replay pass over them.
	apart := writeFile(t, "good.tests.yaml", passingTest)
	if out, err := runRules(t, "", "test", untested, apart); err != nil || !strings.Contains(out, apart+"\n  ok    six of one") {
		t.Errorf("%v: %s", err, out)
	}
	if set, err := loadRules([]string{untested, writeFile(t, "wrong.yaml", "tests: [{nonsense: 5}]")}); err != nil || set.Len() != 1 {
		t.Errorf("%v", err)
	}
}

var lineNumber = regexp.MustCompile(`^line \d+: `)

// TestReadmeExample runs the tests that the README shows, on the shipped rule that they name.
func TestReadmeExample(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(tests:\n.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README shows no tests")
	}
	shipped, err := readRuleFiles(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, tests, err := rules.ParseTests(append(shipped, rules.File{Name: "README", Data: block[1]})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests[len(tests)-3:] {
		result, err := ruletest.Run(t.Context(), test)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		(&testReport{w: &out, file: "README"}).add(&result)
		for line := range strings.Lines(out.String()) {
			if shown := lineNumber.ReplaceAllString(strings.TrimSpace(line), ""); !strings.Contains(string(text), shown) {
				t.Errorf("the README does not show: %s", line)
			}
		}
	}
}

func TestRulesTestMistakes(t *testing.T) {
	good := writeFile(t, "good.yaml", goodRule+passingTest)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"missing file":    {[]string{"/none/x.yaml"}, "/none/x.yaml"},
		"no expression":   {[]string{good, "--run", "("}, "--run"},
		"no such test":    {[]string{good, "--run", "nope"}, "no test of 1 has such a name"},
		"tests alone":     {[]string{writeFile(t, "alone.yaml", passingTest)}, ":2:3: there are tests and no rules"},
		"wrong test":      {[]string{writeFile(t, "wrong.yaml", goodRule+strings.Replace(passingTest, "times", "time", 1))}, `:3:87: unknown key "time" in an entry of traffic (did you mean "times"?)`},
		"too many events": {[]string{writeFile(t, "many.yaml", goodRule+strings.Replace(passingTest, "times: 6", "times: 1e9", 1))}, "times must be a whole number"},
	} {
		if _, err := runRules(t, "", append([]string{"test"}, c.args...)...); !mistaken(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := writeFile(t, "other.yaml", strings.ReplaceAll(goodRule+passingTest, "good", "other"))
	out, err := runRules(t, "", "check", writeFile(t, "wrong.yaml", goodRule+strings.Replace(passingTest, "times", "time", 1)), other)
	if !mistaken(err) || !strings.Contains(out, "unknown key \"time\"") || !strings.Contains(out, other+": ok, 1 rule, 1 test\n") {
		t.Errorf("check: %v: %s", err, out)
	}
	if _, err := runRules(t, "", "test", good, "--junit", filepath.Join(t.TempDir(), "none", "x.xml")); err == nil || mistaken(err) {
		t.Errorf("an impossible file: %v", err)
	}
}
