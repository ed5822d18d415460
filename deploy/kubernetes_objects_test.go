package deploy

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// The kinds of objects below deploy/kubernetes, as far as these use them; decoding is strict, so that a mistyped key is found.
type (
	metadata struct {
		Name   string            `yaml:"name"`
		Labels map[string]string `yaml:"labels"`
	}

	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}

	workload struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       struct {
			ServiceName     string `yaml:"serviceName"`
			Replicas        int    `yaml:"replicas"`
			MinReadySeconds int    `yaml:"minReadySeconds"`
			Strategy        struct {
				Type          string `yaml:"type"`
				RollingUpdate struct {
					MaxUnavailable int `yaml:"maxUnavailable"`
					MaxSurge       int `yaml:"maxSurge"`
				} `yaml:"rollingUpdate"`
			} `yaml:"strategy"`
			Selector selector `yaml:"selector"`
			Template struct {
				Metadata metadata `yaml:"metadata"`
				Spec     pod      `yaml:"spec"`
			} `yaml:"template"`
			VolumeClaimTemplates []struct {
				Metadata metadata       `yaml:"metadata"`
				Spec     map[string]any `yaml:"spec"`
			} `yaml:"volumeClaimTemplates"`
		} `yaml:"spec"`
	}

	pod struct {
		AutomountServiceAccountToken  bool `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int  `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot        bool              `yaml:"runAsNonRoot"`
			RunAsUser           int               `yaml:"runAsUser"`
			RunAsGroup          int               `yaml:"runAsGroup"`
			FSGroup             int               `yaml:"fsGroup"`
			FSGroupChangePolicy string            `yaml:"fsGroupChangePolicy"`
			SeccompProfile      map[string]string `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		TopologySpreadConstraints []struct {
			MaxSkew           int      `yaml:"maxSkew"`
			TopologyKey       string   `yaml:"topologyKey"`
			WhenUnsatisfiable string   `yaml:"whenUnsatisfiable"`
			LabelSelector     selector `yaml:"labelSelector"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container `yaml:"containers"`
		Volumes    []struct {
			Name      string `yaml:"name"`
			ConfigMap struct {
				Name string `yaml:"name"`
			} `yaml:"configMap"`
			EmptyDir map[string]string `yaml:"emptyDir"`
		} `yaml:"volumes"`
	}

	container struct {
		Name  string   `yaml:"name"`
		Image string   `yaml:"image"`
		Args  []string `yaml:"args"`
		Env   []struct {
			Name      string `yaml:"name"`
			Value     string `yaml:"value"`
			ValueFrom struct {
				SecretKeyRef struct {
					Name string `yaml:"name"`
					Key  string `yaml:"key"`
				} `yaml:"secretKeyRef"`
			} `yaml:"valueFrom"`
		} `yaml:"env"`
		Ports []struct {
			Name          string `yaml:"name"`
			ContainerPort int    `yaml:"containerPort"`
		} `yaml:"ports"`
		StartupProbe   probe `yaml:"startupProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		Resources      struct {
			Requests map[string]string `yaml:"requests"`
			Limits   map[string]string `yaml:"limits"`
		} `yaml:"resources"`
		SecurityContext struct {
			AllowPrivilegeEscalation bool                `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool                `yaml:"readOnlyRootFilesystem"`
			Capabilities             map[string][]string `yaml:"capabilities"`
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}

	probe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port string `yaml:"port"`
		} `yaml:"httpGet"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	}

	budget struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       struct {
			MaxUnavailable             int      `yaml:"maxUnavailable"`
			UnhealthyPodEvictionPolicy string   `yaml:"unhealthyPodEvictionPolicy"`
			Selector                   selector `yaml:"selector"`
		} `yaml:"spec"`
	}

	endpoints struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Spec       struct {
			ClusterIP                string            `yaml:"clusterIP"`
			PublishNotReadyAddresses bool              `yaml:"publishNotReadyAddresses"`
			Selector                 map[string]string `yaml:"selector"`
			Ports                    []struct {
				Name       string `yaml:"name"`
				Port       int    `yaml:"port"`
				TargetPort string `yaml:"targetPort"`
			} `yaml:"ports"`
		} `yaml:"spec"`
	}

	kustomization struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Resources  []string `yaml:"resources"`
		Labels     []struct {
			Pairs map[string]string `yaml:"pairs"`
		} `yaml:"labels"`
		ConfigMapGenerator []struct {
			Name  string   `yaml:"name"`
			Files []string `yaml:"files"`
		} `yaml:"configMapGenerator"`
		Images []struct {
			Name    string `yaml:"name"`
			NewName string `yaml:"newName"`
			NewTag  string `yaml:"newTag"`
		} `yaml:"images"`
	}
)

// settings are the parts of gatewatch.yaml that the objects must agree with.
type settings struct {
	Kafka struct {
		RevokeTimeout time.Duration `yaml:"revoke_timeout"`
	} `yaml:"kafka"`
	Route struct {
		Topic      string `yaml:"topic"`
		Partitions int    `yaml:"partitions"`
	} `yaml:"route"`
	State       location       `yaml:"state"`
	Limits      map[string]any `yaml:"limits"`
	DeadLetters struct {
		File   string `yaml:"file"`
		Topic  string `yaml:"topic"`
		Alerts string `yaml:"alerts"`
	} `yaml:"dead_letters"`
	HTTP struct {
		Listen string `yaml:"listen"`
	} `yaml:"http"`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`

	text string
}

// location is where the state is, in the short or the long form.
type location string

// UnmarshalYAML reads either form.
func (l *location) UnmarshalYAML(decode func(any) error) error {
	var short string
	if decode(&short) == nil {
		*l = location(short)
		return nil
	}
	var long struct {
		Location string `yaml:"location"`
	}
	err := decode(&long)
	*l = location(long.Location)
	return err
}

// cluster is one folder of deploy/kubernetes, decoded.
type cluster struct {
	dir       string
	kustomize kustomization
	config    settings
	workloads []workload
	budgets   []budget
	services  []endpoints
}

func clusters(t *testing.T) map[string]*cluster {
	t.Helper()
	all := map[string]*cluster{}
	for _, name := range []string{"shared", "single"} {
		dir := filepath.Join("kubernetes", name)
		c := &cluster{dir: dir, config: readSettings(t, filepath.Join(dir, "gatewatch.yaml"))}
		strict(t, read(t, filepath.Join(dir, "kustomization.yaml")), &c.kustomize)
		for _, resource := range c.kustomize.Resources {
			c.decode(t, filepath.Join(dir, resource))
		}
		all[name] = c
	}
	return all
}

// readSettings reads a configuration over the defaults, which deploy/gatewatch.yaml shows.
func readSettings(t *testing.T, file string) settings {
	t.Helper()
	s := settings{text: read(t, file)}
	for _, text := range []string{read(t, "gatewatch.yaml"), s.text} {
		if err := yaml.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return s
}

func strict(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
}

// decode takes in every object of a file.
func (c *cluster) decode(t *testing.T, file string) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, file)))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if object == nil {
			continue // comments after the last one
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		c.add(t, file, object["apiVersion"], object["kind"], string(text))
	}
}

func (c *cluster) add(t *testing.T, file string, version, kind any, text string) {
	t.Helper()
	switch [2]any{version, kind} {
	case [2]any{"apps/v1", "Deployment"}, [2]any{"apps/v1", "StatefulSet"}:
		c.workloads = append(c.workloads, workload{})
		strict(t, text, &c.workloads[len(c.workloads)-1])
	case [2]any{"policy/v1", "PodDisruptionBudget"}:
		c.budgets = append(c.budgets, budget{})
		strict(t, text, &c.budgets[len(c.budgets)-1])
	case [2]any{"v1", "Service"}:
		c.services = append(c.services, endpoints{})
		strict(t, text, &c.services[len(c.services)-1])
	default:
		t.Errorf("%s: no test knows %v %v", file, version, kind)
	}
}
