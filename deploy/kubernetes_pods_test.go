package deploy

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func checkSecurity(t *testing.T, spec pod) {
	t.Helper()
	user := regexp.MustCompile(`\nUSER (\d+):(\d+)\n`).FindStringSubmatch(read(t, "Dockerfile"))
	s, c := spec.SecurityContext, spec.Containers[0].SecurityContext
	if uid := number(t, user[1]); s.RunAsUser != uid || s.RunAsGroup != number(t, user[2]) || s.FSGroup != s.RunAsGroup || !s.RunAsNonRoot {
		t.Errorf("the image runs as %s:%s, the pod as %+v", user[1], user[2], s)
	}
	if s.SeccompProfile["type"] != "RuntimeDefault" || !c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities["drop"], []string{"ALL"}) {
		t.Errorf("the container may do more than it must: %+v %+v", s, c)
	}
}

func checkProbes(t *testing.T, c *cluster, container container) {
	t.Helper()
	_, port, _ := strings.Cut(c.config.HTTP.Listen, ":")
	if len(container.Ports) != 1 || container.Ports[0].ContainerPort != number(t, port) || !strings.HasPrefix(c.config.HTTP.Listen, ":") {
		t.Errorf("http.listen is %q, the port of the container %+v", c.config.HTTP.Listen, container.Ports)
	}
	for path, probes := range map[string][]probe{"/healthz": {container.StartupProbe, container.LivenessProbe}, "/readyz": {container.ReadinessProbe}} {
		for _, p := range probes {
			if p.HTTPGet.Path != path || p.HTTPGet.Port != container.Ports[0].Name || p.PeriodSeconds == 0 {
				t.Errorf("a probe of %s asks %+v", path, p)
			}
		}
	}
}

// checkPaths finds files that gatewatch would write to where nothing can be written, and mounts of volumes that are not there.
func checkPaths(t *testing.T, c *cluster, w workload) {
	t.Helper()
	var volumes []string
	for _, v := range w.Spec.Template.Spec.Volumes {
		volumes = append(volumes, v.Name)
		if v.ConfigMap.Name != "" && v.ConfigMap.Name != c.kustomize.ConfigMapGenerator[0].Name {
			t.Errorf("the ConfigMap %s is not generated", v.ConfigMap.Name)
		}
		if v.EmptyDir != nil && v.EmptyDir["sizeLimit"] == "" {
			t.Errorf("%s can fill the disk of its node", v.Name)
		}
	}
	for _, v := range w.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Metadata.Name)
	}
	var readable, writable []string
	container := w.Spec.Template.Spec.Containers[0]
	for _, m := range container.VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("volume %s is not declared", m.Name)
		}
		if readable = append(readable, m.MountPath); !m.ReadOnly {
			writable = append(writable, m.MountPath)
		}
	}
	if config := container.Args[len(container.Args)-1]; !slices.Contains(readable, path.Dir(config)) ||
		!strings.Contains(read(t, "Dockerfile"), config) || path.Base(config) != c.kustomize.ConfigMapGenerator[0].Files[0] {
		t.Errorf("the configuration %s is not where it is mounted, or not where the image expects it", config)
	}
	written := []string{c.config.DeadLetters.Alerts}
	if c.config.DeadLetters.Topic == "" {
		written = append(written, c.config.DeadLetters.File)
	}
	if !strings.Contains(string(c.config.State), "://") {
		written = append(written, string(c.config.State))
	}
	for _, file := range written {
		if !slices.Contains(writable, path.Dir(file)) {
			t.Errorf("%q is in no folder that can be written to: %v", file, writable)
		}
	}
}

// checkSecrets holds the variables that the configuration names against those that the container has.
func checkSecrets(t *testing.T, c *cluster, container container) {
	t.Helper()
	named := regexp.MustCompile(`\{env: (\w+)\}`).FindAllStringSubmatch(c.config.text, -1)
	if len(named) == 0 {
		t.Error("the configuration names no secret")
	}
	for _, match := range named {
		found := false
		for _, e := range container.Env {
			found = found || e.Name == match[1] && e.ValueFrom.SecretKeyRef.Name == "gatewatch" && e.ValueFrom.SecretKeyRef.Key != "" && e.Value == ""
		}
		if !found {
			t.Errorf("the variable %s does not come from the Secret", match[1])
		}
	}
}

// checkMemory holds what gatewatch may take for entities, and where the collector begins to work hard, against what kills it.
func checkMemory(t *testing.T, c *cluster, container container) {
	t.Helper()
	limit := bytes(t, container.Resources.Limits["memory"])
	if container.Resources.Requests["memory"] != container.Resources.Limits["memory"] || container.Resources.Limits["cpu"] != "" {
		t.Errorf("resources %+v", container.Resources)
	}
	if entities := bytes(t, fmt.Sprint(c.config.Limits["memory"])); container.Args[0] == "run" && limit < 2*entities {
		t.Errorf("entities may take %d of %d bytes: less than half is left for all else", entities, limit)
	}
	for _, e := range container.Env {
		if e.Name == "GOMEMLIMIT" {
			if soft := bytes(t, e.Value); soft < limit*4/5 || soft > limit*19/20 {
				t.Errorf("GOMEMLIMIT is %d, the container is killed at %d", soft, limit)
			}
			return
		}
	}
	t.Error("GOMEMLIMIT is not set")
}

// bytes reads 4Gi, 3600MiB and the like.
func bytes(t *testing.T, text string) int {
	t.Helper()
	match := regexp.MustCompile(`^(\d+)([MG])iB?$`).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no size: %q", text)
	}
	return number(t, match[1]) << map[string]int{"M": 20, "G": 30}[match[2]]
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
