package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/event"
)

func testBacklog(room int) *backlog {
	b := newBacklog()
	b.room, b.superseded = room, new(atomic.Uint64)
	return b
}

func waitingRow(thing string, seq uint64, at time.Time, values int) waiting {
	return waiting{Row: event.Row{Telemetry: event.Telemetry{Thing: thing, Epoch: "a", Seq: seq, Values: make(event.Values, values)}}, arrived: at}
}

// Under a scorer that is much slower than the rows, every thing is scored, as often as the others and in order; what is scored
// is never old, the room is kept, and each row is accounted for. One thing sends a thousand times as much as the others.
func TestThingsTakeTurnsUnderOverload(t *testing.T) {
	const (
		things  = 50
		seconds = 60
		perRow  = 20 * time.Millisecond // 50 rows a second, and 1,000 + 4*49 come
		values  = 168
	)
	b := testBacklog(200 * (rowBytes + 4*values))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var put uint64
	seq, last, scored := make([]uint64, things), make(map[string]uint64), make(map[string]int)
	send := func(thing int, now time.Time) {
		seq[thing]++
		put++
		b.put(waitingRow(fmt.Sprintf("press-%d", thing), seq[thing], now, values))
	}
	var oldest time.Duration
	for ms := range seconds * 1000 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		send(0, now)
		if ms%250 < things && ms%250 > 0 {
			send(ms%250, now)
		}
		if b.bytes > b.room {
			t.Fatalf("%d bytes wait, there is room for %d", b.bytes, b.room)
		}
		if now.Sub(start)%perRow != 0 {
			continue
		}
		w := b.take(now)
		if w.Seq <= last[w.Thing] {
			t.Fatalf("row %d of %s comes after row %d", w.Seq, w.Thing, last[w.Thing])
		}
		last[w.Thing], oldest = w.Seq, max(oldest, now.Sub(w.arrived))
		scored[w.Thing]++
	}
	most, least, sum := 0, seconds*1000, uint64(0)
	for i := range things {
		n := scored[fmt.Sprintf("press-%d", i)]
		most, least, sum = max(most, n), min(least, n), sum+uint64(n)
	}
	if most-least > 3 || least < seconds-2 {
		t.Errorf("of one thing %d rows are scored, of another %d", most, least)
	}
	if sum+b.superseded.Load()+b.rows != put || b.superseded.Load() == 0 {
		t.Errorf("%d rows came, %d were scored, %d gave way, %d wait", put, sum, b.superseded.Load(), b.rows)
	}
	if turn := things * perRow; oldest > backlogAge+turn {
		t.Errorf("a row was scored %v after it came", oldest)
	}
}

// The newest row of a thing gives way to nothing but newer ones, whatever comes; order is kept.
func TestTheNewestRowStays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := testBacklog(100 * (rowBytes + 40))
	newest, last := make(map[string]uint64), make(map[string]uint64)
	var put, taken uint64
	for range 100_000 {
		now = now.Add(time.Duration(random.IntN(300)) * time.Millisecond)
		if thing := fmt.Sprint(random.IntN(40)); random.IntN(4) > 0 || b.empty() {
			put++
			newest[thing] = put
			b.put(waitingRow(thing, put, now, random.IntN(10)))
			continue
		}
		w := b.take(now)
		taken++
		if w.Seq <= last[w.Thing] {
			t.Fatalf("row %d of %s after %d", w.Seq, w.Thing, last[w.Thing])
		}
		last[w.Thing] = w.Seq
	}
	if put != taken+b.rows+b.superseded.Load() {
		t.Errorf("%d rows came, %d were taken, %d gave way, %d wait", put, taken, b.superseded.Load(), b.rows)
	}
	for !b.empty() {
		w := b.take(now)
		last[w.Thing] = w.Seq
	}
	if b.bytes != 0 || len(b.lines) != 0 || b.turns.len() != 0 {
		t.Errorf("nothing waits, in %d bytes, %d lines, %d turns", b.bytes, len(b.lines), b.turns.len())
	}
	for thing, seq := range newest {
		if last[thing] != seq {
			t.Errorf("of %s row %d was scored last, %d came last", thing, last[thing], seq)
		}
	}
}

// With more things than there is room for a row of each, those that wait longest lose theirs, and all is counted.
func TestMoreThingsThanThereIsRoomFor(t *testing.T) {
	b := testBacklog(10 * rowBytes)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 25 {
		b.put(waitingRow(fmt.Sprint(i), 1, now, 0))
		b.put(waitingRow(fmt.Sprint(i), 2, now, 0))
	}
	if b.bytes > b.room || b.rows+b.superseded.Load() != 50 {
		t.Errorf("%d bytes, %d rows, %d gave way", b.bytes, b.rows, b.superseded.Load())
	}
	for i := 25 - len(b.lines); i < 25; i++ {
		if w := b.take(now.Add(backlogAge + 1)); w.Thing != fmt.Sprint(i) || w.Seq != 2 {
			t.Errorf("row %d of %s, want the newest of %d", w.Seq, w.Thing, i)
		}
	}
	b.put(waitingRow("large", 1, now, 10_000)) // larger than all the room, it is taken alone
	if w := b.take(now); w.Thing != "large" || !b.empty() || b.bytes != 0 {
		t.Errorf("%s", w.Thing)
	}
}

// A part of a row that gives way leaves its readings to the next part, which has its own.
func TestPartsThatGiveWayAreKept(t *testing.T) {
	b := testBacklog(1 << 20)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, r := range []event.Readings{{"a": 1, "b": 1}, {"b": 2, "c": 2}, {"c": 3}} {
		b.put(waiting{Row: event.Row{Telemetry: event.Telemetry{Thing: "press-1", Epoch: "a", Seq: uint64(i + 1), Readings: r}}, arrived: now})
	}
	w := b.take(now.Add(backlogAge + 1))
	if w.Seq != 3 || len(w.Readings) != 3 || w.Readings["a"] != 1 || w.Readings["b"] != 2 || w.Readings["c"] != 3 {
		t.Errorf("row %d has %v", w.Seq, w.Readings)
	}
	if b.bytes != 0 || b.superseded.Load() != 2 {
		t.Errorf("%d bytes, %d gave way", b.bytes, b.superseded.Load())
	}
}

// What a sender makes long counts as long: names of readings, what is no number, and a schema. Parts that are merged count once.
func TestLongNamesTakeRoom(t *testing.T) {
	const rows, long = 1000, 5000
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, row := range map[string]event.Telemetry{
		"readings":   {Readings: event.Readings{strings.Repeat("r", long): 1}},
		"unreadable": {Readings: event.Readings{"a": 1}, Unreadable: map[string]*event.InvalidError{strings.Repeat("u", long): {}}},
		"schema":     {Values: event.Values{1}, Schema: strings.Repeat("s", long)},
	} {
		b := testBacklog(100 * long)
		for i := range rows {
			row.Thing = fmt.Sprint(i)
			b.put(waiting{Row: event.Row{Telemetry: row}, arrived: now})
		}
		if b.rows*long > uint64(b.room) || b.rows == 0 || b.rows+b.superseded.Load() != rows {
			t.Errorf("%d rows with long %s wait in %d bytes, %d gave way", b.rows, what, b.room, b.superseded.Load())
		}
	}
	b := testBacklog(1 << 30)
	for i := range rows {
		r := event.Readings{strings.Repeat("r", long): 1, fmt.Sprint(i % 2): 1}
		b.put(waiting{Row: event.Row{Telemetry: event.Telemetry{Thing: "press-1", Readings: r}}, arrived: now})
	}
	for l := b.lines["press-1"]; l.rows.len() > 1; {
		b.supersede(l)
	}
	if want := rowBytes + 3*readingBytes + long + 2; b.bytes != want {
		t.Errorf("%d bytes, want %d", b.bytes, want)
	}
	if b.take(now); b.bytes != 0 {
		t.Errorf("%d bytes of nothing", b.bytes)
	}
}

// With more things than there is room for a row of each, the backlog does not look at all of them for each row.
func TestRoomIsMadeForSeveralRows(t *testing.T) {
	const things = 1600
	b := testBacklog(things * rowBytes)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made := 0
	for i := range 4 * things {
		before := b.superseded.Load()
		b.put(waitingRow(fmt.Sprint(i), 1, now, 0))
		if b.superseded.Load() > before {
			made++
		}
	}
	if made == 0 || made > 3*16+1 {
		t.Errorf("room was made %d times for %d rows", made, 3*things)
	}
}
