// Package push receives telemetry from gateways that push it over HTTP, such as Kong's http-log, and puts it into the topic that
// gatewatch reads.
//
// A request is acknowledged once the topic's replicas in sync have it: what was acknowledged survives any crash of this process,
// and is read, replayed and shared like everything else in the topic. A sender that gets no answer sends again, so an event can be
// in the topic twice.
package push

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
)

// Path is where requests are sent to.
const Path = "/v1/events"

// Writer puts records into a topic; *kafka.Writer is one. WriteMessages returns when they are safe.
type Writer interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
}

// Options are what a receiver works with.
type Options struct {
	Config     Config
	MaxRecord  int // bytes of a record that is read again; 0: any
	Writer     Writer
	Registerer prometheus.Registerer // nil: none
	Log        *slog.Logger
}

// Receiver is the HTTP server. Serve must be called once.
type Receiver struct {
	config   Config
	most     int // bytes of a record; 0: any
	writer   Writer
	metrics  *metrics
	log      *slog.Logger
	token    [sha256.Size]byte
	listener net.Listener
	server   *http.Server
	inFlight atomic.Int64 // bytes
	failing  atomic.Bool  // the topic did not take the latest records
}

// Listen opens the address, which fails at once when it is taken.
func Listen(o Options) (*Receiver, error) {
	tlsConfig, err := o.Config.TLS.load()
	if err != nil {
		return nil, err
	}
	r := &Receiver{config: o.Config, most: o.MaxRecord, writer: o.Writer, log: o.Log, token: sha256.Sum256([]byte(o.Config.Token))}
	if r.metrics, err = newMetrics(o.Registerer, &r.inFlight); err != nil {
		return nil, err
	}
	if r.listener, err = net.Listen("tcp", o.Config.Listen); err != nil {
		return nil, fmt.Errorf("open ingest.http.listen %s: %w; choose another address or stop what uses this one", o.Config.Listen, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(Path, r.receive)
	r.server = &http.Server{
		Handler: mux, TLSConfig: tlsConfig, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: o.Config.Timeout,
		WriteTimeout: 2*o.Config.Timeout + 5*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return r, nil
}

// Address is where the receiver listens.
func (r *Receiver) Address() string { return r.listener.Addr().String() }

// Serve answers until Close.
func (r *Receiver) Serve() error {
	var err error
	if r.server.TLSConfig != nil {
		err = r.server.ServeTLS(r.listener, "", "")
	} else {
		err = r.server.Serve(r.listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("receive telemetry: %w", err)
	}
	return nil
}

// Close lets the requests that are being served end, and refuses new ones.
func (r *Receiver) Close(ctx context.Context) error { return r.server.Shutdown(ctx) }

// refusal is an answer other than success. Its text says what the sender can do.
type refusal struct {
	code int
	text string
	wait bool // the sender shall come back
}

// retryAfter is how long a sender is asked to wait, in seconds.
const retryAfter = "2"

func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) {
	refused := r.take(w, req)
	if refused == nil {
		r.metrics.answered(http.StatusNoContent)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.metrics.answered(refused.code)
	switch refused.code {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if refused.wait {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, refused.text, refused.code)
}

// take puts a request into the topic.
func (r *Receiver) take(w http.ResponseWriter, req *http.Request) *refusal {
	if refused := r.admit(req); refused != nil {
		return refused
	}
	size := req.ContentLength
	if size < 0 {
		size = r.config.MaxBodyBytes // chunked: as much as it may become
	}
	if r.inFlight.Add(size) > r.config.MaxInFlightBytes {
		r.inFlight.Add(-size)
		return &refusal{http.StatusTooManyRequests, "too much is on its way already; send again later", true}
	}
	defer r.inFlight.Add(-size)
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.config.MaxBodyBytes))
	if err != nil {
		return r.unread(err)
	}
	return r.write(req.Context(), body)
}

// admit looks at everything but the body.
func (r *Receiver) admit(req *http.Request) *refusal {
	switch {
	case req.Method != http.MethodPost:
		return &refusal{code: http.StatusMethodNotAllowed, text: "send telemetry with POST"}
	case r.config.Token != "" && !r.authorised(req):
		return &refusal{code: http.StatusUnauthorized, text: "the bearer token is missing or wrong"}
	case req.ContentLength > r.config.MaxBodyBytes:
		return r.tooLarge()
	}
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity", "gzip", "x-gzip", "zstd": // what the decoder tells by its first bytes
		return nil
	}
	return &refusal{code: http.StatusUnsupportedMediaType, text: "Content-Encoding must be gzip, zstd or none"}
}

// authorised compares in a time that tells nothing about the token.
func (r *Receiver) authorised(req *http.Request) bool {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], r.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func (r *Receiver) tooLarge() *refusal {
	return &refusal{code: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("a request may have %d bytes; send smaller batches", r.config.MaxBodyBytes)}
}

func (r *Receiver) unread(err error) *refusal {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return r.tooLarge()
	}
	return &refusal{code: http.StatusBadRequest, text: "the request ended early"}
}

// write returns when the topic has the body.
func (r *Receiver) write(ctx context.Context, body []byte) *refusal {
	records := records(body)
	if len(records) == 0 {
		return &refusal{code: http.StatusBadRequest, text: "the request is empty"}
	}
	messages := make([]kafka.Message, len(records))
	for i, record := range records {
		if r.most > 0 && len(record) > r.most {
			return &refusal{code: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("a record of more than %d bytes would not be read; send smaller batches, or one event a line", r.most)}
		}
		messages[i].Value = record
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	if err := r.writer.WriteMessages(ctx, messages...); err != nil {
		return r.failed(err)
	}
	if r.failing.Swap(false) {
		r.log.Info("the topic takes pushed telemetry again")
	}
	r.metrics.records.Add(float64(len(records)))
	r.metrics.bytes.Add(float64(len(body)))
	return nil
}

func (r *Receiver) failed(err error) *refusal {
	if isTooLarge(err) {
		return &refusal{code: http.StatusRequestEntityTooLarge, text: "the broker refuses so large a record; send smaller batches, or one event a line"}
	}
	if !r.failing.Swap(true) {
		r.log.Error("the topic does not take pushed telemetry; senders are told to come back", "error", err)
	}
	return &refusal{http.StatusServiceUnavailable, "the telemetry cannot be kept now; send again later", true}
}

// isTooLarge reports whether sending again is of no use.
func isTooLarge(err error) bool {
	var large kafka.MessageTooLargeError
	var all kafka.WriteErrors
	if errors.As(err, &all) {
		for _, e := range all {
			if e != nil && isTooLarge(e) {
				return true
			}
		}
	}
	return errors.As(err, &large) || errors.Is(err, kafka.MessageSizeTooLarge)
}
