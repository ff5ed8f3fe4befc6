package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
)

// F7: the replay command hands the dead letters back to the forwarder.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	run := func(args ...string) error {
		out.Reset()
		return replay(t.Context(), args, cli.Streams{Out: &out, Err: &out})
	}
	if err := run("-dir", dir); err != nil || !strings.Contains(out.String(), "no dead letters") {
		t.Errorf("%v %s", err, &out)
	}
	for _, name := range []string{"dead-letters.jsonl", "dead-letters.jsonl.old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run("-dir", dir); err != nil || !strings.Contains(out.String(), "sends its dead letters again") {
		t.Errorf("%v %s", err, &out)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "replay-*.jsonl")); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
	if err := run("-dir", filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := run("all"); !errors.Is(err, cli.ErrUsage) {
		t.Errorf("%v", err)
	}
}
