package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"edgepdm/shared/spool"
)

// Files of dead letters in the work directory. Those that are to be sent again are renamed to replayPrefix…replaySuffix.
const (
	deadLettersName = "dead-letters.jsonl"
	deadLettersOld  = deadLettersName + ".old"
	replayPrefix    = "replay-"
	replaySuffix    = ".jsonl"
)

// deadLetters is a file of what no sink will take, a JSON line each, for all streams. Beyond its limit it begins anew, and
// the file before is kept with the suffix .old.
type deadLetters struct {
	dir   string
	limit int64 // bytes
	now   func() time.Time

	mu sync.Mutex // one writer at a time
}

type deadLetter struct {
	Stream string          `json:"stream"`
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"` // of the message
	Buried time.Time       `json:"buried"`
	Reason string          `json:"reason"`
	Record json.RawMessage `json:"record"` // a string when it is not JSON
}

// add puts a record among the dead letters: it is on disk when add returns nil.
func (d *deadLetters) add(stream string, r spool.Record, reason error) error {
	letter := deadLetter{stream, r.ID, time.Unix(0, r.Time).UTC(), d.now().UTC(), reason.Error(), r.Payload}
	if !json.Valid(r.Payload) {
		quoted, err := json.Marshal(string(r.Payload))
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		letter.Record = quoted
	}
	line, err := encode(letter)
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(append(line, '\n'))
}

func (d *deadLetters) write(line []byte) (err error) {
	path := filepath.Join(d.dir, deadLettersName)
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	if size > 0 && size+int64(len(line)) > d.limit {
		if err := os.Rename(path, filepath.Join(d.dir, deadLettersOld)); err != nil {
			return fmt.Errorf("begin new dead letters: %w", err)
		}
		size = 0
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open dead letters: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write dead letter: %w", err)
		}
	}()
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // a process was killed while it wrote
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.WriteAt(line, size); err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if size == 0 {
		return syncDir(d.dir)
	}
	return nil
}
