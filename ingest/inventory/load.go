package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds on what is read.
const (
	MaxFiles      = 1000
	MaxFileBytes  = 16 << 20
	MaxOperations = 100_000 // with each base path counted by itself
)

// Load reads all files of the configuration. Its error is [Problems] with everything that is wrong in any of them. An empty
// configuration gives nil.
func Load(c Config) (*Inventory, error) {
	if len(c.OpenAPI) == 0 && c.Learned == "" {
		return nil, nil
	}
	files, problems := find(c.OpenAPI)
	l := &loader{inventory: &Inventory{tree: &node{}, specified: len(c.OpenAPI) > 0}, problems: problems}
	for _, name := range files {
		if data, ok := l.readFile(name); ok {
			l.specification(name, data)
		}
	}
	if c.Learned != "" {
		if data, ok := l.readFile(c.Learned); ok {
			l.learned(c.Learned, data)
		}
	}
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.inventory, nil
}

// Specification is a file in memory.
type Specification struct {
	Name string // for messages
	Data []byte
}

// Parse is Load for specifications that are in memory.
func Parse(specifications ...Specification) (*Inventory, error) {
	l := &loader{inventory: &Inventory{tree: &node{}, specified: true}}
	for _, s := range specifications {
		l.specification(s.Name, s.Data)
	}
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.inventory, nil
}

// loader builds an inventory.
type loader struct {
	inventory *Inventory
	problems  Problems
	templates int
}

func (l *loader) errorf(file string, line, column int, format string, args ...any) {
	l.problems = append(l.problems, Problem{file, line, column, fmt.Sprintf(format, args...)})
}

func (l *loader) readFile(name string) ([]byte, bool) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > MaxFileBytes {
		l.errorf(name, 0, 0, "is larger than %d MiB", MaxFileBytes>>20)
		return nil, false
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		l.errorf(name, 0, 0, "%v", reason(err))
		return nil, false
	}
	return data, true
}

// reason leaves out the name of the file, which the message begins with.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// find lists the files that names, folders and patterns stand for, in the order in which they are named, those of a folder or a
// pattern sorted. Folders are searched with all that is below them.
func find(names []string) (files []string, problems Problems) {
	for _, name := range names {
		found, err := expand(name)
		if err != nil {
			problems = append(problems, Problem{File: name, Message: reason(err).Error()})
		}
		for _, file := range found {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	if len(files) > MaxFiles {
		return nil, append(problems, Problem{File: files[MaxFiles], Message: fmt.Sprintf("there are more than %d files", MaxFiles)})
	}
	return files, problems
}

func expand(name string) ([]string, error) {
	matches := []string{name}
	if strings.ContainsAny(name, "*?[") {
		var err error
		if matches, err = filepath.Glob(name); err != nil || len(matches) == 0 {
			return nil, cmp.Or(err, errors.New("no file has such a name"))
		}
	}
	var files []string
	for _, match := range matches {
		info, err := os.Stat(match)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			files = append(files, match)
			continue
		}
		below, err := walk(match)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	return files, nil
}

// walk lists the YAML and JSON files of a folder.
func walk(folder string) (files []string, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != folder && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		switch strings.ToLower(filepath.Ext(path)) {
		case ".yaml", ".yml", ".json":
			if !d.IsDir() {
				files = append(files, path)
			}
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = errors.New("the folder holds no .yaml, .yml or .json file")
	}
	return files, err
}
