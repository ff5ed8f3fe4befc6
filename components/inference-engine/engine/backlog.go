package engine

import (
	"sync/atomic"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

const (
	// backlogRoom is how many bytes of rows may wait to be scored.
	backlogRoom = 16 << 20
	// backlogAge is how long a row may wait while a newer one of its thing waits behind it.
	backlogAge = 5 * time.Second
	// rowBytes is what a row takes beside its values, with the room that a queue has to spare, readingBytes what a reading does beside
	// its name, and unreadableBytes what the reason takes why something is none.
	rowBytes, readingBytes, unreadableBytes = 768, 64, 320
	// maxMerged bounds the readings of a row that took over those of others.
	maxMerged = 2 * envelope.MaxFeatures
	// So many lines, of so few rows, are kept to be used again.
	spareLines, spareRows = 64, 64
)

// backlog are the rows that wait to be scored, while more come than can be. Things take turns, each with its oldest row. What
// waits too long, or has no room, gives way to newer rows of its thing. The intake's goroutine owns it.
type backlog struct {
	room       int
	age        time.Duration
	superseded *atomic.Uint64 // rows that gave way

	lines map[string]*line // things with rows that wait
	turns fifo[*line]      // the same, in the order of their turns
	spare []*line          // to be used again
	bytes int
	rows  uint64
}

// line are the rows of a thing.
type line struct {
	thing string
	rows  fifo[waiting]
	bytes int
}

// waiting is a row that waits.
type waiting struct {
	event.Row
	arrived         time.Time
	bytes, readings int // what it takes, and its readings of that
}

// weigh sets what a row takes. Names and texts in it are as long as their sender likes.
func (w *waiting) weigh() {
	w.readings = 0
	for name := range w.Readings {
		w.readings += readingBytes + len(name)
	}
	w.bytes = rowBytes + 4*len(w.Values) + len(w.Schema) + w.readings
	for name := range w.Unreadable {
		w.bytes += unreadableBytes + len(name)
	}
}

func newBacklog() *backlog {
	return &backlog{room: backlogRoom, age: backlogAge, lines: make(map[string]*line)}
}

func (b *backlog) empty() bool { return b.rows == 0 }

// put takes a row in, and makes room if there is none.
func (b *backlog) put(w waiting) {
	l := b.lines[w.Thing]
	if l == nil {
		l = b.begin(w.Thing)
	}
	b.add(l, w)
	if b.bytes > b.room {
		b.makeRoom()
	}
}

func (b *backlog) begin(thing string) *line {
	var l *line
	if last := len(b.spare) - 1; last >= 0 {
		l, b.spare = b.spare[last], b.spare[:last]
	} else {
		l = new(line)
	}
	l.thing = thing
	b.lines[thing] = l
	b.turns.push(l)
	return l
}

// end forgets a thing of which no row waits.
func (b *backlog) end(l *line) {
	delete(b.lines, l.thing)
	if len(b.spare) < spareLines && cap(l.rows.items) <= spareRows {
		b.spare = append(b.spare, l)
	}
}

func (b *backlog) add(l *line, w waiting) {
	w.weigh()
	l.rows.push(w)
	b.rows++
	l.bytes += w.bytes
	b.bytes += w.bytes
}

// take returns the next row: the oldest of the thing whose turn it is. If that waited too long, the newest one takes its place.
func (b *backlog) take(now time.Time) waiting {
	l := b.turns.pop()
	if now.Sub(l.rows.first().arrived) > b.age {
		for l.rows.len() > 1 {
			b.supersede(l)
		}
	}
	w := b.next(l)
	if l.rows.len() > 0 {
		b.turns.push(l)
	} else {
		b.end(l)
	}
	return w
}

// next removes the oldest row of a thing.
func (b *backlog) next(l *line) waiting {
	w := l.rows.pop()
	b.rows--
	l.bytes -= w.bytes
	b.bytes -= w.bytes
	return w
}

// makeRoom drops the oldest rows of things that have more than their share of half the room. The newest of each stays, unless
// even those have no room: then the things that wait longest lose theirs, some more than must, as it looks at all things.
func (b *backlog) makeRoom() {
	share := b.room / 2 / len(b.lines)
	for _, l := range b.lines {
		for l.rows.len() > 1 && l.bytes > share {
			b.supersede(l)
		}
	}
	room := b.room
	if b.bytes > room {
		room -= room / 16
	}
	for b.bytes > room && b.turns.len() > 1 {
		l := b.turns.pop()
		for l.rows.len() > 0 {
			b.supersede(l)
		}
		b.end(l)
	}
}

// supersede drops the oldest row of a thing. Of a row that is a part the next one takes over what it does not have itself.
func (b *backlog) supersede(l *line) {
	old := b.next(l)
	b.superseded.Add(1)
	if old.Err != nil || old.Readings == nil || l.rows.len() == 0 {
		return
	}
	next := l.rows.first()
	if next.Err != nil || next.Readings == nil || len(next.Readings)+len(old.Readings) > maxMerged {
		return
	}
	all, bytes := old.Readings, old.readings
	for name, x := range next.Readings {
		if _, has := all[name]; !has {
			bytes += readingBytes + len(name)
		}
		all[name] = x
	}
	more := bytes - next.readings
	next.Readings, next.readings = all, bytes
	next.bytes += more
	l.bytes += more
	b.bytes += more
}

// fifo is first in, first out, in memory that is used again.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) first() *T { return &q.items[q.head] }

func (q *fifo[T]) push(item T) {
	if q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, item)
}

func (q *fifo[T]) pop() T {
	var none T
	item := q.items[q.head]
	q.items[q.head] = none
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return item
}
