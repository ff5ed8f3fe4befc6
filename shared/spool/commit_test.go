package spool

import (
	"context"
	"errors"
	"testing"
	"time"

	"edgepdm/test/must"
)

// gate blocks the syncs of segments until the test lets them go.
type gate struct {
	entered chan struct{} // a sync has begun
	leave   chan error    // how it ends
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan error)} }

func (g *gate) fail(op, name string, n int) (int, error) {
	if op != "sync" || !segmentFile(name) {
		return n, nil
	}
	g.entered <- struct{}{}
	return n, <-g.leave
}

// receipts appends messages from..to, each by itself, without waiting.
func receipts(t *testing.T, q *Queue, from, to int) (all []*Receipt) {
	t.Helper()
	for i := from; i <= to; i++ {
		r, err := q.AppendAsync(t.Context(), message(i))
		must.OK(t, err)
		all = append(all, r)
	}
	return all
}

func answered(r *Receipt) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// TestSharedSync: what comes while a sync is under way shares the next one, and no answer comes before the sync (F1).
func TestSharedSync(t *testing.T) {
	f, g := newFaults(), newGate()
	q := open(t, t.TempDir(), Options{files: f})
	before := f.count("sync")
	f.set(g.fail)
	first := receipts(t, q, 1, 1)
	<-g.entered
	rest := receipts(t, q, 2, 100)
	if answered(first[0]) {
		t.Fatal("answered before the sync")
	}
	if records, err := q.Peek(1, 1); err != nil || len(records) != 0 {
		t.Fatalf("a record that is not synced was handed out: %v, %v", records, err)
	}
	g.leave <- nil
	<-g.entered
	must.OK(t, first[0].Err())
	for _, r := range rest {
		if answered(r) {
			t.Fatal("answered before the sync")
		}
	}
	g.leave <- nil
	for _, r := range rest {
		must.OK(t, r.Err())
	}
	f.set(nil)
	if n := f.count("sync") - before; n != 2 {
		t.Fatalf("%d syncs", n)
	}
	equal(t, "records", ids(t, q), span(1, 100))
}

// TestGroupCommit: with a group commit nothing is written until its time has passed; then one sync is enough. Close, and
// a full buffer, do not wait.
func TestGroupCommit(t *testing.T) {
	f := newFaults()
	asked, clock := make(chan time.Duration, 1), make(chan time.Time)
	dir := t.TempDir()
	o := Options{files: f, GroupCommit: 200 * time.Millisecond, MaxPending: 10_000, After: func(d time.Duration) <-chan time.Time {
		select {
		case asked <- d:
		default:
		}
		return clock
	}}
	q := open(t, dir, o)
	syncs := f.count("sync")
	all := receipts(t, q, 1, 50)
	if d := <-asked; d != 200*time.Millisecond {
		t.Fatalf("waits %v", d)
	}
	if f.count("sync") != syncs || answered(all[0]) {
		t.Fatal("synced before the time has passed")
	}
	clock <- time.Time{}
	for _, r := range all {
		must.OK(t, r.Err())
	}
	if n := f.count("sync") - syncs; n != 1 {
		t.Fatalf("%d syncs", n)
	}
	// More than MaxPending: the clock stands still, and yet it ends.
	for _, r := range receipts(t, q, 51, 300)[:100] {
		must.OK(t, r.Err())
	}
	closeQueue(t, q)
	q = open(t, dir, Options{})
	equal(t, "records", ids(t, q), span(1, 300))
}

// TestBackPressure: Append blocks while too much waits, until its context ends.
func TestBackPressure(t *testing.T) {
	f, g := newFaults(), newGate()
	q := open(t, t.TempDir(), Options{files: f, MaxPending: 1000})
	f.set(g.fail)
	first := receipts(t, q, 1, 1)
	<-g.entered
	second := receipts(t, q, 2, 2)
	big := message(3)
	big.Payload = make([]byte, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	blocked := make(chan error)
	go func() { blocked <- q.Append(ctx, big) }()
	cancel()
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Fatalf("blocked: %v", err)
	}
	go func() { blocked <- q.Append(t.Context(), big) }()
	g.leave <- nil // the first; the second makes room
	<-g.entered
	must.OK(t, first[0].Err())
	g.leave <- nil
	<-g.entered
	must.OK(t, second[0].Err())
	g.leave <- nil
	must.OK(t, <-blocked)
	f.set(nil)
	if s := q.Stats(); s.Depth != 3 {
		t.Fatalf("stats: %+v", s)
	}
}

// TestAppendContext: the context ends the waiting, not the writing.
func TestAppendContext(t *testing.T) {
	f, g := newFaults(), newGate()
	q := open(t, t.TempDir(), Options{files: f})
	f.set(g.fail)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- q.Append(ctx, message(1)) }()
	<-g.entered
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	g.leave <- nil
	must.OK(t, q.Wait(t.Context(), 0))
	f.set(nil)
	equal(t, "records", ids(t, q), span(1, 1))
}

// TestCloseWrites: Close answers every append that was accepted before it.
func TestCloseWrites(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{GroupCommit: time.Hour})
	all := receipts(t, q, 1, 20)
	closeQueue(t, q)
	for _, r := range all {
		must.OK(t, r.Err())
	}
	q = open(t, dir, Options{})
	equal(t, "records", ids(t, q), span(1, 20))
}
