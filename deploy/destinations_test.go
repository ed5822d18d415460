package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesForDestinationsAreJSON reads every JSON file; what the fields of some of them are worth is tested beside the sinks.
func TestFilesForDestinationsAreJSON(t *testing.T) {
	read := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 14 {
		t.Errorf("only %d files were read", read)
	}
}
