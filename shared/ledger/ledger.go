// Package ledger remembers the last sequence numbers of every thing on disk, so that messages which never arrived are
// counted, also those that were published while the component was not running.
package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/event"
)

// Ledger is a file with one fixed slot a thing, written by one pwrite for each message that was handled, or for several together:
// what a killed process has written stays. It is not synced: after a loss of power a gap may be counted wrong, nothing else. Its methods
// may be called from several goroutines.
type Ledger struct {
	file  *os.File // nil: in memory only
	limit int      // things
	now   func() time.Time
	path  string // of a file that is to be opened again by State; "": there is none

	mu     sync.Mutex
	things map[string]*slot
	free   []int64 // places in the file that no thing has
	image  []byte  // what the file has, once all is written
	dirty  []int64 // places of records in image that are to be written

	opened  time.Time // when the file was
	damaged int       // slots of it
}

// forgetAfter is how long a thing has to be silent until, in a full ledger, another may take its place.
const forgetAfter = 24 * time.Hour

// MaxThings is the most things that a ledger may have.
const MaxThings = 10_000

// Errors that callers branch on.
var (
	// ErrFull is returned for a thing beyond the limit, while none of the others was silent for a day: nothing is remembered
	// of it.
	ErrFull = errors.New("too many things")
	// ErrFormat is returned by Open for a file of another version, which is left as it is.
	ErrFormat = errors.New("written by another version")
)

// damageTold is how long it is told that the file was damaged.
const damageTold = 24 * time.Hour

// Open opens or creates the ledger at path for at most limit things. What was torn or damaged is forgotten, which State tells; a
// file of a format that is not known is refused and left alone.
func Open(path string, limit int) (*Ledger, error) {
	l := Memory(limit)
	if err := l.open(path); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, err)
	}
	l.opened = l.now()
	return l, nil
}

// Begin is Open, or where that fails a ledger in memory whose file State opens once that is possible.
func Begin(path string, limit int) *Ledger {
	l, err := Open(path, limit)
	if err != nil {
		l = Memory(limit)
		l.path = path
	}
	return l
}

// State says what is wrong with the file: that it cannot be opened, which is tried again, or for a day that it was damaged.
func (l *Ledger) State() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" {
		if err := l.resume(); err != nil {
			return fmt.Errorf("what is lost while the component is down is not counted: %w", err)
		}
	}
	if l.damaged > 0 && l.now().Sub(l.opened).Abs() < damageTold {
		return fmt.Errorf("the last numbers of %d things were damaged: what was lost while the component was down is not counted for them", l.damaged)
	}
	return nil
}

// resume goes on in the file. The numbers that were heard meanwhile stand above those of the file. mu is held.
func (l *Ledger) resume() error {
	kept, err := Open(l.path, l.limit)
	if err != nil {
		return err
	}
	l.path, l.file, l.free, l.image, l.opened, l.damaged = "", kept.file, kept.free, kept.image, l.now(), kept.damaged
	for name, s := range kept.things {
		switch heard := l.things[name]; {
		case heard != nil:
			heard.offset = s.offset
		case len(l.things) < l.limit:
			l.things[name] = s
		default:
			l.free = append(l.free, s.offset)
		}
	}
	return nil
}

// Memory returns a ledger without a file.
func Memory(limit int) *Ledger {
	return &Ledger{limit: limit, now: time.Now, things: make(map[string]*slot)}
}

// Admits reports whether messages of the thing can be recorded.
func (l *Ledger) Admits(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.things[thing] != nil || len(l.things) < l.limit || l.silent() != ""
}

// silent returns the thing that was silent longest, if that is long enough to forget it; "" otherwise. mu is held.
func (l *Ledger) silent() string {
	name, heard := "", l.now().Add(-forgetAfter)
	for thing, s := range l.things {
		if s.heard.Before(heard) {
			name, heard = thing, s.heard
		}
	}
	return name
}

// add returns a slot for another thing; nil when there is none. mu is held.
func (l *Ledger) add(thing string) *slot {
	s := &slot{}
	if len(l.things) >= l.limit {
		silent := l.silent()
		if silent == "" {
			return nil
		}
		s.offset = l.things[silent].offset
		delete(l.things, silent)
	}
	l.things[thing] = s
	return s
}

// Knows reports whether a message of the thing was recorded before.
func (l *Ledger) Knows(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.things[thing] != nil
}

// Gap is what a message's number tells of others.
type Gap struct {
	Missed   uint64 // so many before it have not arrived
	Unheard  uint64 // so many were numbered before the first one that was ever heard of its sender
	Repeated bool   // it is not newer than the last one, and none that was missed
	Late     bool   // it was counted as missed, and has come after all
	Jump     bool   // it is too far from the others to say what is between: another sequence begins with it
	Twin     bool   // two sequences go on in turn: there are two senders under the thing's name
	Resumed  bool   // it is the first of its sequence since Open: what it misses may have been lost before
}

// New reports whether the message is newer than the others of its sequence.
func (g Gap) New() bool { return !g.Repeated && !g.Late }

// Tally brings the counter of missed messages up to date: one that comes late was counted before.
func (g Gap) Tally(missed *atomic.Uint64) {
	missed.Add(g.Missed)
	if g.Late {
		missed.Add(^uint64(0))
	}
}

// Record records a message, numbered from 1 in its epoch, and returns what its number tells. It is Observe and Commit in one.
func (l *Ledger) Record(thing, epoch string, seq uint64) (Gap, error) {
	g, err := l.Observe(thing, epoch, seq)
	if err != nil || !g.New() {
		return g, err
	}
	return g, l.Commit(thing, epoch, seq)
}

// Observe does what Record does in memory only: a message that was heard and is lost with the process, before Commit, is counted
// as missed by the next one. A message that is not new moves nothing. The only error is ErrFull.
func (l *Ledger) Observe(thing, epoch string, seq uint64) (Gap, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.things[thing]
	if s == nil {
		if s = l.add(thing); s == nil {
			return Gap{}, ErrFull
		}
	}
	now := l.now()
	s.heard = now
	if epoch == event.ShadowEpoch {
		return s.hearShadow(seq), nil
	}
	return s.hear(epoch, seq, now), nil
}

// Commit puts the number of a message that was heard, and is new, into the file. It is called in the order of Observe for each
// thing.
func (l *Ledger) Commit(thing, epoch string, seq uint64) error {
	return l.CommitAll(Number{thing, epoch, seq})
}

// Number is that of a message.
type Number struct {
	Thing, Epoch string
	Seq          uint64
}

// CommitAll is Commit for several messages, with fewer writes: things that were first heard one after the other are side by side.
func (l *Ledger) CommitAll(numbers ...Number) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	for _, n := range numbers {
		s := l.things[n.Thing]
		if s == nil {
			continue
		}
		switch i := s.find(n.Epoch, n.Seq); {
		case i < 0, len(n.Epoch) > event.MaxEpoch: // other sequences took its place meanwhile; or it is none
		case s.named:
			l.note(s, n.Thing, i, n.Seq)
		default:
			err = cmp.Or(err, l.enter(s, n.Thing, i, n.Seq))
		}
	}
	return cmp.Or(err, l.flush())
}

// Close closes the file.
func (l *Ledger) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
