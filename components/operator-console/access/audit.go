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

// Audit is the record of what was done, a line each.
type Audit struct {
	Path    string
	Problem func(error) // told after each entry; nil: it is written

	mu sync.Mutex
}

// Note writes an entry.
func (a *Audit) Note(e Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.TS = e.TS.UTC()
	a.Problem(a.write(e))
}

func (a *Audit) write(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode an entry: %w", err)
	}
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
