package ocsftest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// finding has the fields of which alerts are made.
type finding struct {
	ActivityID int   `json:"activity_id"`
	TypeUID    int   `json:"type_uid"`
	SeverityID int   `json:"severity_id"`
	Time       int64 `json:"time"`
	Message    string
	Metadata   struct {
		UID        string
		Version    string
		Sequence   int
		Labels     []string
		LogVersion string `json:"log_version"`
		LoggedTime *int64 `json:"logged_time"`
	}
	Info struct {
		UID       string
		Title     string
		Desc      string
		FirstSeen int64 `json:"first_seen_time"`
		LastSeen  int64 `json:"last_seen_time"`
		Analytic  struct{ UID, Name string }
	} `json:"finding_info"`
	Evidences []evidence
	Analyses  []struct {
		Targets []struct{ Name, Type string } `json:"analysis_targets"`
	} `json:"anomaly_analyses"`
	Remediation struct{ Desc string }
	Unmapped    struct {
		Observed alert.Observed
		Baseline map[string]any
		Related  map[string][]string
		Risk     *float64
	}
}

type evidence struct {
	Actor struct {
		User    struct{ UID string }
		Session struct {
			UID        string
			Credential string `json:"credential_uid"`
		}
		App string `json:"app_uid"`
	}
	Src struct {
		IP, UID  string
		Location struct{ Country string }
	} `json:"src_endpoint"`
	Request struct {
		UID    string
		Method string `json:"http_method"`
		URL    struct{ Path string }
		Agent  string `json:"user_agent"`
	} `json:"http_request"`
	Response struct{ Code int } `json:"http_response"`
	API      struct{ Operation string }
	Data     struct {
		Time            alert.Time
		Method, Country string
		Source          *alert.Source
	}
}

func decode(text []byte) (*finding, error) {
	var f finding
	return &f, json.NewDecoder(bytes.NewReader(text)).Decode(&f)
}

var (
	states     = map[int]alert.State{1: alert.Open, 2: alert.Update, 3: alert.Closed}
	severities = map[int]alert.Severity{1: alert.Info, 2: alert.Low, 3: alert.Medium, 4: alert.High, 5: alert.Critical}
)

func (f *finding) alert() (*alert.Alert, error) {
	if err := f.consistent(); err != nil {
		return nil, err
	}
	schema, err := strconv.Atoi(f.Metadata.LogVersion)
	if err != nil {
		return nil, err
	}
	a := &alert.Alert{
		Schema: schema, ID: f.Info.UID, Version: f.Metadata.Sequence, State: states[f.ActivityID],
		Rule: alert.Rule{
			ID: f.Info.Analytic.UID, Title: f.Info.Analytic.Name, Severity: severities[f.SeverityID],
			Tags: append([]string{}, f.Metadata.Labels...), Advice: f.Remediation.Desc,
		},
		Entity:    alert.Entity{Kind: f.Analyses[0].Targets[0].Type, ID: f.Analyses[0].Targets[0].Name},
		FirstSeen: alert.Time(f.Info.FirstSeen), LastSeen: alert.Time(f.Info.LastSeen), DetectedAt: alert.Time(f.Time),
		EmittedAt: (*alert.Time)(f.Metadata.LoggedTime), Summary: f.Message, Observed: f.Unmapped.Observed,
		Baseline: f.Unmapped.Baseline, Evidence: []alert.Evidence{}, Related: f.Unmapped.Related, Risk: f.Unmapped.Risk,
	}
	if a.Related == nil {
		a.Related = map[string][]string{}
	}
	for i := range f.Evidences {
		a.Evidence = append(a.Evidence, f.Evidences[i].event())
	}
	return a, nil
}

// consistent compares what a finding says twice.
func (f *finding) consistent() error {
	for _, pair := range [][2]any{
		{f.TypeUID, 200400 + f.ActivityID},
		{f.Metadata.UID, f.Info.UID + "/" + strconv.Itoa(f.Metadata.Sequence)},
		{f.Metadata.Version, Current},
		{f.Info.Desc, f.Message},
		{f.Info.Title, f.Info.Analytic.Name},
	} {
		if pair[0] != pair[1] {
			return fmt.Errorf("finding %s says both %v and %v", f.Metadata.UID, pair[0], pair[1])
		}
	}
	return nil
}

func (e *evidence) event() alert.Evidence {
	method := cmp.Or(e.Request.Method, e.Data.Method)
	return alert.Evidence{
		Time: e.Data.Time, ClientID: e.Actor.App, Subject: e.Actor.User.UID, TokenID: e.Actor.Session.Credential,
		SessionID: e.Actor.Session.UID, SourceIP: cmp.Or(e.Src.IP, e.Src.UID),
		Country: cmp.Or(e.Src.Location.Country, e.Data.Country), Method: method, Path: e.Request.URL.Path,
		Route: strings.TrimPrefix(e.API.Operation, method+" "), Status: e.Response.Code, RequestID: e.Request.UID,
		UserAgent: e.Request.Agent, Source: e.Data.Source,
	}
}
