package candidate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// Files of the evidence, in the engine's work directory.
const (
	checkpointFile = "candidate.json"
	journalFile    = "candidate-journal"
)

const (
	checkpointEvery = 30 * time.Second
	checkpointRows  = 10_000
	maxCheckpoint   = 2 << 20
)

// Book keeps evidence on disk: a checkpoint, and a journal of what came since. What was committed survives the end of the process,
// however it ends; what comes less than half a minute before the power fails may be lost. It belongs to one goroutine.
type Book struct {
	Evidence
	state   durable.State[Evidence]
	path    string   // of the journal
	journal *journal // nil: it cannot be written; a checkpoint may do better
	records []byte   // to be written
	since   uint64   // Step of the last checkpoint
	saved   time.Time
	sealed  bool // a newer version wrote what is on disk: it stays as it is
}

// Open returns the evidence of a pair that is in the folder dir, or begins. Evidence of another pair is gone then. damage says what was
// lost of it; err why it is kept in memory only.
func Open(dir string, pair Pair, now time.Time) (b *Book, damage, err error) {
	b = &Book{Evidence: *New(pair), path: filepath.Join(dir, journalFile), saved: now,
		state: durable.State[Evidence]{Path: filepath.Join(dir, checkpointFile), Format: format, Limit: maxCheckpoint}}
	old, damage, err := b.state.Open()
	switch {
	case errors.Is(err, durable.ErrNewerFormat):
		b.sealed = true
		return b, damage, err
	case err != nil:
		return b, damage, err
	case old.Format != 0 && damage == nil && old.Pair.same(pair):
		if damage = old.check(); damage != nil {
			_, err = durable.SetAside(b.state.Path)
			break
		}
		b.Evidence = old
		journal, lost, journalErr := openJournal(b.path, &b.Evidence)
		b.journal, b.since = journal, b.Step
		if lost > 0 {
			damage = errors.New("the end of the journal is damaged: what is whole of it counts")
		}
		return b, damage, journalErr
	}
	return b, damage, errors.Join(err, b.begin(now))
}

// begin writes that there is nothing yet.
func (b *Book) begin(now time.Time) error {
	if err := os.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.checkpoint(now)
}

// Row adds a row; Commit writes it.
func (b *Book) Row(r Row) {
	b.Add(r)
	if b.journal != nil {
		b.records = appendRow(b.records, b.Step, r)
	}
}

// Skipped adds rows that were not scored.
func (b *Book) Skipped(rows uint64) {
	b.Skip(rows)
	if b.journal != nil {
		b.records = appendSkip(b.records, b.Step, rows)
	}
}

// Labeled adds what people found.
func (b *Book) Labeled(l event.Label) {
	if !b.Label(l) || b.journal == nil {
		return
	}
	records, err := appendLabel(b.records, b.Step, l)
	if b.records = records; err != nil {
		b.abandon() // the next checkpoint has it
	}
}

// Commit writes what was added, before anybody is told of it. The error says that it is in memory only.
func (b *Book) Commit(now time.Time) error {
	if b.sealed {
		return nil // Open has said so
	}
	due := b.Step-b.since >= checkpointRows || now.Sub(b.saved).Abs() >= checkpointEvery
	if due && (b.Step != b.since || b.journal == nil) {
		return b.checkpoint(now)
	}
	if b.journal == nil {
		return errNotKept
	}
	if len(b.records) == 0 {
		return nil
	}
	err := b.journal.write(b.records)
	b.records = b.records[:0]
	if err != nil { // what is written next would not fit
		b.abandon()
	}
	return err
}

var errNotKept = errors.New("the evidence on the candidate is in memory only: the last attempt to write it failed")

// checkpoint writes everything, and begins the journal again. A process that is killed in between skips what the checkpoint has.
func (b *Book) checkpoint(now time.Time) error {
	b.saved = now
	if err := b.state.Save(b.Evidence); err != nil {
		b.abandon()
		return err
	}
	b.since, b.records = b.Step, b.records[:0]
	if b.journal != nil {
		err := b.journal.clear()
		if err == nil {
			return nil
		}
		b.abandon()
	}
	journal, _, err := openJournal(b.path, &Evidence{Step: b.Step})
	if err == nil {
		b.journal = journal
		err = journal.clear()
	}
	return err
}

// abandon gives up the journal until a checkpoint makes it right.
func (b *Book) abandon() {
	b.records = b.records[:0]
	if b.journal != nil {
		_ = b.journal.file.Close() // what could not be written is not there
		b.journal = nil
	}
}

// Close writes what was added.
func (b *Book) Close(now time.Time) error {
	if b.sealed {
		return nil
	}
	var err error
	if b.Step != b.since || b.journal == nil {
		err = b.checkpoint(now)
	}
	b.abandon()
	return err
}
