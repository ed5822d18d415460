package clickhouse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdb is today's ClickHouse engine as a library: one database in memory for the whole process.
type chdb struct {
	conn    uintptr
	query   func(conn uintptr, query *byte, queryLen uintptr, format *byte, formatLen uintptr) uintptr
	buffer  func(result uintptr) *byte
	length  func(result uintptr) uintptr
	failure func(result uintptr) *byte
	destroy func(result uintptr)
}

// loadChdb opens the library once: it does not survive being opened and closed again.
var loadChdb = sync.OnceValues(func() (*chdb, error) {
	lib, err := purego.Dlopen(libraryPath, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", libraryPath, err)
	}
	var c chdb
	var connect func(argc int32, argv **byte) *uintptr
	purego.RegisterLibFunc(&connect, lib, "chdb_connect")
	purego.RegisterLibFunc(&c.query, lib, "chdb_query_n")
	purego.RegisterLibFunc(&c.buffer, lib, "chdb_result_buffer")
	purego.RegisterLibFunc(&c.length, lib, "chdb_result_length")
	purego.RegisterLibFunc(&c.failure, lib, "chdb_result_error")
	purego.RegisterLibFunc(&c.destroy, lib, "chdb_destroy_query_result")
	args := []*byte{cString("clickhouse")}
	conn := connect(int32(len(args)), &args[0])
	runtime.KeepAlive(args)
	if conn == nil || *conn == 0 {
		return nil, errors.New("connect to chdb: refused")
	}
	c.conn = *conn
	return &c, nil
})

func cString(s string) *byte { return &append([]byte(s), 0)[0] }

// openChdb returns the engine with an empty database called gatewatch in use.
func openChdb(t *testing.T) *chdb {
	t.Helper()
	c, err := loadChdb()
	must(t, err)
	for _, q := range []string{"DROP DATABASE IF EXISTS gatewatch", "CREATE DATABASE gatewatch", "USE gatewatch"} {
		c.exec(t, q)
	}
	return c
}

// run returns the result of a query in a format of ClickHouse.
func (c *chdb) run(query, format string) ([]byte, error) {
	q, f := cString(query), cString(format)
	result := c.query(c.conn, q, uintptr(len(query)), f, uintptr(len(format)))
	runtime.KeepAlive(q)
	runtime.KeepAlive(f)
	if result == 0 {
		return nil, errors.New("chdb returned nothing")
	}
	defer c.destroy(result)
	if message := c.failure(result); message != nil {
		return nil, errors.New(goString(message))
	}
	return bytes.Clone(unsafe.Slice(c.buffer(result), c.length(result))), nil
}

func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

func (c *chdb) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := c.run(query, "Null"); err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
}

// text returns the result of a query, columns separated by tabs.
func (c *chdb) text(t *testing.T, query string) string {
	t.Helper()
	out, err := c.run(query, "TabSeparated")
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// rows returns the result of a query, a map for each row.
func (c *chdb) rows(t *testing.T, query string) (all []map[string]any) {
	t.Helper()
	out, err := c.run(query, "JSONEachRow")
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var row map[string]any
		must(t, dec.Decode(&row))
		all = append(all, row)
	}
	return all
}
