package engine

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

// ledger remembers the last sequence number of every thing, so that rows which never arrived are counted, also those
// that were published while the engine was not running. It is a file with one fixed slot a thing, written by one
// pwrite after each row that was handled: what a killed process has written stays. It is not synced: after a loss of power
// a gap may be counted wrong, nothing else.
type ledger struct {
	file  *os.File // nil: in memory only
	limit int      // things

	mu     sync.Mutex
	things map[string]*ledgerSlot
}

type ledgerSlot struct {
	offset int64 // of the slot's position, in the file
	epoch  string
	seq    uint64
}

// The file: an 8-byte magic that ends in the format version, then slots of a name (length, 128 bytes) and a position (epoch's
// length, 16 bytes, seq as big-endian u64).
const (
	ledgerMagic      = "EPDMSEQ1"
	ledgerNameLen    = 1 + 128
	ledgerPosLen     = 1 + event.MaxEpoch + 8
	ledgerSlotLen    = ledgerNameLen + ledgerPosLen
	maxLedgerThings  = 10_000
	maxLedgerFileLen = int64(len(ledgerMagic)) + maxLedgerThings*ledgerSlotLen
)

var (
	errLedgerFull  = errors.New("too many things")
	errLedgerNewer = errors.New("written by another version")
)

// openLedger opens or creates the ledger for at most limit things. A slot that was torn or spoilt is forgotten; a file of
// another format is refused and left alone.
func openLedger(path string, limit int) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &ledger{file: f, limit: limit, things: make(map[string]*ledgerSlot)}
	if err := l.load(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return l, nil
}

// memoryLedger is a ledger without a file.
func memoryLedger(limit int) *ledger {
	return &ledger{limit: limit, things: make(map[string]*ledgerSlot)}
}

func (l *ledger) load() error {
	data, err := io.ReadAll(io.LimitReader(l.file, maxLedgerFileLen))
	if err != nil {
		return err
	}
	if len(data) < len(ledgerMagic) { // new, or killed while it was made
		if err := l.file.Truncate(0); err != nil {
			return err
		}
		_, err := l.file.WriteAt([]byte(ledgerMagic), 0)
		return err
	}
	if !bytes.HasPrefix(data, []byte(ledgerMagic)) {
		return errLedgerNewer
	}
	for at := len(ledgerMagic); at+ledgerSlotLen <= len(data); at += ledgerSlotLen {
		slot := data[at : at+ledgerSlotLen]
		pos := slot[ledgerNameLen:]
		nameLen, epochLen := int(slot[0]), int(pos[0])
		if nameLen >= ledgerNameLen || epochLen > event.MaxEpoch {
			continue
		}
		name, epoch := string(slot[1:1+nameLen]), string(pos[1:1+epochLen])
		if event.CheckName(name) != nil || event.CheckEpoch(epoch) != nil {
			continue
		}
		l.things[name] = &ledgerSlot{
			offset: int64(at + ledgerNameLen), epoch: epoch, seq: binary.BigEndian.Uint64(pos[1+event.MaxEpoch:]),
		}
	}
	return nil
}

// admits reports whether rows of the thing can be accepted.
func (l *ledger) admits(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.things[thing] != nil || len(l.things) < l.limit
}

// knows reports whether a row of the thing was recorded before.
func (l *ledger) knows(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.things[thing] != nil
}

// gap is what a row's number tells of the rows before it.
type gap struct {
	missed   uint64 // rows between it and the last one of its thing, which never arrived
	unheard  uint64 // rows of its epoch before the first one that was ever heard of its thing
	repeated bool   // it is not newer than the last one
}

// note records a row and returns what its number tells.
func (l *ledger) note(thing, epoch string, seq uint64) (gap, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := l.things[thing]
	var g gap
	switch {
	case slot == nil:
		if epoch != event.ShadowEpoch {
			g.unheard = seq - 1
		}
		return g, l.add(thing, epoch, seq)
	case slot.epoch == epoch && seq <= slot.seq:
		return gap{repeated: true}, nil
	case slot.epoch == epoch:
		g.missed = seq - slot.seq - 1
	case epoch != event.ShadowEpoch: // the producer has started again, at 1
		g.missed = seq - 1
	}
	slot.epoch, slot.seq = epoch, seq
	if l.file == nil {
		return g, nil
	}
	if _, err := l.file.WriteAt(position(epoch, seq), slot.offset); err != nil {
		return g, fmt.Errorf("write ledger: %w", err)
	}
	return g, nil
}

func (l *ledger) add(thing, epoch string, seq uint64) error {
	if len(l.things) >= l.limit {
		return errLedgerFull
	}
	if l.file == nil {
		l.things[thing] = &ledgerSlot{epoch: epoch, seq: seq}
		return nil
	}
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("extend ledger: %w", err)
	}
	at := int64(len(ledgerMagic)) + (end-int64(len(ledgerMagic)))/ledgerSlotLen*ledgerSlotLen // over a torn slot
	slot := make([]byte, ledgerNameLen, ledgerSlotLen)
	slot[0] = byte(len(thing))
	copy(slot[1:], thing)
	l.things[thing] = &ledgerSlot{offset: at + ledgerNameLen, epoch: epoch, seq: seq}
	if _, err := l.file.WriteAt(append(slot, position(epoch, seq)...), at); err != nil {
		return fmt.Errorf("extend ledger: %w", err)
	}
	return nil
}

func position(epoch string, seq uint64) []byte {
	b := make([]byte, 1+event.MaxEpoch, ledgerPosLen)
	b[0] = byte(len(epoch))
	copy(b[1:], epoch)
	return binary.BigEndian.AppendUint64(b, seq)
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
