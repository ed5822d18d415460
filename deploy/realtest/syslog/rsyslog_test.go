package syslog

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatewatch/gatewatch/deploy/realtest"
	"github.com/gatewatch/gatewatch/sinks/syslog"
)

// rsyslog is a receiver with deploy/syslog/gatewatch.conf in a folder of its own. Its processes come and go.
type rsyslog struct {
	dir, address string
	process      *exec.Cmd // nil: none lives
}

// places are where the configuration of the receiver stands in an installation.
func (r *rsyslog) places(port string) *strings.Replacer {
	return strings.NewReplacer("/etc/gatewatch/", r.dir+"/", "/var/log/gatewatch/", r.dir+"/", `"6514"`, strconv.Quote(port))
}

func newRsyslog(t *testing.T) *rsyslog {
	t.Helper()
	folder, err := os.MkdirTemp(dir, "rsyslog-")
	must(t, err)
	r := &rsyslog{dir: folder, address: realtest.FreeAddress(t)}
	issueCertificates(t, folder, "receiver", "gatewatch", "stranger")
	text, err := os.ReadFile(filepath.Join("..", "..", "syslog", "gatewatch.conf"))
	must(t, err)
	_, port, err := net.SplitHostPort(r.address)
	must(t, err)
	must(t, os.WriteFile(r.path("rsyslog.conf"), []byte(r.places(port).Replace(string(text))), 0o600))
	t.Cleanup(func() {
		r.end(os.Kill)
		if output, err := os.ReadFile(r.path("output")); err == nil && t.Failed() {
			t.Logf("rsyslog wrote: %s", output)
		}
	})
	return r
}

func (r *rsyslog) path(name string) string { return filepath.Join(r.dir, name) }

// start begins a new life and waits until it listens.
func (r *rsyslog) start(t *testing.T) {
	t.Helper()
	output, err := os.OpenFile(r.path("output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer output.Close() // the process has its own
	r.process = exec.Command("/usr/sbin/rsyslogd", "-n", "-i", "NONE", "-f", r.path("rsyslog.conf"))
	r.process.Stdout, r.process.Stderr = output, output
	must(t, r.process.Start())
	must(t, os.WriteFile(r.path("pid"), strconv.AppendInt(nil, int64(r.process.Process.Pid), 10), 0o600)) // for test.sh
	realtest.Until(t, t.Context(), "rsyslog", func() bool {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// end has the process end by a signal, and waits for that.
func (r *rsyslog) end(signal os.Signal) {
	if r.process != nil {
		_ = r.process.Process.Signal(signal)
		_ = r.process.Wait()
		r.process = nil
	}
}

// lines are what stands in one of its files.
func (r *rsyslog) lines(t *testing.T, name string) [][]byte {
	t.Helper()
	content, err := os.ReadFile(r.path(name))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
}

// sink sends to it with one of the certificates that were issued.
func (r *rsyslog) sink(t *testing.T, certificate string) *syslog.Sink {
	t.Helper()
	c := syslog.DefaultConfig()
	c.Address, c.MaxMessageBytes, c.Timeout = r.address, 64<<10, 5*time.Second
	c.TLS.CAFile = r.path("ca.pem")
	if certificate != "" {
		c.TLS.CertFile, c.TLS.KeyFile = r.path(certificate+".pem"), r.path(certificate+".key")
	}
	must(t, c.Validate())
	s, err := syslog.New(c)
	must(t, err)
	return s
}
