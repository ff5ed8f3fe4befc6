package modelstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/durable"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// TestNewerFormat has a newer release write each of the files: the store is refused, and left as it is.
func TestNewerFormat(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.install("1.1.0")
	if _, err := b.store.Rollback("too slow"); err != nil { // for a quarantine
		t.Fatal(err)
	}
	b.install("1.2.0")
	current, _ := b.store.Current()
	previous, _ := b.store.Previous()
	held := b.hold("1.3.0")
	record := func(i Installed) string { return filepath.Join(versionsDir, i.ID, envelope.RecordFile) }
	for _, name := range []string{formatFile, currentFile, quarantineFile, attemptFile, record(current), record(previous), record(held)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			must.OK(t, os.CopyFS(dir, os.DirFS(b.dir)))
			modeltest.Write(t, dir, name, []byte(`{"format":2,"current":{"blue":"a","green":"b"},"entries":"elsewhere"}`))
			modeltest.Write(t, dir, "versions/new-kind/file", []byte("of the newer release"))
			before := contents(t, dir)
			for range 2 { // the lock is free again
				_, err := OpenStore(dir, b.options)
				modeltest.Wants(t, err, envelope.ErrFormat, "format 2: written by a newer version")
			}
			if after := contents(t, dir); after != before {
				t.Errorf("the store was changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// contents returns everything below a folder as text.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files(t, dir) {
		data := must.Read(t, filepath.Join(dir, name))
		fmt.Fprintf(&all, "%s: %s\n", name, envelope.HashOf(data))
	}
	return all.String()
}

// TestDamage damages one file of a store after the other. What is left is used; nothing stops the component.
func TestDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string, current, previous Installed)
		want   string // active and previous
		log    string
	}{
		{"format", func(t *testing.T, dir string, _, _ Installed) {
			modeltest.Write(t, dir, formatFile, []byte("\x00\x00"))
		}, "1.2.0 1.0.0", "format file is damaged"},
		{"format is gone", func(t *testing.T, dir string, _, _ Installed) { remove(t, dir, formatFile) }, "1.2.0 1.0.0", ""},
		{"format is a folder", func(t *testing.T, dir string, _, _ Installed) {
			remove(t, dir, formatFile)
			modeltest.Write(t, dir, formatFile+"/x", nil)
		}, "", "format file is damaged"},
		{"pointers", func(t *testing.T, dir string, _, _ Installed) { modeltest.Write(t, dir, currentFile, nil) }, "1.2.0 1.0.0", "its copy is used"},
		{"pointers and their copy", func(t *testing.T, dir string, _, _ Installed) {
			modeltest.Write(t, dir, currentFile, nil)
			modeltest.Write(t, dir, currentFile+copySuffix, nil)
		}, "1.2.0 ", "lost which model is active"},
		{"pointers to nowhere", func(t *testing.T, dir string, _, _ Installed) {
			modeltest.Write(t, dir, currentFile, []byte(`{"format":1,"current":"../../etc","previous":"none"}`))
		}, " ", "cannot be used"},
		{"pointers to a folder of another name", func(t *testing.T, dir string, current, previous Installed) {
			must.OK(t, os.Rename(current.dir, filepath.Join(dir, versionsDir, "x")))
			modeltest.Write(t, dir, currentFile, []byte(`{"format":1,"current":"x","previous":"`+previous.ID+`"}`))
		}, "1.0.0 ", "cannot be used"},
		{"record of the active model", func(t *testing.T, _ string, current, _ Installed) {
			modeltest.Write(t, current.dir, envelope.RecordFile, []byte("{"))
		}, "1.2.0 1.0.0", "made again from the signed envelope"},
		{"record and envelope of the active model", func(t *testing.T, _ string, current, _ Installed) {
			modeltest.Write(t, current.dir, envelope.RecordFile, []byte("{"))
			modeltest.Write(t, current.dir, envelope.EnvelopeFile, []byte("{"))
		}, "1.0.0 ", "the previous one takes its place"},
		{"active model is gone", func(t *testing.T, _ string, current, _ Installed) { remove(t, current.dir, "model.json") }, "1.0.0 ", "the previous one takes its place"},
		{"active model is a link", func(t *testing.T, _ string, current, previous Installed) {
			remove(t, current.dir, "model.json")
			must.OK(t, os.Symlink(previous.ModelPath(), current.ModelPath()))
		}, "1.0.0 ", "the previous one takes its place"},
		{"previous model is gone", func(t *testing.T, _ string, _, previous Installed) { remove(t, previous.dir, ".") }, "1.2.0 ", "cannot be used"},
		{"both are gone", func(t *testing.T, dir string, _, _ Installed) { remove(t, dir, versionsDir) }, " ", "cannot be used"},
		{"quarantine", func(t *testing.T, dir string, _, _ Installed) {
			modeltest.Write(t, dir, quarantineFile, []byte(`{"format":1,"entries":5}`))
		}, "1.2.0 1.0.0", "the quarantine is lost"},
		{"attempt", func(t *testing.T, dir string, _, _ Installed) { modeltest.Write(t, dir, attemptFile, []byte("x")) }, "1.2.0 1.0.0", ""},
		{"leftovers", func(t *testing.T, dir string, _, _ Installed) {
			modeltest.Write(t, dir, "staging/model.json", nil)
			modeltest.Write(t, dir, "versions/1.3.0-0123456789ab/model.json", nil)
			modeltest.Write(t, dir, currentFile+disk.TempSuffix, nil)
		}, "1.2.0 1.0.0", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			b.install("1.2.0")
			current, _ := b.store.Current()
			previous, _ := b.store.Previous()
			test.damage(t, b.dir, current, previous)
			if test.want == "" {
				must.OK(t, b.store.Close())
				if s, err := OpenStore(b.dir, b.options); err == nil {
					_ = s.Close()
					t.Fatal("opened")
				}
				return
			}
			b.open()
			if !strings.Contains(b.log.String(), test.log) || test.log == "" && b.log.Len() > 0 {
				t.Errorf("log: %s", &b.log)
			}
			parts := strings.Split(test.want, " ")
			b.active(parts[0], parts[1])
			b.install("1.3.0")
			b.active("1.3.0", parts[0])
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	must.OK(t, os.RemoveAll(filepath.Join(dir, name)))
}

// TestFlippedBits flips single bits of each state file: what is active, previous and in quarantine stays as it was, and the
// file is whole again.
func TestFlippedBits(t *testing.T) {
	need.Long(t)
	b := newBench(t)
	b.install("1.0.0")
	b.install("1.2.0")
	if _, err := b.store.Rollback("too slow"); err != nil {
		t.Fatal(err)
	}
	b.install("1.1.0")
	current, _ := b.store.Current()
	held := filepath.Join(versionsDir, b.hold("1.3.0").ID, envelope.RecordFile)
	before, entries := state(t, b.store), b.store.Quarantined()
	must.OK(t, b.store.Close())
	record := filepath.Join(versionsDir, current.ID, envelope.RecordFile)
	for _, name := range []string{formatFile, currentFile, quarantineFile, record, held} {
		whole := must.Read(t, filepath.Join(b.dir, name))
		for bit := 0; bit < len(whole)*8; bit += 11 {
			bad := slices.Clone(whole)
			bad[bit/8] ^= 1 << (bit % 8)
			modeltest.Write(t, b.dir, name, bad)
			s, err := OpenStore(b.dir, b.options)
			if err != nil {
				t.Fatalf("%s, bit %d: %v", name, bit, err)
			}
			if got := state(t, s); got != before || !reflect.DeepEqual(s.Quarantined(), entries) {
				t.Fatalf("%s, bit %d: active and previous are %q, quarantine %+v", name, bit, got, s.Quarantined())
			}
			must.OK(t, s.Close())
			modeltest.Write(t, b.dir, name, whole)
		}
	}
}

// TestModelChangesOnDisk changes a bit of the active model: it is not loaded, and the one before it takes its place.
func TestModelChangesOnDisk(t *testing.T) {
	b := newBench(t)
	old := b.install("1.0.0")
	b.install("1.2.0")
	i, _ := b.store.Current()
	modeltest.Write(t, i.dir, "model.json", []byte(must.Replace(t, modeltest.TinyModel, "4E0", "5E0")))
	b.open()
	i, _ = b.store.Current()
	_, err := i.Load()
	modeltest.Wants(t, err, ErrDamaged, "has changed since it was accepted")
	if got, err := b.store.Rollback(err.Error()); err != nil || got.ID != old.ID {
		t.Fatalf("%s, %v", got.ID, err)
	}
	b.active("1.0.0", "")
}

// TestRollbackToDamagedModel leaves the active model active when the one before it is gone.
func TestRollbackToDamagedModel(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.install("1.2.0")
	previous, _ := b.store.Previous()
	remove(t, previous.dir, "model.json")
	_, err := b.store.Rollback("too slow")
	if modeltest.Wants(t, err, ErrNoPrevious, "model.json"); len(b.store.Quarantined()) != 0 {
		t.Errorf("quarantine %+v", b.store.Quarantined())
	}
	b.open()
	b.active("1.2.0", "")
}

// TestCandidateDamaged has the candidate be damaged before it is activated.
func TestCandidateDamaged(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	p := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	d := b.deliver(&p.Manifest, p.Archive)
	c, err := b.store.Take(d)
	must.OK(t, err)
	remove(t, c.dir, "model.json")
	modeltest.Wants(t, b.store.Activate(c), ErrDamaged, "model.json")
	if got := state(t, b.store); got != "1.0.0 " {
		t.Fatalf("active and previous are %q", got)
	}
	if c, err = b.store.Take(d); err != nil { // what is there is of no use, and replaced
		t.Fatal(err)
	}
	must.OK(t, b.store.Activate(c))
	b.active("1.2.0", "1.0.0")
	if err := b.store.Activate(Candidate{}); err == nil {
		t.Error("no candidate was activated")
	}
}

func TestLock(t *testing.T) {
	b := newBench(t)
	_, err := OpenStore(b.dir, b.options)
	modeltest.Wants(t, err, durable.ErrLocked, "")
	must.OK(t, b.store.Close())
	b.store = nil
	b.open()
}

func TestStoreThatIsNoFolder(t *testing.T) {
	path := modeltest.Write(t, t.TempDir(), "store", nil)
	if _, err := OpenStore(path, Options{}); err == nil {
		t.Fatal("opened")
	}
}

// TestQuarantineIsBounded fills it with what anybody can make: bad signatures. What was found bad stays.
// TestAtOnce uses a store from several goroutines.
func TestAtOnce(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.options.AllowDowngrade = true
	b.open()
	var deliveries []inbox.Delivery
	for i := range 4 {
		p := modeltest.Publish(t, modeltest.TinyModel, fmt.Sprintf("1.1.%d", i))
		deliveries = append(deliveries, b.deliver(&p.Manifest, p.Archive))
	}
	var wg sync.WaitGroup
	for i, d := range deliveries {
		wg.Go(func() {
			for range 3 {
				c, err := b.store.Take(d)
				switch {
				case err != nil:
				case i%2 == 0:
					err = b.store.Activate(c)
				default:
					if err = b.store.Hold(c); err == nil && i == 1 {
						err = b.store.Promote()
					} else if err == nil {
						err = b.store.Drop(c)
					}
				}
				// Another goroutine's activation removes a candidate that waits, and its rollback bars a model.
				if err != nil && !errors.Is(err, ErrActive) && !disk.Missing(err) && !errors.Is(err, ErrQuarantined) && !errors.Is(err, ErrNoCandidate) {
					t.Error(err)
				}
				if _, err := b.store.Rollback("test"); err != nil && !errors.Is(err, ErrNoPrevious) {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			b.store.Current()
			b.store.Previous()
			b.store.Candidate()
			b.store.Quarantined()
		}
	})
	wg.Wait()
	want := state(t, b.store)
	b.open()
	if got := state(t, b.store); got != want {
		t.Errorf("active and previous are %q, opened again %q", want, got)
	}
}
