package modelstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// scenario is something that changes a store, for tests that stop it in the middle.
type scenario struct {
	name    string
	prepare func(b *bench)
	// run does it, or what is left of it to do.
	run           func(b *bench, s *Store) error
	before, after string // what state says
	quarantine    int    // entries in the end
}

// latest is the delivery that was made last.
func (b *bench) latest() inbox.Delivery {
	b.t.Helper()
	deliveries, err := b.inbox.Ready()
	must.OK(b.t, err)
	return deliveries[len(deliveries)-1]
}

// takeLatest takes and activates the delivery that was made last.
func takeLatest(b *bench, s *Store) error {
	c, err := s.Take(b.latest())
	if errors.Is(err, ErrActive) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Activate(c)
}

// holdLatest takes and holds the delivery that was made last.
func holdLatest(b *bench, s *Store) error {
	c, err := s.Take(b.latest())
	if errors.Is(err, ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Hold(c)
}

func scenarios(t testing.TB) []scenario {
	model := modeltest.Write(t, t.TempDir(), "model.json", []byte(modeltest.TinyModel))
	manifest := modeltest.Write(t, t.TempDir(), "manifest.json", must.JSON(t, modeltest.Tiny(t)))
	shippedVersion := envelope.HashOf([]byte(modeltest.TinyModel))[:12]
	refusal := func(kind error) func(b *bench, s *Store) error {
		return func(b *bench, s *Store) error {
			_, err := s.Take(b.latest())
			if errors.Is(err, kind) {
				return nil
			}
			return fmt.Errorf("not refused: %w", err)
		}
	}
	return []scenario{
		{
			name: "seed", before: " ", after: shippedVersion + " ",
			run: func(_ *bench, s *Store) error {
				_, err := s.Seed(model, "", nil)
				return err
			},
		},
		{
			name: "another manifest of the shipped model", before: shippedVersion + " ", after: "1.2.0 ",
			prepare: func(b *bench) {
				_, err := b.store.Seed(model, "", nil)
				must.OK(t, err)
			},
			run: func(_ *bench, s *Store) error {
				_, err := s.Seed(model, manifest, nil)
				return err
			},
		},
		{
			name: "first model", before: " ", after: "1.0.0 ", run: takeLatest,
			prepare: func(b *bench) { b.deliverVersion("1.0.0") },
		},
		{
			name: "third model", before: "1.1.0 1.0.0", after: "1.2.0 1.1.0", run: takeLatest,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
				b.deliverVersion("1.2.0")
			},
		},
		{
			name: "previous model delivered again", before: "1.1.0 1.0.0", after: "1.0.0 1.1.0",
			prepare: func(b *bench) {
				b.install("1.0.0")
				p := modeltest.Publish(t, modeltest.TinyModel, "1.0.0")
				b.install("1.1.0")
				b.options.AllowDowngrade = true
				b.deliver(&p.Manifest, p.Archive)
			},
			run: takeLatest,
		},
		{
			name: "roll-back", before: "1.1.0 1.0.0", after: "1.0.0 ", quarantine: 1,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
			},
			run: func(_ *bench, s *Store) error {
				if i, _ := s.Current(); i.Manifest.Version == "1.0.0" {
					return nil // the store has completed it
				}
				_, err := s.Rollback("too slow")
				return err
			},
		},
		{
			name: "refusal", before: "1.0.0 ", after: "1.0.0 ", quarantine: 1,
			prepare: func(b *bench) {
				b.install("1.0.0")
				p := modeltest.Publish(t, modeltest.TinyModel, "1.1.0")
				p.Manifest.Golden[0].Margin = 7
				b.deliver(&p.Manifest, p.Archive)
			},
			run: refusal(envelope.ErrGolden),
		},
		{
			name: "refusal of what ended the process", before: "1.0.0 ", after: "1.0.0 ", quarantine: 1,
			prepare: func(b *bench) {
				b.install("1.0.0")
				d := b.deliverVersion("1.1.0")
				for range maxDeaths {
					b.die(d)
				}
			},
			run: refusal(ErrCrashed),
		},
		{
			name: "first candidate", before: "1.0.0 ", after: "1.0.0  +1.1.0", run: holdLatest,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.deliverVersion("1.1.0")
			},
		},
		{
			name: "second candidate", before: "1.1.0 1.0.0 +1.2.0", after: "1.1.0 1.0.0 +1.3.0", run: holdLatest,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
				b.hold("1.2.0")
				b.deliverVersion("1.3.0")
			},
		},
		{
			name: "promotion", before: "1.1.0 1.0.0 +1.2.0", after: "1.2.0 1.1.0",
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
				b.hold("1.2.0")
			},
			run: func(_ *bench, s *Store) error {
				if i, _ := s.Current(); i.Manifest.Version == "1.2.0" {
					return nil
				}
				return s.Promote()
			},
		},
		{
			name: "rejection", before: "1.1.0 1.0.0 +1.2.0", after: "1.1.0 1.0.0", quarantine: 1,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
				b.hold("1.2.0")
			},
			run: func(_ *bench, s *Store) error {
				if _, ok := s.Candidate(); !ok {
					return s.keepQuarantine() // as Take and Close do
				}
				return s.Reject("worse")
			},
		},
		{
			name: "roll-back beside a candidate", before: "1.1.0 1.0.0 +1.2.0", after: "1.0.0  +1.2.0", quarantine: 1,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.install("1.1.0")
				b.hold("1.2.0")
			},
			run: func(_ *bench, s *Store) error {
				if i, _ := s.Current(); i.Manifest.Version == "1.0.0" {
					return nil // the store has completed it
				}
				_, err := s.Rollback("too slow")
				return err
			},
		},
		{
			name: "direct model above a candidate", before: "1.0.0  +1.1.0", after: "1.2.0 1.0.0", run: takeLatest,
			prepare: func(b *bench) {
				b.install("1.0.0")
				b.hold("1.1.0")
				b.deliverVersion("1.2.0")
			},
		},
		{
			name: "refused before", before: "1.0.0 ", after: "1.1.0 1.0.0", run: takeLatest,
			prepare: func(b *bench) {
				b.install("1.0.0")
				p := modeltest.Publish(t, modeltest.TinyModel, "1.1.0")
				_ = b.refused(b.deliverRaw(modeltest.Sign(t, must.JSON(t, p.Manifest), modeltest.Key(t, 9)), p.Archive), ReasonUntrusted, envelope.ErrUntrusted, "")
				b.options.Keys = append(b.options.Keys, modeltest.PublicOf(modeltest.Key(t, 9)))
				b.open()
			},
		},
	}
}

// state returns the active and the previous version, and with a + that of the candidate, after checking that they load.
func state(t testing.TB, s *Store) string {
	t.Helper()
	i, ok := s.Current()
	j, okToo := s.Previous()
	for _, x := range []struct {
		Installed
		ok bool
	}{{i, ok}, {j, okToo}} {
		if !x.ok {
			continue
		}
		if _, err := x.Load(); err != nil {
			t.Fatalf("model %s does not load: %v", x.ID, err)
		}
	}
	if k, ok := s.Candidate(); ok {
		if _, err := k.Load(); err != nil {
			t.Fatalf("candidate %s does not load: %v", k.ID, err)
		}
		return i.Manifest.Version + " " + j.Manifest.Version + " +" + k.Manifest.Version
	}
	return i.Manifest.Version + " " + j.Manifest.Version
}

// files returns all files below a folder, in order.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			path, err = filepath.Rel(dir, path)
			all = append(all, path)
		}
		return err
	})
	must.OK(t, err)
	return all
}

// tidy checks that a store has no file that it should not have.
func tidy(t testing.TB, s *Store) {
	t.Helper()
	want := []string{formatFile}
	if _, err := os.Lstat(s.path(quarantineFile)); len(s.Quarantined()) > 0 || err == nil { // it may be empty
		want = append(want, quarantineFile, quarantineFile+copySuffix)
	}
	for _, get := range []func() (Installed, bool){s.Current, s.Previous, s.Candidate} {
		i, ok := get()
		if !ok {
			continue
		}
		folder := filepath.Join(versionsDir, i.ID)
		want = append(want, currentFile, currentFile+copySuffix, filepath.Join(folder, envelope.RecordFile), filepath.Join(folder, i.Manifest.Model.File))
		if i.Origin == OriginSigned {
			want = append(want, filepath.Join(folder, envelope.EnvelopeFile))
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	got := files(t, s.dir)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the store has the files %q, want %q", got, want)
	}
}

// eachStep runs a scenario on a fresh copy of a store with a hook, for step 0, 1, 2… until the hook has nothing to do.
func eachStep(t *testing.T, sc scenario, try func(t *testing.T, b *bench, dir string, step int) (done bool)) {
	b := newBench(t)
	if sc.prepare != nil {
		sc.prepare(b)
	}
	if got := state(t, b.store); got != sc.before {
		t.Fatalf("prepared %q, want %q", got, sc.before)
	}
	for step := 0; ; step++ {
		dir := filepath.Join(t.TempDir(), "store")
		must.OK(t, os.CopyFS(dir, os.DirFS(b.dir)))
		if try(t, b, dir, step) {
			t.Logf("%d steps", step)
			return
		}
	}
}

// TestStopAfterEachStep stops the process after each step that it makes on disk, opens the store again, and lets it finish.
// At every second step the process that opens it again is stopped too, after each of its steps.
func TestStopAfterEachStep(t *testing.T) {
	need.Long(t)
	for _, sc := range scenarios(t) {
		t.Run(strings.ReplaceAll(sc.name, " ", "-"), func(t *testing.T) {
			allowed := []string{sc.before, sc.after}
			eachStep(t, sc, func(t *testing.T, b *bench, dir string, step int) bool {
				k := &modeltest.Killer{At: step}
				s, err := openStore(disk.Disk{Before: k.Before}, dir, b.options)
				if err == nil {
					err = sc.run(b, s)
					_ = s.Close()
				}
				if k.Dead && err != nil && !errors.Is(err, modeltest.ErrKilled) {
					t.Fatalf("stopped at step %d: %v", step, err)
				}
				if !k.Dead && err != nil {
					t.Fatal(err)
				}
				// What was done is done, also when it was stopped while it cleaned up behind.
				done := err == nil
				for again := 0; step%2 == 0 && k.Dead; again++ {
					second := &modeltest.Killer{At: again}
					if s, err := openStore(disk.Disk{Before: second.Before}, dir, b.options); err == nil {
						_ = s.Close()
					}
					if !second.Dead {
						break
					}
				}
				s, err = OpenStore(dir, b.options)
				if err != nil {
					t.Fatalf("stopped at step %d, opened again: %v", step, err)
				}
				defer func() { _ = s.Close() }()
				got := state(t, s)
				if !slices.Contains(allowed, got) || done && got != sc.after {
					t.Fatalf("stopped at step %d (done: %v): the models are %q", step, done, got)
				}
				if err := sc.run(b, s); err != nil {
					t.Fatalf("stopped at step %d, continued: %v", step, err)
				}
				if got := state(t, s); got != sc.after || len(s.Quarantined()) != sc.quarantine {
					t.Fatalf("stopped at step %d, continued: active and previous are %q, quarantine %+v", step, got, s.Quarantined())
				}
				must.OK(t, s.Close())
				if s, err = OpenStore(dir, b.options); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				tidy(t, s)
				return !k.Dead
			})
		})
	}
}

// TestFullDiskAtEachStep makes one step after the other fail. That is nobody's fault: nothing is put into quarantine, the
// active model stays or is the new one, and the same process can do it again.
func TestFullDiskAtEachStep(t *testing.T) {
	need.Long(t)
	for _, sc := range scenarios(t) {
		t.Run(strings.ReplaceAll(sc.name, " ", "-"), func(t *testing.T) {
			allowed := []string{sc.before, sc.after}
			eachStep(t, sc, func(t *testing.T, b *bench, dir string, step int) bool {
				f := &modeltest.Failer{At: step, Err: syscall.ENOSPC}
				s, err := openStore(disk.Disk{Before: f.Before}, dir, b.options)
				if err != nil {
					if !errors.Is(err, syscall.ENOSPC) {
						t.Fatal(err)
					}
					if s, err = OpenStore(dir, b.options); err != nil {
						t.Fatal(err)
					}
				}
				defer func() { _ = s.Close() }()
				err = sc.run(b, s)
				var refused *RefusedError
				if errors.As(err, &refused) {
					t.Fatalf("step %d, %s %s, fails: %v", step, f.Op, f.Path, err)
				}
				if err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("step %d, %s %s, fails: %v", step, f.Op, f.Path, err)
				}
				if got := state(t, s); !slices.Contains(allowed, got) {
					t.Fatalf("step %d, %s %s, fails: active and previous are %q", step, f.Op, f.Path, got)
				}
				if err := sc.run(b, s); err != nil {
					t.Fatalf("step %d, %s %s, failed, again: %v", step, f.Op, f.Path, err)
				}
				if got := state(t, s); got != sc.after || len(s.Quarantined()) != sc.quarantine {
					t.Fatalf("step %d, %s %s, failed, again: active and previous are %q, quarantine %+v", step, f.Op, f.Path, got, s.Quarantined())
				}
				must.OK(t, s.Close())
				if s, err = OpenStore(dir, b.options); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				if got := state(t, s); got != sc.after {
					t.Fatalf("step %d, %s %s, failed, again, opened: active and previous are %q", step, f.Op, f.Path, got)
				}
				tidy(t, s)
				return f.Op == ""
			})
		})
	}
}
