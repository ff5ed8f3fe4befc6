package voice_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/voice"
)

func clipOf(n int) voice.Clip { return voice.Clip{Rate: 8000, Samples: make([]int16, n)} }

func TestLibrary(t *testing.T) {
	l := voice.Library{Dir: filepath.Join(t.TempDir(), "clips"), MaxBytes: 1 << 20}
	a := voice.Announcement{Language: "en", Text: "../../etc/passwd", Class: "machine-fault"}
	if _, err := l.Clip(t.Context(), a); !errors.Is(err, voice.ErrNoClip) {
		t.Errorf("an empty library gave %v", err)
	}
	if err := errors.Join(l.PutPhrase("en", "machine-fault", clipOf(10)), l.PutPhrase("de", "machine-fault", clipOf(11))); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Clip(t.Context(), a); err != nil || len(c.Samples) != 10 {
		t.Errorf("the phrase has %d samples (%v)", len(c.Samples), err)
	}
	if err := l.PutText("en", a.Text, clipOf(20)); err != nil || !l.HasText("en", a.Text) || l.HasText("de", a.Text) {
		t.Errorf("the clip of a text: %v", err)
	}
	if c, err := l.Clip(t.Context(), a); err != nil || len(c.Samples) != 20 {
		t.Errorf("the clip has %d samples (%v)", len(c.Samples), err)
	}
}

// Clips that were not heard for longest make room; phrases stay.
func TestLibraryIsBounded(t *testing.T) {
	l := voice.Library{Dir: t.TempDir(), MaxBytes: 5 * 2084}
	if err := l.PutPhrase("en", "machine-fault", clipOf(1000)); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for i := range 10 {
		if err := l.PutText("en", fmt.Sprint(i), clipOf(1000)); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(filepath.Join(l.Dir, "text-*"))
		for _, f := range files {
			if err := os.Chtimes(f, old, old); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Clip(t.Context(), voice.Announcement{Language: "en", Text: "0"}); err != nil {
			t.Fatalf("the clip that is heard is gone after %d others: %v", i, err)
		}
	}
	if files, _ := os.ReadDir(l.Dir); len(files) != 5 {
		t.Errorf("%d files are kept", len(files))
	}
	if _, err := l.Clip(t.Context(), voice.Announcement{Language: "en", Text: "?", Class: "machine-fault"}); err != nil {
		t.Errorf("the phrase: %v", err)
	}
	if err := l.PutText("en", "long", clipOf(10_000)); err == nil {
		t.Error("a clip that has no room is kept")
	}
}

// What the cloud calls a text or a language in another way is the same one.
func TestLibraryKnowsTextsAndLanguagesByOtherNames(t *testing.T) {
	l := voice.Library{Dir: t.TempDir(), MaxBytes: 1 << 20}
	if err := errors.Join(l.PutText("en-US", "Line 1: fault.", clipOf(10)), l.PutPhrase("de-DE", "silence", clipOf(11))); err != nil {
		t.Fatal(err)
	}
	for _, a := range []voice.Announcement{
		{Text: "Line 1:  fault.\n"}, {Language: "en", Text: "Line 1: fault."}, {Language: "en-GB", Text: "Line 1: fault."}, {Language: "DE", Class: "silence"},
	} {
		if _, err := l.Clip(t.Context(), a); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// A damaged clip is removed, so that it can be fetched again.
func TestDamagedClip(t *testing.T) {
	l := voice.Library{Dir: t.TempDir(), MaxBytes: 1 << 20}
	if err := l.PutText("en", "a", clipOf(10)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(l.Dir, "*.wav"))
	if err := os.WriteFile(files[0], []byte("RIFF"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := voice.Announcement{Language: "en", Text: "a", Class: "silence"}
	if _, err := l.Clip(t.Context(), a); err == nil || errors.Is(err, voice.ErrNoClip) {
		t.Errorf("the damaged clip gave %v", err)
	}
	if _, err := l.Clip(t.Context(), a); !errors.Is(err, voice.ErrNoClip) {
		t.Errorf("the damaged clip is still there: %v", err)
	}
	if err := errors.Join(l.PutPhrase("en", "silence", clipOf(11)), os.WriteFile(files[0], make([]byte, 20<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Clip(t.Context(), a); err != nil || len(c.Samples) != 11 {
		t.Errorf("the phrase does not stand in: %d samples (%v)", len(c.Samples), err)
	}
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("a clip that is too large is kept")
	}
}

// A clip of which the disk has changed a bit is not spoken, and removed; one without a sum, as a version before wrote it, is spoken.
func TestAClipIsWhatWasKept(t *testing.T) {
	l := voice.Library{Dir: t.TempDir(), MaxBytes: 1 << 20}
	a := voice.Announcement{Language: "en", Text: "a"}
	if err := l.PutText("en", "a", clipOf(1000)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(l.Dir, "*.wav"))
	kept, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) error { return os.WriteFile(files[0], data, 0o600) }
	changed := append([]byte(nil), kept...)
	changed[500] ^= 1
	if err := write(changed); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Clip(t.Context(), a); err == nil || errors.Is(err, voice.ErrNoClip) {
		t.Errorf("the changed clip gave %v", err)
	}
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("the changed clip is still there")
	}
	if err := write(kept[:44+2000]); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Clip(t.Context(), a); err != nil || len(c.Samples) != 1000 {
		t.Errorf("a clip without a sum: %d samples, %v", len(c.Samples), err)
	}
}
