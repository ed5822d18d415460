package chronicle

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"
)

// scope is what the access token is for.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// account is a service account of Google Cloud, as its key file describes it.
type account struct {
	Email    string `json:"client_email"`
	KeyID    string `json:"private_key_id"`
	Key      string `json:"private_key"` // PEM
	TokenURI string `json:"token_uri"`

	key *rsa.PrivateKey
}

// readAccount reads a key file. Its errors show nothing of the key.
func readAccount(path string) (*account, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read service account: %w", err)
	}
	var a account
	if err := json.Unmarshal(text, &a); err != nil || a.Email == "" || a.TokenURI == "" {
		return nil, fmt.Errorf("read service account: %s is no JSON key of a service account", path)
	}
	block, _ := pem.Decode([]byte(a.Key))
	if block == nil {
		return nil, fmt.Errorf("read service account: %s holds no private key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read service account: the private key in %s cannot be read", path)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read service account: the private key in %s is not RSA", path)
	}
	a.key = key
	return &a, nil
}

// assertion signs a claim to be the account (RFC 7523, RS256 of RFC 7518), which is exchanged for an access token.
func (a *account) assertion(now time.Time) (string, error) {
	header, err1 := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": a.KeyID})
	claims, err2 := json.Marshal(map[string]any{
		"iss": a.Email, "scope": scope, "aud": a.TokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("sign as the service account: the key does not fit")
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// form asks for an access token.
func form(assertion string) url.Values {
	return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
}
