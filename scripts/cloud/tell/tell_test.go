package tell

import (
	"bufio"
	"strings"
	"testing"
)

func TestProgress(t *testing.T) {
	var out strings.Builder
	on := &Teller{in: bufio.NewReader(strings.NewReader("")), out: &out, terminal: true}
	on.Progress(1, 4, "a bucket")
	on.Line("made %s", "it")
	on.Progress(4, 4, "")
	want := wipe + "[######..................] 1/4 a bucket" + wipe + "made it\n[######..................] 1/4 a bucket" + wipe
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	off := New(strings.NewReader(""), &out)
	off.Progress(1, 4, "a bucket")
	off.Line("made it")
	off.Done()
	if out.String() != "made it\n" {
		t.Errorf("into a file goes %q", out.String())
	}
}

func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "YES\n": true, "y\n": false, "\n": false, "no\n": false, "yes": true} {
		var out strings.Builder
		got, err := New(strings.NewReader(answer), &out).Ask("Go?")
		if err != nil || got != want || out.String() != "Go? Type yes to go on: " {
			t.Errorf("%q: %v, %v, %q", answer, got, err, out.String())
		}
	}
	if _, err := New(strings.NewReader(""), &strings.Builder{}).Ask("Go?"); err == nil {
		t.Error("nobody agreed")
	}
}
