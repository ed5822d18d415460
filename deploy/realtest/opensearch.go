package realtest

import (
	"path/filepath"
	"strconv"
)

// OpenSearch is a running OpenSearch node; it keeps its data and address over restarts.
type OpenSearch struct {
	dir  string
	port int
}

// OpenSearch starts a node.
func (s *Servers) OpenSearch() (*OpenSearch, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	o := &OpenSearch{dir: filepath.Join(s.Dir, "opensearch"), port: port}
	s.stops = append(s.stops, o.Stop)
	if err := o.Start(); err != nil {
		return nil, err
	}
	return o, nil
}

// Start starts a node that was stopped or killed and waits until it has all its documents.
func (o *OpenSearch) Start() error {
	return script("opensearch.sh", "start", o.dir, strconv.Itoa(o.port))
}

// Stop ends the node in order and waits for its end.
func (o *OpenSearch) Stop() error { return script("opensearch.sh", "stop", o.dir) }

// Kill ends the node as a power cut would.
func (o *OpenSearch) Kill() error { return script("opensearch.sh", "kill", o.dir) }

// Address is host:port of its HTTP interface, which wants no credentials.
func (o *OpenSearch) Address() string { return address127(o.port) }
