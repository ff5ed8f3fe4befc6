package voice_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/test/need"
)

// script is a program that a test wrote.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPlayer(t *testing.T) {
	dir := t.TempDir()
	heard := filepath.Join(t.TempDir(), "heard.wav")
	clip := voice.Clip{Rate: 8000, Samples: []int16{1, 2, 3}}
	p := voice.Player{Command: []string{script(t, `[ "$1" = -q ] && cp "$2" '`+heard+`'`), "-q"}, Dir: dir}
	if err := p.Play(t.Context(), clip); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := clip.EncodeWAV(&want); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(heard); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the player got %x (%v)", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}

func TestPlayerThatFails(t *testing.T) {
	p := voice.Player{Command: []string{script(t, "echo no such device >&2; exit 1")}, Dir: t.TempDir()}
	if err := p.Play(t.Context(), voice.Clip{Rate: 8000}); err == nil || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("it failed with %v", err)
	}
	p.Command = []string{filepath.Join(t.TempDir(), "missing")}
	if err := p.Play(t.Context(), voice.Clip{Rate: 8000}); err == nil {
		t.Error("a missing program plays")
	}
}

// A player that takes too long is stopped, with what it has started.
func TestPlayerThatHangs(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		f, err := os.Open(pipe) // waits for the player's child
		cancel()
		if err == nil {
			_, err = io.ReadAll(f) // until it is gone
			_ = f.Close()
		}
		ended <- err
	}()
	p := voice.Player{Command: []string{script(t, "sleep 60 >'"+pipe+"' & wait")}, Dir: t.TempDir()}
	if err := p.Play(ctx, voice.Clip{Rate: 8000}); err == nil {
		t.Error("a player that is stopped has played")
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("what the player started still runs")
	}
}

// A disk that takes no file is told as such, and no program runs.
func TestPlayerWithoutADisk(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	p := voice.Player{Command: []string{script(t, "touch '"+ran+"'")}, Dir: filepath.Join(t.TempDir(), "missing")}
	if err := p.Play(t.Context(), voice.Clip{Rate: 8000}); err == nil || !strings.Contains(err.Error(), "write announcement") {
		t.Errorf("it failed with %v", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the program ran without a file")
	}
}

func TestEspeak(t *testing.T) {
	e := voice.Espeak{Program: need.Tool(t, "espeak-ng", "Debian: apt-get install espeak-ng")}
	for _, text := range []string{"Fault found on line 1, compressor 2.", "-w stolen.wav", "'; touch stolen.wav"} {
		clip, err := e.Clip(t.Context(), voice.Announcement{Text: text})
		if err != nil || clip.Duration() < 300*time.Millisecond {
			t.Errorf("%q: %v of sound (%v)", text, clip.Duration(), err)
		}
	}
	if _, err := os.Stat("stolen.wav"); err == nil {
		t.Error("a text was taken for an option or a command")
	}
}

func TestEspeakThatFails(t *testing.T) {
	for _, text := range []string{"echo broken >&2; exit 1", "echo no sound", "exit 0"} {
		if _, err := (voice.Espeak{Program: script(t, text)}).Clip(t.Context(), voice.Announcement{Text: "x"}); err == nil {
			t.Errorf("%q is spoken", text)
		}
	}
}
