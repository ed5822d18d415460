package elastic

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/gatewatch/gatewatch/sinks"
	"github.com/gatewatch/gatewatch/sinks/post"
)

// The values of Config.Mode.
const (
	DataStream = "data_stream" // every version is a document of a data stream
	Index      = "index"       // the latest version is the document of an index
)

// Config says which Elasticsearch or OpenSearch takes the alerts.
type Config struct {
	post.Config `yaml:",inline"`

	APIKey   string `yaml:"api_key"` // encoded, as the server shows it; or
	Username string `yaml:"username"`
	Password string `yaml:"password"`

	Mode            string `yaml:"mode"`
	Index           string `yaml:"index"`             // data stream, index or alias of alerts
	BlindSpotsIndex string `yaml:"blind_spots_index"` // of blind spots; "-": none
}

// DefaultConfig returns a configuration that lacks address and credentials. The names match logs-*, where Elastic's rule
// External Alerts looks.
func DefaultConfig() Config {
	return Config{
		Config: post.DefaultConfig(), Mode: DataStream,
		Index: "logs-gatewatch.alerts-default", BlindSpotsIndex: "logs-gatewatch.blind_spots-default",
	}
}

// DefaultQueue returns how alerts are best handed over: many at once, as bulk requests cost.
func DefaultQueue() sinks.Config {
	c := sinks.DefaultConfig()
	c.BatchAlerts = 1000
	return c
}

// name is what Elasticsearch takes for a name of an index.
var name = regexp.MustCompile(`^[a-z0-9.][a-z0-9._-]*$`)

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.APIKey != "" && c.Username != "" {
		errs = append(errs, errors.New("api_key and username exclude each other"))
	}
	if (c.Username == "") != (c.Password == "") {
		errs = append(errs, errors.New("username and password need each other"))
	}
	if c.Mode != DataStream && c.Mode != Index {
		errs = append(errs, fmt.Errorf("mode is %q, must be %q or %q", c.Mode, DataStream, Index))
	}
	if !name.MatchString(c.Index) {
		errs = append(errs, fmt.Errorf("index %q must be lower-case letters, digits, '.', '_' and '-'", c.Index))
	}
	if c.BlindSpotsIndex != "-" && !name.MatchString(c.BlindSpotsIndex) {
		errs = append(errs, fmt.Errorf("blind_spots_index %q must be lower-case letters, digits, '.', '_' and '-', or \"-\" for none", c.BlindSpotsIndex))
	}
	if c.Index == c.BlindSpotsIndex {
		errs = append(errs, errors.New("blind_spots_index must not be the index of the alerts"))
	}
	return errors.Join(errs...)
}
