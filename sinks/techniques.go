package sinks

import "strings"

// Techniques returns the MITRE ATT&CK techniques among the tags of a rule, T1087 for attack:T1087.
func Techniques(tags []string) []string {
	ids := []string{}
	for _, tag := range tags {
		if id, ok := strings.CutPrefix(tag, "attack:"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
