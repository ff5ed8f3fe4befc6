package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The zip file has what Lambda starts, for the processor it is told, and equal sources make equal files.
func TestZip(t *testing.T) {
	for _, name := range functions {
		t.Run(name, func(t *testing.T) { testZip(t, name) })
	}
}

func testZip(t *testing.T, name string) {
	t.Chdir(need.Root(t))
	before, err := os.ReadDir(".")
	must.OK(t, err)
	var files [2][]byte
	for i := range files {
		out := filepath.Join(t.TempDir(), "below", "function.zip")
		must.OK(t, run(t.Context(), []string{"-function", name, "-version", "1.2.3", "-out", out}, cli.Streams{Out: io.Discard, Err: io.Discard}))
		if files[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two builds of the same source differ")
	}
	archive, err := zip.NewReader(bytes.NewReader(files[0]), int64(len(files[0])))
	must.OK(t, err)
	if len(archive.File) != 1 || archive.File[0].Name != "bootstrap" || archive.File[0].Mode().Perm() != 0o755 {
		t.Fatalf("the file has %d entries: %v", len(archive.File), archive.File[0].FileHeader)
	}
	entry, err := archive.File[0].Open()
	must.OK(t, err)
	program, err := io.ReadAll(entry)
	must.OK(t, err)
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil || file.Machine != elf.EM_AARCH64 {
		t.Errorf("the program is for %v: %v", file.Machine, err)
	}
	after, err := os.ReadDir(".")
	if err != nil || len(after) != len(before) {
		t.Errorf("the build left something beside the sources: %d files, before %d; %v", len(after), len(before), err)
	}
}

func TestZipRefuses(t *testing.T) {
	for _, args := range [][]string{{"-arch", "mips"}, {"-function", "sensor-simulator"}} {
		err := run(t.Context(), args, cli.Streams{Out: io.Discard, Err: io.Discard})
		if !errors.Is(err, cli.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
