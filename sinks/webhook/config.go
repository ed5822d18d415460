package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/gatewatch/gatewatch/sinks/post"
)

// Config says who is called.
type Config struct {
	post.Config `yaml:",inline"`

	// Secret signs what is sent: whsec_ and 24 to 64 bytes in base64. PreviousSecret signs too, while receivers change over.
	Secret         string `yaml:"secret"`
	PreviousSecret string `yaml:"previous_secret"`

	Token      string `yaml:"token"` // sent as Authorization: Bearer; empty: none
	BlindSpots bool   `yaml:"blind_spots"`
}

// DefaultConfig returns a configuration that lacks address and secret. Receivers seldom expect compression.
func DefaultConfig() Config {
	c := Config{Config: post.DefaultConfig(), BlindSpots: true}
	c.Gzip = false
	return c
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Secret == "" {
		errs = append(errs, errors.New("secret is missing; make one: echo whsec_$(openssl rand -base64 32)"))
	}
	if _, err := key(c.Secret); err != nil {
		errs = append(errs, fmt.Errorf("secret %w", err))
	}
	if _, err := key(c.PreviousSecret); err != nil {
		errs = append(errs, fmt.Errorf("previous_secret %w", err))
	}
	return errors.Join(errs...)
}

const prefix = "whsec_"

// key returns the bytes of a secret, none of an empty one.
func key(secret string) ([]byte, error) {
	if secret == "" {
		return nil, nil
	}
	text, ok := strings.CutPrefix(secret, prefix)
	bytes, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(bytes) < 24 || len(bytes) > 64 {
		return nil, errors.New("must be whsec_ and 24 to 64 bytes in base64")
	}
	return bytes, nil
}
