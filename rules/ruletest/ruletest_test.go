package ruletest

import (
	"testing"

	"github.com/gatewatch/gatewatch/rules"
)

const enumeration = `
rules:
  - id: enumeration
    detect: distinct
    by: token_id
    where: {route: "/users/{id}/profile", status: 2xx}
    count: path.id
    window: 1m
    limit: 40
tests:
  - name: sixty profiles in a minute
    traffic:
      - token_id: t1
        call: GET /users/{n}/profile
        times: 60
        every: 1s
    expect: {entity: t1, within: 41s, value: 60}
  - name: too few
    traffic:
      - token_id: t1
        call: ["GET /users/{n}/profile", "GET /users/{n}/profile 404"]
        times: 60
        every: 1s
    expect: {entity: t1, within: 41s, value: 60}
  - name: other entity
    traffic:
      - token_id: t1
        call: GET /users/{n}/profile
        times: 60
        every: 1s
    expect: {entity: t2, within: 41s, value: 60}
  - name: other value
    traffic:
      - token_id: t1
        call: GET /users/{n}/profile
        times: 60
        every: 1s
    expect: {entity: t1, within: 41s, value: "< 60"}
  - name: too late
    traffic:
      - token_id: t1
        call: GET /users/{n}/profile
        times: 60
        every: 1s
    expect: {entity: t1, within: 39s, value: "< 60"}
`

func TestPlay(t *testing.T) {
	_, tests, err := rules.ParseTests(rules.File{Name: "x.yaml", Data: []byte(enumeration)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		r, err := Run(t.Context(), test)
		t.Logf("%s: %v %v", test.Name, r, err)
		for _, f := range r.Failures {
			t.Log(f)
		}
	}
}
