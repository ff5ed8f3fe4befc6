package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"edgepdm/components/operator-console/web"
	"edgepdm/shared/durable"
)

const maxAudit = 4 << 20 // bytes of a file; there is one of before

// Entry is something that somebody did.
type Entry struct {
	TS      time.Time       `json:"ts"`
	By      string          `json:"by"`
	Role    web.Role        `json:"role,omitempty"`
	From    string          `json:"from,omitempty"` // address
	Do      string          `json:"do"`
	Message json.RawMessage `json:"message,omitempty"`
	Outcome string          `json:"outcome"`
}

// maxUnwritten is how many entries wait for a disk that does not take them; beyond it the oldest is lost.
const maxUnwritten = 1000

// Audit is the record of what was done, a line each.
type Audit struct {
	Path    string
	Problem func(error) // told after each attempt to write; nil: all is written

	mu        sync.Mutex
	unwritten [][]byte
}

// Note writes an entry.
func (a *Audit) Note(e Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.TS = e.TS.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		a.Problem(fmt.Errorf("encode an entry: %w", err))
		return
	}
	if a.unwritten = append(a.unwritten, line); len(a.unwritten) > maxUnwritten {
		a.unwritten = a.unwritten[1:]
	}
	a.flush()
}

// Flush writes what the disk did not take.
func (a *Audit) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.unwritten) > 0 {
		a.flush()
	}
}

func (a *Audit) flush() {
	for len(a.unwritten) > 0 {
		if err := a.write(a.unwritten[0]); err != nil {
			a.Problem(err)
			return
		}
		a.unwritten = a.unwritten[1:]
	}
	a.Problem(nil)
}

func (a *Audit) write(line []byte) error {
	info, err := os.Stat(a.Path)
	switch {
	case err == nil && info.Size()+int64(len(line)) > maxAudit:
		err = durable.Rename(a.Path, a.Path+".1")
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("turn over the record: %w", err)
	}
	return durable.AppendLine(a.Path, line, true)
}
