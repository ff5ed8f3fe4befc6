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

	"edgepdm/shared/event"
)

// Ledger is a file with one fixed slot a thing, written by one pwrite for each message that was handled: what a killed
// process has written stays. It is not synced: after a loss of power a gap may be counted wrong, nothing else. Its methods
// may be called from several goroutines.
type Ledger struct {
	file  *os.File // nil: in memory only
	limit int      // things

	mu     sync.Mutex
	things map[string]*slot
}

type slot struct {
	offset int64 // of the slot's position, in the file; 0: it is not there yet
	epoch  string
	seq    uint64
}

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
	// ErrFull is returned for a thing beyond the limit: nothing is remembered of it.
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
	l := &Ledger{file: f, limit: limit, things: make(map[string]*slot)}
	if err := l.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return l, nil
}

// Memory returns a ledger without a file.
func Memory(limit int) *Ledger {
	return &Ledger{limit: limit, things: make(map[string]*slot)}
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
		l.things[name] = &slot{offset: int64(at + nameLen), epoch: epoch, seq: binary.BigEndian.Uint64(pos[1+event.MaxEpoch:])}
	}
	return nil
}

// Admits reports whether messages of the thing can be recorded.
func (l *Ledger) Admits(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.things[thing] != nil || len(l.things) < l.limit
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
	s := l.things[thing]
	switch {
	case s == nil && len(l.things) >= l.limit:
		return g, ErrFull
	case s == nil:
		s = &slot{}
		l.things[thing] = s
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
	if s.offset == 0 {
		return l.extend(s, thing, position(epoch, seq))
	}
	if _, err := l.file.WriteAt(position(epoch, seq), s.offset); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// extend gives a thing its slot, over one that was torn. mu is held.
func (l *Ledger) extend(s *slot, thing string, pos []byte) error {
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("extend ledger: %w", err)
	}
	at := int64(len(magic)) + (end-int64(len(magic)))/slotLen*slotLen
	b := make([]byte, nameLen, slotLen)
	b[0] = byte(len(thing))
	copy(b[1:], thing)
	if _, err := l.file.WriteAt(append(b, pos...), at); err != nil {
		return fmt.Errorf("extend ledger: %w", err)
	}
	s.offset = at + nameLen
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
