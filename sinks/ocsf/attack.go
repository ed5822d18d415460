package ocsf

import (
	"regexp"
	"strings"

	"github.com/gatewatch/gatewatch/sinks"
)

type attack struct {
	Tactic       *mitre `json:"tactic,omitempty"`
	Technique    *mitre `json:"technique,omitempty"`
	SubTechnique *mitre `json:"sub_technique,omitempty"`
}

// mitre names a tactic or a technique by its id. Names change from one version of ATT&CK to the next, ids stay.
type mitre struct {
	UID    string `json:"uid"`
	SrcURL string `json:"src_url,omitempty"`
}

const knowledgeBase = "https://attack.mitre.org/"

var (
	tacticID    = regexp.MustCompile(`^TA\d{4}$`)
	techniqueID = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
)

// attacks returns the tactics and techniques among the tags of a rule.
func attacks(tags []string) (all []attack) {
	for _, id := range sinks.Techniques(tags) {
		if tacticID.MatchString(id) {
			all = append(all, attack{Tactic: &mitre{id, knowledgeBase + "tactics/" + id + "/"}})
		} else if techniqueID.MatchString(id) {
			all = append(all, newTechnique(id))
		}
	}
	return all
}

func newTechnique(id string) attack {
	parent, number, sub := strings.Cut(id, ".")
	page := knowledgeBase + "techniques/" + parent + "/"
	a := attack{Technique: &mitre{parent, page}}
	if sub {
		a.SubTechnique = &mitre{id, page + number + "/"}
	}
	return a
}
