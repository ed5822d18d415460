// Package post is what destinations reached over HTTP have in common: a client that verifies whom it talks to, follows no
// redirect and keeps secrets out of errors; the meaning of statuses; and putting records into as many requests as the
// destination's limits ask for.
//
// A destination's own package encodes records to [Item] values, hands them to [Deliver] with its [Format], posts each
// request with [Client.Post] and reads the [Answer].
package post

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// maxAnswer bounds what is read of an answer. The longest is Elasticsearch's, about 300 bytes an item.
const maxAnswer = 16 << 20

// Client posts to one destination. Its methods may be called by any goroutine.
type Client struct {
	base *url.URL
	gzip bool
	http *http.Client

	mu      sync.Mutex
	secrets []string // that must show nowhere
	token   string   // the latest of those that come and go
}

// New returns a client for a valid configuration. It reads certificates but does not connect. The secrets are what
// the caller sends to identify itself.
func New(c Config, secrets ...string) (*Client, error) {
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("url is not an address")
	}
	for _, secret := range secrets[:len(secrets):len(secrets)] {
		secrets = append(secrets, url.QueryEscape(secret)) // as forms have it
	}
	client := &Client{base: base, gzip: c.Gzip, secrets: secrets, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if proxy, err := url.Parse(c.Proxy); err == nil && proxy.User != nil {
		password, _ := proxy.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password)) // as its header has it
		client.secrets = append(client.secrets, password, proxy.User.String(), credentials)
	}
	return client, nil
}

// Request is one request.
type Request struct {
	URL         string // empty: the client's
	Path        string // behind the path of the URL, with a query if there is one
	Header      map[string]string
	ContentType string // application/json when empty
	Body        []byte
	Plain       bool // never compressed
}

// Post sends one request and reads the answer, whatever its status. An error says that there was none: the destination may
// have taken the request all the same.
func (c *Client) Post(ctx context.Context, r Request) (Answer, error) {
	request, err := c.request(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, c.failed(request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, c.failed(request, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body, client: c, host: request.URL.Host}, nil
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	target := c.base
	if r.URL != "" {
		var err error
		if target, err = url.Parse(r.URL); err != nil {
			return nil, errors.New("post: not an address")
		}
	}
	target, err := join(target, r.Path)
	if err != nil {
		return nil, err
	}
	body, encoding := r.Body, ""
	if c.gzip && !r.Plain {
		body, encoding = compress(r.Body), "gzip"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("post: not an address")
	}
	request.Header.Set("User-Agent", "gatewatch")
	request.Header.Set("Content-Type", "application/json")
	if r.ContentType != "" {
		request.Header.Set("Content-Type", r.ContentType)
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	return request, nil
}

// join puts a path and query behind those of an address.
func join(base *url.URL, path string) (*url.URL, error) {
	if path == "" {
		return base, nil
	}
	path, query, _ := strings.Cut(path, "?")
	joined := *base
	var err error
	joined.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + path
	if joined.Path, err = url.PathUnescape(joined.RawPath); err != nil {
		return nil, errors.New("post: not a path")
	}
	if query != "" {
		joined.RawQuery = strings.Trim(base.RawQuery+"&"+query, "&")
	}
	return &joined, nil
}

func compress(body []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(body) // a buffer takes everything
	w.Close()
	return buf.Bytes()
}

// failed names the host and the cause, never the address: its path and query can be secret.
func (c *Client) failed(r *http.Request, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if text := err.Error(); c.Clean(text) != text {
		err = errors.New(c.Clean(text))
	}
	return fmt.Errorf("post to %s: %w", r.URL.Host, err)
}

// Hide makes a token that was issued for some time a secret, in place of the one before.
func (c *Client) Hide(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = token
}

// Clean takes secrets out of a text.
func (c *Client) Clean(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range append(c.secrets[:len(c.secrets):len(c.secrets)], c.token) {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
