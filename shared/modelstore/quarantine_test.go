package modelstore

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
)

func TestQuarantineIsBounded(t *testing.T) {
	b := newBench(t)
	note := func(name string, reason Reason, final bool) string {
		t.Helper()
		e := Entry{Source: envelope.HashOf([]byte(name)), Reason: reason, Detail: strings.Repeat("x", 1000), Final: final}
		if err := b.store.note(e); err != nil {
			t.Fatal(err)
		}
		return e.Source
	}
	// fill notes many entries at the cost of one write.
	fill := func(prefix string, n int, reason Reason, final bool) {
		t.Helper()
		b.store.disk.Before = (&modeltest.Killer{}).Before
		for i := range n {
			_ = b.store.note(Entry{Source: envelope.HashOf(fmt.Append(nil, prefix, i)), Reason: reason, Detail: strings.Repeat("x", 1000), Final: final})
		}
		b.store.disk.Before = nil
	}
	back, bad := note("back", ReasonRolledBack, true), note("bad", ReasonGolden, true)
	fill("signature", maxEntries+50, ReasonSignature, false)
	last := note("last", ReasonSignature, false)
	b.open()
	q := b.store.Quarantined()
	if len(q) != maxEntries || q[0].Source != back || q[1].Source != bad || q[len(q)-1].Source != last || len(q[2].Detail) > maxDetail+3 {
		t.Errorf("%d entries, from %+v to %+v", len(q), q[0], q[len(q)-1])
	}
	// What a trusted manifest follows from pushes out its like, and never what was rolled back.
	fill("final", 2*maxEntries, ReasonArchive, true)
	if q := b.store.Quarantined(); len(q) != maxEntries || q[0].Source != back || slices.ContainsFunc(q, func(e Entry) bool { return !e.Final || e.Source == bad }) {
		t.Errorf("%d entries, from %+v", len(q), q[0])
	}
	// Anyone can make a bad signature: it pushes out nothing that was found.
	before := b.store.Quarantined()
	note("late", ReasonSignature, false)
	if after := b.store.Quarantined(); !slices.Equal(after, before) {
		t.Errorf("pushed out: from %+v to %+v", after[0], after[len(after)-1])
	}
}

// A quarantine that could not be written is written with the next delivery, or when the store is closed.
func TestQuarantineIsWrittenLater(t *testing.T) {
	for name, later := range map[string]func(b *bench, d inbox.Delivery){
		"with the next delivery": func(b *bench, d inbox.Delivery) {
			_, err := b.store.Take(d)
			modeltest.Wants(b.t, err, ErrQuarantined, "too slow")
			b.store.disk.Before = (&modeltest.Killer{}).Before // the process ends
		},
		"when it is closed": func(*bench, inbox.Delivery) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.install("1.0.0")
			d := b.deliverVersion("1.1.0")
			b.takes(d)
			b.store.disk.Before = fullAt(disk.OpCreate, quarantineFile+disk.TempSuffix)
			if _, err := b.store.Rollback("too slow"); err != nil {
				t.Fatal(err)
			}
			b.store.disk.Before = nil
			later(b, d)
			b.open()
			_, err := b.store.Take(d)
			modeltest.Wants(t, err, ErrQuarantined, "too slow")
		})
	}
}

// A rollback that cannot be written leaves the bad model active. It is never what a later rollback goes back to.
func TestRolledBackModelIsNoPrevious(t *testing.T) {
	b := newBench(t)
	b.install("1.0.0")
	b.install("1.1.0")
	b.store.disk.Before = fullAt(disk.OpCreate, currentFile+disk.TempSuffix)
	_, err := b.store.Rollback("too slow")
	modeltest.Wants(t, err, syscall.ENOSPC, "")
	if i, _ := b.store.Current(); i.Manifest.Version != "1.1.0" {
		t.Errorf("active is %s", i.ID)
	}
	b.store.disk.Before = nil
	b.install("1.2.0")
	b.active("1.2.0", "1.0.0")
}
