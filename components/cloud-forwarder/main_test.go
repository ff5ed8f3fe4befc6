package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/request"
)

// F7: the replay command says where the forwarder does not run. What it asks for waits for one that does.
func TestReplayWithoutAForwarder(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) error {
		var out bytes.Buffer
		return replay(t.Context(), args, cli.Streams{Out: &out, Err: &out})
	}
	if err := run("-dir", dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "has not run there yet") {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "requests"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run("-dir", dir, "-timeout", "1ms"); !errors.Is(err, request.ErrWaits) {
		t.Errorf("%v", err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "requests", "*.request")); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	nowhere := filepath.Join(dir, "nowhere")
	if err := run("-dir", nowhere); err == nil || !strings.Contains(err.Error(), "tried "+nowhere) {
		t.Errorf("%v", err)
	}
	for _, args := range [][]string{{"all"}, {"-dir", dir, "-timeout", "0s"}, {"-dir", dir, "-timeout", "25h"}} {
		if err := run(args...); !errors.Is(err, cli.ErrUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
