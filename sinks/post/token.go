package post

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// renewal is how long before its end a token is renewed, so that none ends under way.
const renewal = 2 * time.Minute

// Tokens fetches access tokens of OAuth 2.0 (RFC 6749, 4.4 and RFC 7523) and keeps the latest until shortly before it ends.
type Tokens struct {
	client *Client
	url    string
	form   func() (url.Values, error) // of a request for a token

	mu      sync.Mutex
	token   string
	expires time.Time
}

// NewTokens returns a source of tokens: form makes the fields of a request to the address of the issuer.
func NewTokens(client *Client, address string, form func() (url.Values, error)) *Tokens {
	return &Tokens{client: client, url: address, form: form}
}

// Get returns a token. Its errors are never refusals.
func (t *Tokens) Get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Now().Before(t.expires) {
		return t.token, nil
	}
	if err := t.fetch(ctx); err != nil {
		return "", err
	}
	return t.token, nil
}

// Drop forgets a token that the destination does not take.
func (t *Tokens) Drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
}

func (t *Tokens) fetch(ctx context.Context) error {
	form, err := t.form()
	if err != nil {
		return fmt.Errorf("ask for an access token: %w", err)
	}
	answer, err := t.client.Post(ctx, Request{
		URL: t.url, ContentType: "application/x-www-form-urlencoded", Body: []byte(form.Encode()), Plain: true,
	})
	if err == nil && answer.Status/100 != 2 {
		err = answer.Retry()
	}
	if err != nil {
		return fmt.Errorf("ask for an access token: %w", err)
	}
	var issued struct {
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"` // seconds; some issuers write them as a text
	}
	if err := json.Unmarshal(answer.Body, &issued); err != nil || issued.AccessToken == "" {
		return errors.New("ask for an access token: the answer holds none")
	}
	t.client.Hide(issued.AccessToken)
	seconds, _ := issued.ExpiresIn.Int64() // without: the token serves one request
	life := time.Duration(min(max(seconds, 0), 1<<30)) * time.Second
	t.token, t.expires = issued.AccessToken, time.Now().Add(max(life-renewal, life/2))
	return nil
}

// PostWithToken posts with an access token and, when that is not taken any more, once again with a fresh one.
func (t *Tokens) PostWithToken(ctx context.Context, r Request) (Answer, error) {
	answer, err := t.try(ctx, r)
	if err != nil || answer.Status != 401 {
		return answer, err
	}
	t.Drop()
	return t.try(ctx, r)
}

func (t *Tokens) try(ctx context.Context, r Request) (Answer, error) {
	token, err := t.Get(ctx)
	if err != nil {
		return Answer{}, err
	}
	header := map[string]string{"Authorization": "Bearer " + token}
	for name, value := range r.Header {
		header[name] = value
	}
	r.Header = header
	return t.client.Post(ctx, r)
}
