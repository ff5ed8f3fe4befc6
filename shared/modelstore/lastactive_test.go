package modelstore

import (
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/modelstore/internal/modeltest"
)

// The last active model is found whatever is wrong with the store, without its lock and without a change.
func TestLastActive(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, b *bench, current, previous Installed)
		want   string
	}{
		"nothing": {func(*testing.T, *bench, Installed, Installed) {}, "1.1.0 1.2.0"},
		"newer format": {func(t *testing.T, b *bench, _, _ Installed) {
			modeltest.Write(t, b.dir, formatFile, []byte(`{"format":2}`))
		}, "1.1.0 1.2.0"},
		"pointers damaged":  {func(t *testing.T, b *bench, _, _ Installed) { modeltest.Write(t, b.dir, currentFile, []byte("x")) }, "1.1.0 1.2.0"},
		"quarantine is bad": {func(t *testing.T, b *bench, _, _ Installed) { modeltest.Write(t, b.dir, quarantineFile, []byte("x")) }, "1.1.0 1.2.0"},
		"pointers lost": {func(t *testing.T, b *bench, _, _ Installed) {
			modeltest.Write(t, b.dir, currentFile, []byte("x"))
			remove(t, b.dir, currentFile+copySuffix)
		}, "1.2.0 1.1.0"},
		"model lost": {func(t *testing.T, b *bench, current, _ Installed) {
			remove(t, b.dir, filepath.Join(versionsDir, current.ID))
		}, "1.2.0"},
		"rollback begun": {func(t *testing.T, b *bench, current, _ Installed) {
			if err := b.store.note(Entry{Source: current.Source, Reason: ReasonRolledBack, Final: true}); err != nil {
				t.Fatal(err)
			}
		}, "1.2.0"},
		"all lost": {func(t *testing.T, b *bench, _, _ Installed) { remove(t, b.dir, "") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.options.AllowDowngrade = true
			b.open()
			b.install("1.2.0")
			b.install("1.1.0")
			current, _ := b.store.Current()
			previous, _ := b.store.Previous()
			test.damage(t, b, current, previous)
			before := ""
			if name != "all lost" {
				before = contents(t, b.dir)
			}
			var got []string
			for _, i := range LastActive(b.dir, b.options) {
				if _, err := i.Load(); err != nil {
					t.Error(err)
				}
				got = append(got, i.Manifest.Version)
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("%q, want %q", text, test.want)
			}
			if name != "all lost" && contents(t, b.dir) != before {
				t.Error("the store was changed")
			}
		})
	}
}
