package detector

import (
	"slices"
	"testing"

	"github.com/gatewatch/gatewatch/detector/event"
	"github.com/gatewatch/gatewatch/rules"
)

func TestEntities(t *testing.T) {
	set, err := rules.Parse(rules.File{Name: "rules.yaml", Data: []byte(`rules:
- {id: a, title: t, detect: rate, by: client_id, window: 1m, limit: 3}
- {id: b, title: t, detect: rate, by: [subject, api], window: 1m, limit: 3, where: {method: POST}}
- {id: c, title: t, detect: rate, by: client_id, window: 1m, limit: 3, where: {status: 5xx}}
- {id: d, title: t, detect: rate, by: source_ip, window: 1m, limit: 3}
`)})
	if err != nil {
		t.Fatal(err)
	}
	n := NewEntities(set)
	if want := []string{"client_id", "subject+api", "source_ip"}; !slices.Equal(n.Kinds(), want) {
		t.Errorf("kinds %v, want %v", n.Kinds(), want)
	}
	for _, c := range []struct {
		e    event.Event
		want []string
	}{
		{event.Event{ClientID: "c", Subject: "s|", API: "a", Method: "POST", IPText: "11.0.0.1"}, []string{"client_id c", `subject+api s\||a`, "source_ip 11.0.0.1"}},
		{event.Event{ClientID: "c", Subject: "s", API: "a", Method: "GET"}, []string{"client_id c"}},
		{event.Event{Subject: "s", Method: "POST"}, nil},
	} {
		c.e.Path, c.e.Status = "/", 200
		var got []string
		n.Of(&c.e, func(kind int, name string) { got = append(got, n.Kinds()[kind]+" "+name) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v belongs to %v, want %v", c.e, got, c.want)
		}
	}
}
