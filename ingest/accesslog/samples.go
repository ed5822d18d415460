package accesslog

import (
	"embed"
	"io/fs"
)

//go:embed testdata/*/*.json testdata/*/*.jsonl testdata/*/*.log testdata/*/*.pb
var samples embed.FS

// Samples are records of all formats, one folder for each: what the formats are tested and measured with. They were written at
// 10:00 UTC on 22 November 2026.
func Samples() fs.FS {
	sub, err := fs.Sub(samples, "testdata")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}
