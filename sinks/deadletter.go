package sinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gatewatch/gatewatch/detector/alert"
)

// Letter is an alert or a blind spot that a destination will never take.
type Letter struct {
	At        alert.Time       `json:"at"` // wall clock of the refusal
	Sink      string           `json:"sink"`
	Reason    string           `json:"reason"`
	Alert     *alert.Alert     `json:"alert,omitempty"`
	BlindSpot *alert.BlindSpot `json:"blind_spot,omitempty"`

	// ID and Version stand in for an alert that has no JSON form.
	ID      string `json:"id,omitempty"`
	Version int    `json:"version,omitempty"`
}

func newLetter(sink string, r Record, reason error) Letter {
	return Letter{
		At: alert.Time(time.Now().UnixMilli()), Sink: sink, Reason: reason.Error(), Alert: r.Alert, BlindSpot: r.BlindSpot,
	}
}

// DeadLetters keeps what was refused. Bury is called by several goroutines and returns when the letters are safe; after an
// error it is called again with the same letters.
type DeadLetters interface {
	Bury(letters []Letter) error
}

// DeadLetterFile appends letters as JSON lines to a file, which is made when the first letter arrives.
type DeadLetterFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// NewDeadLetterFile returns the dead letters kept at path.
func NewDeadLetterFile(path string) *DeadLetterFile { return &DeadLetterFile{path: path} }

// Bury implements [DeadLetters]. Letters are on disk when it returns.
func (d *DeadLetterFile) Bury(letters []Letter) error {
	lines, err := encodeLetters(letters)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		if d.file, err = os.OpenFile(d.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			d.file = nil
			return fmt.Errorf("open dead letters: %w", err)
		}
	}
	if _, err := d.file.Write(lines); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("sync dead letters: %w", err)
	}
	return nil
}

// Close closes the file.
func (d *DeadLetterFile) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}

func encodeLetters(letters []Letter) ([]byte, error) {
	var lines []byte
	for _, l := range letters {
		line, err := json.Marshal(l)
		if _, unencodable := errors.AsType[*json.UnsupportedValueError](err); unencodable && l.Alert != nil {
			l.ID, l.Version, l.Alert = l.Alert.ID, l.Alert.Version, nil
			line, err = json.Marshal(l)
		}
		if err != nil {
			return nil, fmt.Errorf("encode dead letter: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	return lines, nil
}
