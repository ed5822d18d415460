package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// composition is what compose.yaml may say; decoding is strict, so that a mistyped key is found.
type composition struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	DependsOn   []string          `yaml:"depends_on"`
	Healthcheck struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
	Restart         string         `yaml:"restart"`
	StopGracePeriod string         `yaml:"stop_grace_period"`
	ReadOnly        bool           `yaml:"read_only"`
	CapDrop         []string       `yaml:"cap_drop"`
	SecurityOpt     []string       `yaml:"security_opt"`
	Ulimits         map[string]int `yaml:"ulimits"`
	Profiles        []string       `yaml:"profiles"`
}

func compose(t *testing.T) composition {
	t.Helper()
	var c composition
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "compose.yaml")), &c, yaml.Strict()); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
	return c
}

func TestCompose(t *testing.T) {
	c := compose(t)
	pinned := regexp.MustCompile(`^[a-z/-]+:v?\d`)
	for name, s := range c.Services {
		if s.Build.Context == "" && s.Image != "gatewatch" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no version", name, s.Image)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to the network", name, port)
			}
		}
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which does not exist", name, other)
			}
		}
		for _, volume := range s.Volumes {
			checkVolume(t, c, name, strings.Split(volume, ":")[0])
		}
	}
}

// checkVolume finds mounts of files that are not there, for which Docker makes empty folders.
func checkVolume(t *testing.T, c composition, service, source string) {
	t.Helper()
	if !strings.HasPrefix(source, ".") {
		if _, ok := c.Volumes[source]; !ok {
			t.Errorf("%s: volume %s is not declared", service, source)
		}
		return
	}
	if _, err := os.Stat(source); err != nil {
		t.Errorf("%s mounts %s: %v", service, source, err)
	}
}

// TestComposeNamesAgree holds what one file says of a service against what the others expect.
func TestComposeNamesAgree(t *testing.T) {
	c := compose(t)
	hosts := map[string]string{
		"prometheus/prometheus.yml":                       `targets: \["([a-z]+):`,
		"grafana/provisioning/datasources/gatewatch.yaml": `(?:host: |http://)([a-z]+)`,
		"compose/gatewatch.yaml":                          `\b([a-z]+):9[0-9]{3}\b`,
	}
	for file, pattern := range hosts {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s names no service", file)
		}
		for _, match := range found {
			if _, ok := c.Services[match[1]]; !ok {
				t.Errorf("%s: there is no service %s", file, match[1])
			}
		}
	}
	provider := read(t, "grafana/provisioning/dashboards/gatewatch.yaml")
	if !slices.ContainsFunc(c.Services["grafana"].Volumes, func(v string) bool {
		parts := strings.Split(v, ":")
		return parts[0] == "./grafana/dashboards" && strings.Contains(provider, "path: "+parts[1]+"\n")
	}) {
		t.Error("Grafana looks for dashboards where none are mounted")
	}
}

func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	stages := strings.Split("\n"+text, "\nFROM ")
	final := stages[len(stages)-1]
	if !strings.HasPrefix(final, "scratch\n") || strings.Contains(final, "\nRUN ") {
		t.Error("the image must hold nothing but what is copied into it")
	}
	if user := regexp.MustCompile(`\nUSER (\d+):(\d+)\n`).FindStringSubmatch(final); user == nil || user[1] == "0" {
		t.Error("the image must run as a numbered user who is not root")
	}
	if !strings.Contains(text, "CGO_ENABLED=0 go build") {
		t.Error("the binary must need no C library: there is none in the image")
	}
	image := regexp.MustCompile(`FROM golang:(\d+)\.(\d+) AS build`).FindStringSubmatch(text)
	module := regexp.MustCompile(`\ngo (\d+)\.(\d+)`).FindStringSubmatch(read(t, filepath.Join("..", "go.mod")))
	if image == nil || module == nil || !atLeast(t, image[1:3], module[1:3]) {
		t.Errorf("built with Go %v, go.mod wants %v", image, module)
	}
}

func atLeast(t *testing.T, have, want []string) bool {
	t.Helper()
	number := func(v []string) int {
		major, err1 := strconv.Atoi(v[0])
		minor, err2 := strconv.Atoi(v[1])
		if err1 != nil || err2 != nil {
			t.Fatalf("version %v", v)
		}
		return 1000*major + minor
	}
	return number(have) >= number(want)
}

// TestPrometheusAlerts checks what Prometheus would find missing only when an alert fires.
func TestPrometheusAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "prometheus/alerts.yml")), &file, yaml.Strict()); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
	names := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if names[r.Alert] || r.Expr == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" ||
				!slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
				t.Errorf("%s: twice, or without expression, summary, description or severity", r.Alert)
			}
			names[r.Alert] = true
		}
	}
	if len(names) == 0 {
		t.Error("no alerts")
	}
}
