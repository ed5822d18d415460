package rules

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads and compiles the rules of paths: of a directory all *.yaml and *.yml below it in the order of their names,
// of a file that file whatever its name. What the files say wrong is an [Errors]; other errors say which path cannot be
// read, and that a directory has no rule files is one of them: an empty rule set is never what was meant.
func Load(paths ...string) (*Set, error) {
	files, err := ReadFiles(paths...)
	if err != nil {
		return nil, err
	}
	return Parse(files...)
}

// Counts is how many of each stand in a file.
type Counts struct{ Rules, Contracts, Tests int }

// Count counts what stands in the file, right or wrong; it is nothing if the file is no YAML.
func (f File) Count() Counts {
	r := &reader{file: f.Name, errs: &Errors{}}
	o := r.object(r.document(f.Data), "a rule file", "rules", "contracts", "tests")
	return Counts{length(o.get("rules")), length(o.get("contracts")), length(o.get("tests"))}
}

// ReadFiles reads the rule files of paths, as [Load] chooses them, without compiling them. A file that several paths lead to
// is read once.
func ReadFiles(paths ...string) ([]File, error) {
	var files []File
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		if !info.IsDir() {
			f, err := readFile(os.DirFS(filepath.Dir(p)), filepath.Base(p), p)
			if err != nil {
				return nil, err
			}
			files = append(files, f)
			continue
		}
		found, err := readTree(os.DirFS(p), p)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return once(files), nil
}

func once(files []File) []File {
	seen := map[string]bool{}
	return slices.DeleteFunc(files, func(f File) bool {
		name := filepath.Clean(f.Name)
		again := seen[name]
		seen[name] = true
		return again
	})
}

// LoadFS reads and compiles the rules of a file system, as [Load] does those of a directory.
func LoadFS(fsys fs.FS) (*Set, error) {
	files, err := ReadFS(fsys)
	if err != nil {
		return nil, err
	}
	return Parse(files...)
}

// ReadFS reads the rule files of a file system without compiling them.
func ReadFS(fsys fs.FS) ([]File, error) { return readTree(fsys, "") }

// readTree reads the rule files of a tree. Hidden files and directories are left out: editors and Kubernetes' volumes keep
// copies there.
func readTree(fsys fs.FS, prefix string) ([]File, error) {
	var files []File
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml":
			return nil
		}
		f, err := readFile(fsys, name, filepath.Join(prefix, filepath.FromSlash(name)))
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read rules: no *.yaml or *.yml in %s", prefix)
	}
	return files, nil
}

// readFile reads one byte more than a rule file may have, so that the parser can say that it is too long, and no more.
func readFile(fsys fs.FS, name, shown string) (File, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("read rules: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return File{}, fmt.Errorf("read rules: %w", err)
	}
	return File{Name: shown, Data: data}, nil
}
