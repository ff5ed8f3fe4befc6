package modelstore

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// deliverShadow delivers a version of the tiny model that proves itself first.
func (b *bench) deliverShadow(version string, changes ...func(*envelope.Manifest)) inbox.Delivery {
	b.t.Helper()
	p := modeltest.Publish(b.t, modeltest.TinyModel, version)
	p.Manifest.Format, p.Manifest.Rollout = 3, &envelope.Rollout{Mode: envelope.ModeShadow}
	for _, change := range changes {
		change(&p.Manifest)
	}
	return b.deliver(&p.Manifest, p.Archive)
}

// hold makes a version of the tiny model the candidate.
func (b *bench) hold(version string) Installed {
	b.t.Helper()
	c, err := b.store.Take(b.deliverShadow(version))
	must.OK(b.t, err)
	must.OK(b.t, b.store.Hold(c))
	held, ok := b.store.Candidate()
	if !ok || held.ID != c.ID {
		b.t.Fatalf("the candidate is %q, want %q", held.ID, c.ID)
	}
	return held
}

// is checks the models, now and after the store was opened again, and that there are no other files.
func (b *bench) is(want string) {
	b.t.Helper()
	for range 2 {
		if got := state(b.t, b.store); got != want {
			b.t.Fatalf("the models are %q, want %q", got, want)
		}
		tidy(b.t, b.store)
		b.open()
	}
}

func TestCandidate(t *testing.T) {
	b := newBench(t)
	modeltest.Wants(t, b.store.Promote(), ErrNoCandidate, "promote")
	modeltest.Wants(t, b.store.Reject("why"), ErrNoCandidate, "reject")
	first := b.deliverShadow("0.9.0")
	c, err := b.store.Take(first)
	must.OK(t, err)
	if err := b.store.Hold(c); err == nil {
		t.Fatal("held beside no model")
	}
	must.OK(t, b.store.Activate(c))
	b.is("0.9.0 ")
	b.install("1.0.0")
	b.hold("1.1.0")
	b.is("1.0.0 0.9.0 +1.1.0")
	b.hold("1.2.0") // in its place, without a word against it
	b.is("1.0.0 0.9.0 +1.2.0")
	must.OK(t, b.store.Promote())
	b.is("1.2.0 1.0.0")
	b.hold("1.3.0")
	_, err = b.store.Rollback("too slow")
	must.OK(t, err)
	b.is("1.0.0  +1.3.0")
	must.OK(t, b.store.Reject("it finds less"))
	b.is("1.0.0 ")
	if q := b.store.Quarantined(); len(q) != 2 || q[1].Reason != ReasonRejected || q[1].Version != "1.3.0" || q[1].Detail != "it finds less" || !q[1].Final {
		t.Errorf("the quarantine is %+v", q)
	}
}

// A candidate that is let go is not held against its model.
func TestCandidateDropped(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	held := b.hold("1.1.0")
	must.OK(t, b.store.Drop(Candidate{held}))
	b.is("1.0.0 ")
	b.hold("1.1.0")
	b.is("1.0.0  +1.1.0")
}

// Which deliveries are taken beside a candidate.
func TestDeliveriesBesideACandidate(t *testing.T) {
	later := func(m *envelope.Manifest) { m.Expires = m.Expires.Add(time.Hour) }
	wider := func(m *envelope.Manifest) { m.Rollout.Percent = 50 }
	direct := func(m *envelope.Manifest) { m.Format, m.Rollout = 1, nil }
	other := func(m *envelope.Manifest) { m.Threshold += 0.01 }
	for name, test := range map[string]struct {
		version string
		changes []func(*envelope.Manifest)
		want    error
		after   string // where it is taken, of one that is for the shadow
		direct  string // where it is taken and activated
	}{
		"once more":                {"1.2.0", nil, ErrHeld, "", ""},
		"signed once more":         {"1.2.0", []func(*envelope.Manifest){later}, ErrHeld, "", ""},
		"for more cores":           {"1.2.0", []func(*envelope.Manifest){wider}, ErrHeld, "", ""},
		"to take over at once":     {"1.2.0", []func(*envelope.Manifest){direct}, nil, "", "1.2.0 1.0.0"},
		"another of that version":  {"1.2.0", []func(*envelope.Manifest){other}, ErrVersion, "", ""},
		"lower":                    {"1.1.0", nil, ErrVersion, "", ""},
		"a lower one at once":      {"1.1.0", []func(*envelope.Manifest){direct}, nil, "", "1.1.0 1.0.0 +1.2.0"},
		"higher":                   {"1.3.0", nil, nil, "1.0.0  +1.3.0", ""},
		"a higher one at once":     {"1.3.0", []func(*envelope.Manifest){direct}, nil, "", "1.3.0 1.0.0"},
		"not above the active one": {"1.0.0", []func(*envelope.Manifest){direct, other}, ErrVersion, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			b.hold("1.2.0")
			c, err := b.store.Take(b.deliverShadow(test.version, test.changes...))
			if !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			switch {
			case err != nil:
				b.store.quarantine = nil
				if got := state(t, b.store); got != "1.0.0  +1.2.0" {
					t.Errorf("the models are %q", got)
				}
			case test.direct != "":
				must.OK(t, b.store.Activate(c))
				b.is(test.direct)
			default:
				must.OK(t, b.store.Hold(c))
				b.is(test.after)
			}
		})
	}
}

// A rejected version does not come back, in whatever envelope and to whatever release; a higher one does.
func TestRejectedVersion(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.hold("1.1.0")
	must.OK(t, b.store.Reject("it finds less"))
	b.options.Release, b.options.AllowDowngrade = "2.0.0", true
	b.open()
	same, changed := b.deliverShadow("1.1.0"), b.deliverShadow("1.1.0", func(m *envelope.Manifest) { m.Rollout, m.Threshold = nil, 0.3; m.Format = 1 })
	for _, d := range []inbox.Delivery{same, changed} {
		_, err := b.store.Take(d)
		modeltest.Wants(t, err, ErrQuarantined, "it finds less")
		if r, ok := errors.AsType[*RefusedError](err); !ok || r.Reason != ReasonRejected || !r.Final {
			t.Errorf("%#v, want a final RefusedError", err)
		}
	}
	b.hold("1.1.1")
	b.is("1.0.0  +1.1.1")
}

// Where nothing says any more which model is active, a candidate does not become active, and is still one.
func TestCandidateWhenPointersAreLost(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	held := b.hold("1.1.0")
	lose := func() {
		must.OK(t, b.store.Close())
		b.store = nil
		modeltest.Write(t, b.dir, currentFile, []byte("x"))
		modeltest.Write(t, b.dir, currentFile+copySuffix, []byte("x"))
	}
	lose()
	if left := LastActive(b.dir, b.options); len(left) != 1 || left[0].Manifest.Version != "1.0.0" {
		t.Errorf("the last active models are %+v", left)
	}
	b.open()
	b.is("1.0.0  +1.1.0")
	// It is one no longer after its promotion.
	must.OK(t, b.store.Promote())
	lose()
	b.open()
	if current, _ := b.store.Current(); current.ID != held.ID {
		t.Errorf("%s is active", current.ID)
	}
}

// Where the active model is lost and there is none before it, a candidate waits for the next one.
func TestCandidateWhenTheActiveModelIsLost(t *testing.T) {
	b := newBench(t)
	current := b.install("1.0.0")
	b.hold("1.1.0")
	must.OK(t, os.RemoveAll(current.dir))
	b.open()
	b.is("  +1.1.0")
	_, err := b.store.Seed(modeltest.Write(t, t.TempDir(), "a.json", []byte(modeltest.TinyModel)), "", nil)
	must.OK(t, err)
	if held, ok := b.store.Candidate(); !ok || held.Manifest.Version != "1.1.0" {
		t.Errorf("the candidate is %+v", held)
	}
	must.OK(t, b.store.Promote())
	if current, _ := b.store.Current(); current.Manifest.Version != "1.1.0" {
		t.Errorf("active is %+v", current)
	}
}

// A process that is stopped right after the promotion leaves a record that calls the active model a candidate: it is the active one.
func TestRecordOfAPromotion(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	held := b.hold("1.1.0")
	b.store.disk.Before = fullAt(disk.OpCreate, envelope.RecordFile+disk.TempSuffix)
	must.OK(t, b.store.Promote())
	b.store.disk.Before = nil
	if left := LastActive(b.dir, b.options); len(left) != 2 || left[0].ID != held.ID {
		t.Errorf("the last active models are %+v", left)
	}
	b.open()
	b.is("1.1.0 1.0.0")
	var r record
	must.OK(t, readJSON(filepath.Join(held.dir, envelope.RecordFile), maxRecordFile, &r))
	if r.Held {
		t.Error("the record still calls it a candidate")
	}
}

func TestDamagedCandidate(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, b *bench, held Installed)
		want   string
	}{
		"record": {func(t *testing.T, _ *bench, held Installed) {
			modeltest.Write(t, held.dir, envelope.RecordFile, []byte("x"))
		}, "1.0.0  +1.1.0"},
		"pointers": {func(t *testing.T, b *bench, _ Installed) { modeltest.Write(t, b.dir, currentFile, []byte("x")) }, "1.0.0  +1.1.0"},
		"model cut": {func(t *testing.T, _ *bench, held Installed) {
			modeltest.Write(t, held.dir, held.Manifest.Model.File, []byte("x"))
		}, "1.0.0 "},
		"folder": {func(t *testing.T, _ *bench, held Installed) { must.OK(t, os.RemoveAll(held.dir)) }, "1.0.0 "},
		"record and envelope": {func(t *testing.T, _ *bench, held Installed) {
			modeltest.Write(t, held.dir, envelope.RecordFile, []byte("x"))
			modeltest.Write(t, held.dir, envelope.EnvelopeFile, []byte("x"))
		}, "1.0.0 "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			test.damage(t, b, b.hold("1.1.0"))
			b.open()
			b.is(test.want)
			if test.want == "1.0.0 " {
				b.hold("1.1.0") // it comes again
				b.is("1.0.0  +1.1.0")
			}
		})
	}
}

// A candidate whose file has changed, though not its length, is made whole by its delivery.
func TestChangedCandidate(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	held := b.hold("1.1.0")
	data, err := os.ReadFile(held.ModelPath())
	must.OK(t, err)
	data[len(data)/2] ^= 1
	must.OK(t, os.WriteFile(held.ModelPath(), data, 0o600))
	_, err = held.Load()
	modeltest.Wants(t, err, ErrDamaged, "")
	b.hold("1.1.0")
	b.is("1.0.0  +1.1.0")
}

// The model that ships with a newer release of the component leaves a candidate alone.
func TestShippedModelBesideACandidate(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	_, err := b.store.Seed(modeltest.Write(t, dir, "a.json", []byte(modeltest.TinyModel)), "", nil)
	must.OK(t, err)
	b.hold("1.1.0")
	newer := strings.Replace(modeltest.TinyModel, "0.5", "0.25", 1)
	_, err = b.store.Seed(modeltest.Write(t, dir, "b.json", []byte(newer)), "", nil)
	must.OK(t, err)
	if held, ok := b.store.Candidate(); !ok || held.Manifest.Version != "1.1.0" {
		t.Errorf("the candidate is %+v", held)
	}
	must.OK(t, b.store.Promote())
}

// A rejection that the disk cannot take counts at once, and after a restart as soon as one file could be written.
func TestRejectionOnAFullDisk(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.hold("1.1.0")
	b.store.disk = disk.Disk{Before: fullAt(disk.OpCreate, currentFile+disk.TempSuffix)}
	if err := b.store.Reject("it finds less"); err == nil {
		t.Fatal("no error")
	}
	if got := state(t, b.store); got != "1.0.0 " {
		t.Fatalf("the models are %q", got)
	}
	b.store.disk = disk.Disk{}
	b.open()
	b.is("1.0.0 ")
}

// A release that knows no candidates ignores one: what it reads, and writes, keeps the active and the previous model.
func TestPointersOfAnOlderRelease(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.install("1.1.0")
	held := b.hold("1.2.0")
	var older struct {
		Format            int
		Current, Previous string
	}
	must.OK(t, readJSON(b.store.path(currentFile), maxStateFile, &older))
	current, _ := b.store.Current()
	previous, _ := b.store.Previous()
	if older.Format != 1 || older.Current != current.ID || older.Previous != previous.ID {
		t.Fatalf("it reads %+v", older)
	}
	// It removes the candidate, and writes the file with its own members when it has to.
	must.OK(t, b.store.Close())
	b.store = nil
	must.OK(t, os.RemoveAll(filepath.Join(b.dir, versionsDir, held.ID)))
	b.open()
	b.is("1.1.0 1.0.0")
}

// A candidate whose key is not trusted any more is not promoted by anybody; nor is an unsigned one where those are not taken any more.
func TestCandidateOfNoTrust(t *testing.T) {
	t.Run("key", func(t *testing.T) {
		b := newBench(t)
		b.install("1.0.0")
		b.hold("1.1.0")
		b.options.Keys = []ed25519.PublicKey{modeltest.PublicOf(modeltest.Key(t, 2))}
		b.open()
		b.is("1.0.0 ")
		if len(b.store.Quarantined()) > 0 || !strings.Contains(b.log.String(), "nothing vouches for the candidate") {
			t.Errorf("quarantine %+v, log %s", b.store.Quarantined(), b.log.String())
		}
		b.options.Keys = append(b.options.Keys, modeltest.PublicOf(b.key))
		b.open()
		b.hold("1.1.0")
	})
	t.Run("unsigned", func(t *testing.T) {
		b := newBench(t)
		b.options.AllowUnsigned = true
		b.open()
		b.install("1.0.0")
		p := modeltest.Publish(t, modeltest.TinyModel, "1.1.0")
		c, err := b.store.Take(b.deliver(nil, p.Archive))
		must.OK(t, err)
		must.OK(t, b.store.Hold(c))
		b.open()
		if _, ok := b.store.Candidate(); !ok {
			t.Fatal("it is not held over a restart")
		}
		b.options.AllowUnsigned = false
		b.open()
		b.is("1.0.0 ")
	})
}
