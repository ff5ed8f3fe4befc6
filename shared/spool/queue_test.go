package spool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

// TestRoundTrip: what goes in comes out, over a restart too, with its id and time (F3), in order (F4).
func TestRoundTrip(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		records := []Record{
			{},
			{Time: -1, Stream: strings.Repeat("s", MaxStream), ID: strings.Repeat("i", MaxID), Payload: make([]byte, MaxPayload)},
			{Time: 1<<63 - 1, Stream: "alert", ID: "é", Payload: []byte("\x00\xff")},
			{Time: -1 << 63, Payload: []byte(marker + marker)},
		}
		must.OK(t, q.Append(t.Context(), records...))
		for _, replayed := range []bool{false, true} {
			got, err := q.Peek(10, 1<<30)
			if err != nil || len(got) != len(records) {
				t.Fatalf("peek: %d records, %v", len(got), err)
			}
			for i, r := range got {
				want := records[i]
				want.Seq, want.Replayed = uint64(i+1), replayed
				want.Payload = append([]byte{}, want.Payload...)
				if !reflect.DeepEqual(r, want) {
					t.Fatalf("record %d: got %.200v, want %.200v", i, r, want)
				}
			}
			closeQueue(t, q)
			q = at.open(t, Options{})
		}
	})
}

func TestPeekBounds(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{SegmentSize: minSegmentSize})
		if records, err := q.Peek(10, 10); err != nil || records != nil {
			t.Fatalf("empty queue: %v, %v", records, err)
		}
		for i := range 200 {
			must.OK(t, q.Append(t.Context(), Record{ID: fmt.Sprint(i), Payload: make([]byte, 100)}))
		}
		for _, c := range []struct{ after, records, bytes, want int }{
			{0, 0, 1000, 0},
			{0, 1, 0, 1},    // one at least
			{0, 50, -1, 1},  // also here
			{0, 50, 99, 1},  // and here
			{0, 50, 299, 2}, // 300 would be too much
			{0, 50, 300, 3},
			{0, 150, 1 << 30, 150}, // over several segments
			{0, math.MaxInt, math.MaxInt, 200},
			{150, 7, 1 << 30, 7},
			{190, 50, 1 << 30, 10},
			{200, 50, 1 << 30, 0},
			{1000, 50, 1 << 30, 0},
			{3, 2, 1 << 30, 2}, // back again
		} {
			records, err := q.PeekAfter(uint64(c.after), c.records, c.bytes)
			if err != nil || len(records) != c.want {
				t.Fatalf("%+v: %d records, %v", c, len(records), err)
			}
			for i, r := range records {
				if r.Seq != uint64(c.after+i+1) || r.ID != fmt.Sprint(c.after+i) {
					t.Fatalf("%+v: record %d is %d, %q", c, i, r.Seq, r.ID)
				}
			}
		}
	})
}

// TestAck: nothing is removed but by Ack (F2), segments go when all of them is acknowledged, in every kind of step.
func TestAck(t *testing.T) {
	for _, step := range []int{1, 7, 64, 1000} {
		onBoth(t, fmt.Sprint("step ", step, ", "), func(t *testing.T, at site) {
			o := Options{SegmentSize: minSegmentSize}
			q := at.open(t, o)
			fill(t, q, 1, 300)
			segments := look(q).segments
			for acked := 0; acked < 300; {
				// A window of records in flight, of which a part is acknowledged.
				records, err := q.Peek(2*step, 1<<20)
				if err != nil || number1(t, records[0]) != acked+1 {
					t.Fatalf("after %d: %v %v", acked, records, err)
				}
				acked = min(acked+step, 300)
				must.OK(t, q.Ack(uint64(acked)))
				s := look(q)
				if s.Depth != uint64(300-acked) || s.segments > segments {
					t.Fatalf("after %d: %+v", acked, s)
				}
				segments = s.segments
				if acked < 300 && s.Oldest != message(acked+1).Time || acked == 300 && s.Oldest != 0 {
					t.Fatalf("oldest after %d: %d", acked, s.Oldest)
				}
				if acked%5 == 0 {
					closeQueue(t, q)
					q = at.open(t, o)
					segments = look(q).segments
					equal(t, "after a restart", ids(t, q), span(acked+1, 300))
					if q.Acked() != uint64(acked) {
						t.Fatalf("acked %d, want %d", q.Acked(), acked)
					}
				}
			}
			if n := at.segments(t); n != 1 || segments != 1 {
				t.Fatalf("%d files, %d segments", n, segments)
			}
			must.OK(t, q.Ack(10)) // again
			if err := q.Ack(301); !errors.Is(err, ErrSequence) {
				t.Fatalf("ack of what is not there: %v", err)
			}
		})
	}
}

// TestAckBeforePeek: acknowledging needs no peek, and skips whole segments.
func TestAckBeforePeek(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{SegmentSize: minSegmentSize})
		fill(t, q, 1, 300)
		if records, err := q.PeekAfter(0, 250, 1<<30); err != nil || len(records) != 250 {
			t.Fatal(err)
		}
		for _, seq := range []int{5, 120, 121, 299} { // within segments that were read, and behind
			must.OK(t, q.Ack(uint64(seq)))
			equal(t, "rest", ids(t, q), span(seq+1, 300))
		}
		if s := look(q); s.damaged != 0 || s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}

// TestSequenceSurvives: sequence numbers go on when all is acknowledged and no segment is left.
func TestSequenceSurvives(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		fill(t, q, 1, 10)
		must.OK(t, q.Ack(10))
		closeQueue(t, q)
		must.OK(t, at.faults.Remove(q.path(q.segments[0])))
		q = at.open(t, Options{})
		fill(t, q, 11, 20)
		equal(t, "records", ids(t, q), span(11, 20))
		if s := q.Stats(); q.last != 20 || s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}

// TestReplayed: a resend is marked (F3), also one by the next process; what was never handed out is not, but for at most
// handedAhead records after a crash.
func TestReplayed(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		const n = 2 * handedAhead
		fill(t, q, 1, n)
		marked := func(q *Queue) (replayed []bool) {
			records, err := q.Peek(n, 1<<30)
			if err != nil || len(records) != n {
				t.Fatalf("%d records, %v", len(records), err)
			}
			for _, r := range records {
				replayed = append(replayed, r.Replayed)
			}
			return replayed
		}
		if _, err := q.Peek(10, 1<<20); err != nil {
			t.Fatal(err)
		}
		after := at.killed(t)
		crashed := after.open(t, Options{})
		if m := marked(crashed); slices.Index(m, false) < 10 || slices.Index(m, false) > 10+handedAhead {
			t.Fatalf("after a crash, not marked from %d on", slices.Index(m, false))
		}
		again := after.killed(t).open(t, Options{}) // all was handed out; what comes now was not
		fill(t, again, n+1, n+3)
		if r, err := again.PeekAfter(n-1, 10, 1<<20); err != nil || len(r) != 4 || !r[0].Replayed || r[1].Replayed || r[3].Replayed {
			t.Fatalf("new after a crash: %v, %v", r, err)
		}
		closeQueue(t, q)
		q = at.open(t, Options{})
		if m := marked(q); slices.Index(m, false) != 10 || slices.Contains(m[10:], true) {
			t.Fatalf("after a restart, not marked from %d on", slices.Index(m, false))
		}
	})
}

func TestWait(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Wait(ended, 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("empty queue: %v", err)
		}
		waited := make(chan error)
		go func() { waited <- q.Wait(t.Context(), 0) }()
		fill(t, q, 1, 1)
		must.OK(t, <-waited)
		must.OK(t, q.Wait(ended, 0))                                    // there is something: no matter that ctx has ended
		if err := q.Wait(ended, 1); !errors.Is(err, context.Canceled) { // it was peeked
			t.Fatal(err)
		}
		must.OK(t, q.Ack(1))
		if err := q.Wait(ended, 0); !errors.Is(err, context.Canceled) { // it is acknowledged
			t.Fatal(err)
		}
		go func() { waited <- q.Wait(t.Context(), 1) }()
		closeQueue(t, q)
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Fatalf("closed: %v", err)
		}
	})
}

func TestClosed(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		fill(t, q, 1, 3)
		closeQueue(t, q)
		closeQueue(t, q)
		_, peek := q.Peek(1, 1)
		_, async := q.AppendAsync(t.Context(), message(4))
		for i, err := range []error{peek, async, q.Append(t.Context(), message(4)), q.Ack(1), q.Wait(t.Context(), 0)} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if s := q.Stats(); s.Depth != 3 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestLocked(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		if _, err := Open(at.dir, Options{files: at.faults}); !errors.Is(err, durable.ErrLocked) {
			t.Fatalf("second open: %v", err)
		}
		closeQueue(t, q)
		closeQueue(t, at.open(t, Options{}))
	})
}

func TestRefused(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{})
		for _, r := range []Record{
			{Payload: make([]byte, MaxPayload+1)},
			{ID: strings.Repeat("i", MaxID+1)},
			{Stream: strings.Repeat("s", MaxStream+1)},
		} {
			if err := q.Append(t.Context(), message(1), r); !errors.Is(err, ErrRecord) {
				t.Errorf("got %v", err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Append(ended, message(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("ended: %v", err)
		}
		if err := q.Append(t.Context()); err != nil {
			t.Errorf("nothing: %v", err)
		}
		if s := q.Stats(); s.Depth != 0 || q.last != 0 {
			t.Errorf("stats: %+v", s)
		}
		for _, o := range []Options{{GroupCommit: -1}, {SegmentSize: -1}, {MaxBytes: 100}, {MaxPending: -1}, {QuarantineBytes: -1}} {
			if _, err := Open(t.TempDir(), o); err == nil {
				t.Errorf("%+v: no error", o)
			}
		}
	})
}

// TestConcurrent runs producers, a consumer and readers of statistics at once: all comes, each producer's in order.
func TestConcurrent(t *testing.T) {
	onBoth(t, "", func(t *testing.T, at site) {
		q := at.open(t, Options{SegmentSize: 16 << 10, MaxPending: 8 << 10})
		const producers, each = 8, 150
		var group sync.WaitGroup
		for p := range producers {
			group.Go(func() {
				var receipts []*Receipt
				for i := range each {
					r := Record{Stream: fmt.Sprint(p), ID: fmt.Sprint(i), Payload: make([]byte, 300)}
					if i%3 == 0 {
						if err := q.Append(t.Context(), r); err != nil {
							t.Error(err)
						}
						continue
					}
					receipt, err := q.AppendAsync(t.Context(), r)
					if err != nil {
						t.Error(err)
						return
					}
					receipts = append(receipts, receipt)
				}
				for _, r := range receipts {
					if err := r.Err(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for {
				select {
				case <-done:
					return
				default:
					q.Stats()
				}
			}
		}()
		next := make(map[string]int)
		for total := 0; total < producers*each; {
			must.OK(t, q.Wait(t.Context(), 0))
			records, err := q.Peek(50, 10_000)
			must.OK(t, err)
			for _, r := range records {
				if r.ID != fmt.Sprint(next[r.Stream]) {
					t.Fatalf("stream %s: got %s, want %d", r.Stream, r.ID, next[r.Stream])
				}
				next[r.Stream]++
			}
			total += len(records)
			must.OK(t, q.Ack(records[len(records)-1].Seq))
		}
		group.Wait()
		close(done)
		<-watched
		if s := q.Stats(); s.Depth != 0 || q.last != producers*each || s.LostRecords != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}
