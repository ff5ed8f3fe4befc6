package access_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/components/operator-console/access"
	"edgepdm/test/must"
)

// What the disk does not take waits, is said, and is written in order once the disk is well; the file is turned over when it is full.
func TestTheRecordOutlivesABadDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	must.OK(t, os.Mkdir(path, 0o700)) // where the file should be
	var problem error
	a := &access.Audit{Path: path, Problem: func(err error) { problem = err }}
	for i := range 1001 {
		a.Note(access.Entry{By: fmt.Sprint("Ann ", i), Do: "alarm", Outcome: "done"})
	}
	if problem == nil {
		t.Fatal("nothing is said")
	}
	must.OK(t, os.Remove(path))
	if a.Flush(); problem != nil {
		t.Fatal(problem)
	}
	lines := bytes.Split(bytes.TrimSpace(must.Read(t, path)), []byte("\n"))
	if len(lines) != 1000 || !bytes.Contains(lines[0], []byte(`"by":"Ann 1"`)) || !bytes.Contains(lines[999], []byte(`"by":"Ann 1000"`)) {
		t.Errorf("%d lines from %s", len(lines), lines[0])
	}
	long := strings.Repeat("x", 1<<20)
	for range 5 {
		a.Note(access.Entry{By: "Ann", Do: "alarm", Outcome: long})
	}
	now, err := os.Stat(path)
	must.OK(t, err)
	before, err := os.Stat(path + ".1")
	must.OK(t, err)
	if problem != nil || now.Size() > 4<<20 || before.Size() > 4<<20 {
		t.Errorf("%v, %d and %d bytes", problem, now.Size(), before.Size())
	}
}
