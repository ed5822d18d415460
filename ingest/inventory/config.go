package inventory

import (
	"fmt"
	"slices"
)

// Config names the files. It is the YAML form.
type Config struct {
	OpenAPI []string `yaml:"openapi"` // files, folders and patterns such as specs/*.yaml; none: there is no inventory
	Learned string   `yaml:"learned"` // file of route templates that `gatewatch inventory learn` wrote; empty: none
}

// DefaultConfig names no file.
func DefaultConfig() Config { return Config{OpenAPI: []string{}} }

// Validate checks that each file is named once. What is in them is checked when they are read.
func (c Config) Validate() error {
	for i, path := range c.OpenAPI {
		if path == "" {
			return fmt.Errorf("openapi: name %d is empty", i+1)
		}
		if slices.Contains(c.OpenAPI[:i], path) {
			return fmt.Errorf("openapi: %s is named twice", path)
		}
	}
	return nil
}
