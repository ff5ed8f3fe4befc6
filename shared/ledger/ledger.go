// Package ledger remembers the last sequence number of every thing on disk, so that messages which never arrived are
// counted, also those that were published while the component was not running.
package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// Ledger is a file with one fixed slot a thing, written by one pwrite for each message that was handled: what a killed
// process has written stays. It is not synced: after a loss of power a gap may be counted wrong, nothing else. Its methods
// may be called from several goroutines.
type Ledger struct {
	file  *os.File // nil: in memory only
	limit int      // things
	now   func() time.Time

	mu     sync.Mutex
	things map[string]*slot
}

type slot struct {
	offset int64 // of the slot's position, in the file; 0: it has no place yet
	named  bool  // the file has the thing's name there; not yet, where the thing took the place of another
	epoch  string
	seq    uint64
	heard  time.Time
}

// forgetAfter is how long a thing has to be silent until, in a full ledger, another may take its place.
const forgetAfter = 24 * time.Hour

// The file: an 8-byte magic that ends in the format version, then slots of a name (length, 128 bytes) and a position (epoch's
// length, 16 bytes, seq as big-endian u64).
const (
	magic   = "EPDMSEQ1"
	nameLen = 1 + 128
	posLen  = 1 + event.MaxEpoch + 8
	slotLen = nameLen + posLen
	maxFile = int64(len(magic)) + MaxThings*slotLen
)

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

// Open opens or creates the ledger at path for at most limit things. A slot that was torn or spoilt is forgotten; a file of
// another format is refused and left alone.
func Open(path string, limit int) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := Memory(limit)
	l.file = f
	if err := l.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return l, nil
}

// Memory returns a ledger without a file.
func Memory(limit int) *Ledger {
	return &Ledger{limit: limit, now: time.Now, things: make(map[string]*slot)}
}

func (l *Ledger) load() error {
	data, err := io.ReadAll(io.LimitReader(l.file, maxFile))
	if err != nil {
		return err
	}
	if len(data) < len(magic) { // new, or killed while it was made
		if err := l.file.Truncate(0); err != nil {
			return err
		}
		_, err := l.file.WriteAt([]byte(magic), 0)
		return err
	}
	if !bytes.HasPrefix(data, []byte(magic)) {
		return ErrFormat
	}
	for at := len(magic); at+slotLen <= len(data); at += slotLen {
		b := data[at : at+slotLen]
		pos := b[nameLen:]
		nameN, epochN := int(b[0]), int(pos[0])
		if nameN >= nameLen || epochN > event.MaxEpoch {
			continue
		}
		name, epoch := string(b[1:1+nameN]), string(pos[1:1+epochN])
		if event.CheckName(name) != nil || event.CheckEpoch(epoch) != nil {
			continue
		}
		l.things[name] = &slot{
			offset: int64(at + nameLen), named: true, epoch: epoch, seq: binary.BigEndian.Uint64(pos[1+event.MaxEpoch:]), heard: l.now(),
		}
	}
	return nil
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

// Gap is what a message's number tells of those before it.
type Gap struct {
	Missed   uint64 // between it and the last one of its thing: they never arrived
	Unheard  uint64 // of its epoch before the first one that was ever heard of its thing
	Repeated bool   // it is not newer than the last one
}

// Note records a message, numbered from 1 in its epoch, and returns what its number tells. It is Hear and Keep in one.
func (l *Ledger) Note(thing, epoch string, seq uint64) (Gap, error) {
	g, err := l.Hear(thing, epoch, seq)
	if err != nil || g.Repeated {
		return g, err
	}
	return g, l.Keep(thing, epoch, seq)
}

// Hear does what Note does in memory only: a message that was heard and is lost with the process, before Keep, is counted
// as missed by the next one. A repeated message moves nothing. The only error is ErrFull.
func (l *Ledger) Hear(thing, epoch string, seq uint64) (Gap, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var g Gap
	s, known := l.things[thing]
	if !known {
		if s = l.add(thing); s == nil {
			return g, ErrFull
		}
	}
	s.heard = l.now()
	switch {
	case !known:
		if epoch != event.ShadowEpoch {
			g.Unheard = seq - 1
		}
	case s.epoch == epoch && seq <= s.seq:
		return Gap{Repeated: true}, nil
	case s.epoch == epoch:
		g.Missed = seq - s.seq - 1
	case epoch != event.ShadowEpoch: // the producer has started again, at 1
		g.Missed = seq - 1
	}
	s.epoch, s.seq = epoch, seq
	return g, nil
}

// Keep puts the position of a message that was heard into the file. It is called in the order of Hear for each thing.
func (l *Ledger) Keep(thing, epoch string, seq uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.things[thing]
	if s == nil || l.file == nil {
		return nil
	}
	if !s.named {
		return l.enter(s, thing, position(epoch, seq))
	}
	if _, err := l.file.WriteAt(position(epoch, seq), s.offset); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// enter writes a thing's slot: in the place of the thing that it replaces, or at the end, over one that was torn. mu is held.
func (l *Ledger) enter(s *slot, thing string, pos []byte) error {
	at := s.offset - nameLen
	if s.offset == 0 {
		end, err := l.file.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("extend ledger: %w", err)
		}
		at = int64(len(magic)) + (end-int64(len(magic)))/slotLen*slotLen
	}
	b := make([]byte, nameLen, slotLen)
	b[0] = byte(len(thing))
	copy(b[1:], thing)
	if _, err := l.file.WriteAt(append(b, pos...), at); err != nil {
		return fmt.Errorf("enter thing into ledger: %w", err)
	}
	s.offset, s.named = at+nameLen, true
	return nil
}

func position(epoch string, seq uint64) []byte {
	b := make([]byte, 1+event.MaxEpoch, posLen)
	b[0] = byte(len(epoch))
	copy(b[1:], epoch)
	return binary.BigEndian.AppendUint64(b, seq)
}

// Close closes the file.
func (l *Ledger) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
