package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKustomizations holds what each folder says it consists of against the files that are there.
func TestKustomizations(t *testing.T) {
	for name, c := range clusters(t) {
		named := append([]string{"kustomization.yaml"}, c.kustomize.Resources...)
		for _, g := range c.kustomize.ConfigMapGenerator {
			named = append(named, g.Files...)
		}
		files, err := os.ReadDir(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !slices.Contains(named, f.Name()) {
				t.Errorf("%s: nothing uses %s", name, f.Name())
			}
		}
		if len(files) != len(named) {
			t.Errorf("%s: of %v only %d exist", name, named, len(files))
		}
		if len(c.kustomize.Images) != 1 || c.kustomize.Images[0].Name != "gatewatch" || c.kustomize.Images[0].NewTag == "latest" {
			t.Errorf("%s: the image must have one place where its version is set", name)
		}
	}
}

func TestKubernetesSharedMode(t *testing.T) {
	c := clusters(t)["shared"]
	if !strings.HasPrefix(string(c.config.State), "kafka://") || c.config.Route.Topic == "" || c.config.DeadLetters.Topic == "" {
		t.Errorf("state, keyed topic and rejected records must be in Kafka: %q, %q, %q", c.config.State, c.config.Route.Topic, c.config.DeadLetters.Topic)
	}
	verbs := map[string]bool{}
	for _, w := range c.workloads {
		verb := w.Spec.Template.Spec.Containers[0].Args[0]
		verbs[verb] = true
		if w.Kind != "Deployment" || len(w.Spec.VolumeClaimTemplates) > 0 || w.Spec.Strategy.RollingUpdate.MaxUnavailable != 1 {
			t.Errorf("%s: instances are disposable and replaced one at a time", w.Metadata.Name)
		}
		if w.Spec.Replicas < 2 || verb == "run" && w.Spec.Replicas > c.config.Route.Partitions {
			t.Errorf("%s: %d replicas for %d partitions", w.Metadata.Name, w.Spec.Replicas, c.config.Route.Partitions)
		}
		if !slices.ContainsFunc(c.budgets, func(b budget) bool {
			return b.Spec.MaxUnavailable == 1 && matches(b.Spec.Selector.MatchLabels, w) && len(b.Spec.Selector.MatchLabels) == 2
		}) {
			t.Errorf("%s: no PodDisruptionBudget is its own", w.Metadata.Name)
		}
		for _, s := range w.Spec.Template.Spec.TopologySpreadConstraints {
			if !matches(s.LabelSelector.MatchLabels, w) {
				t.Errorf("%s is spread by labels that it does not have", w.Metadata.Name)
			}
		}
	}
	if !verbs["route"] || !verbs["run"] || len(c.workloads) != 2 || len(c.budgets) != 2 {
		t.Errorf("%d workloads, %d budgets: %v", len(c.workloads), len(c.budgets), verbs)
	}
}

func TestKubernetesSingle(t *testing.T) {
	c := clusters(t)["single"]
	if len(c.workloads) != 1 || len(c.budgets) != 0 {
		t.Fatalf("%d workloads, %d budgets; a budget for one process would only block its node", len(c.workloads), len(c.budgets))
	}
	w := c.workloads[0]
	if w.Kind != "StatefulSet" || w.Spec.Replicas != 1 || w.Spec.ServiceName != c.services[0].Metadata.Name {
		t.Errorf("%s %s with %d replicas, service %s", w.Kind, w.Metadata.Name, w.Spec.Replicas, w.Spec.ServiceName)
	}
	claim := ""
	for _, v := range w.Spec.VolumeClaimTemplates {
		claim = v.Metadata.Name
	}
	for _, m := range w.Spec.Template.Spec.Containers[0].VolumeMounts {
		if m.Name == claim && strings.HasPrefix(string(c.config.State), m.MountPath+"/") {
			return
		}
	}
	t.Errorf("the state %q is not on the volume %q", c.config.State, claim)
}

func TestKubernetesPods(t *testing.T) {
	for name, c := range clusters(t) {
		for _, w := range c.workloads {
			t.Run(name+"/"+w.Metadata.Name, func(t *testing.T) {
				if !matches(w.Spec.Selector.MatchLabels, w) {
					t.Error("it does not select its own pods")
				}
				spec := w.Spec.Template.Spec
				if len(spec.Containers) != 1 {
					t.Fatalf("%d containers", len(spec.Containers))
				}
				checkSecurity(t, spec)
				checkProbes(t, c, spec.Containers[0])
				checkPaths(t, c, w)
				checkSecrets(t, c, spec.Containers[0])
				checkMemory(t, c, spec.Containers[0])
				grace := time.Duration(spec.TerminationGracePeriodSeconds) * time.Second
				if need := c.config.ShutdownTimeout + c.config.Kafka.RevokeTimeout; need == 0 || grace <= need {
					t.Errorf("killed after %v, needs up to %v", grace, need)
				}
			})
		}
	}
}

func TestKubernetesServices(t *testing.T) {
	for name, c := range clusters(t) {
		for _, s := range c.services {
			for _, w := range c.workloads {
				if !matches(s.Spec.Selector, w) {
					t.Errorf("%s: Prometheus does not find %s", name, w.Metadata.Name)
				}
			}
			if s.Metadata.Labels["app.kubernetes.io/name"] != "gatewatch" || s.Spec.ClusterIP != "None" || s.Spec.Ports[0].TargetPort != "metrics" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if len(c.services) != 1 {
			t.Errorf("%s: %d services", name, len(c.services))
		}
	}
}

// matches says whether the labels select the pods of w.
func matches(labels map[string]string, w workload) bool {
	for key, value := range labels {
		if w.Spec.Template.Metadata.Labels[key] != value {
			return false
		}
	}
	return len(labels) > 0
}
