// Package source is what the kinds of sources have in common.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"edgepdm/components/ingest/rows"
	"edgepdm/shared/wait"
)

// Env is what a source works with.
type Env struct {
	Name    string
	Tags    []rows.Tag // that sensors have
	Table   *rows.Table
	Count   func(reason string, n int) // of what is not used
	Problem func(err error)            // tells what is wrong with the source; nil: nothing
	Log     *slog.Logger
}

// reconnect is how a source is tried again: back within 30 s after a cable is plugged in.
var reconnect = wait.Backoff{Min: 250 * time.Millisecond, Max: 15 * time.Second}

// Keep runs a connection again and again until ctx ends. Connected is to be called when it works; between two connections all
// values of the source are missing.
func (e *Env) Keep(ctx context.Context, connection func(ctx context.Context, connected func()) error) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		up := false
		err := connection(ctx, func() {
			attempt, up = 0, true
			e.Problem(nil)
		})
		if ctx.Err() != nil {
			return
		}
		if up {
			e.Count(ReasonLost, 1)
		}
		e.Table.Missing(e.Name)
		e.Problem(err)
		reconnect.Wait(ctx, attempt+1)
	}
}

// ReasonLost counts connections that worked and ended.
const ReasonLost = "connection-lost"

const maxSecret = 4096 // bytes

// Secret reads the first line of a file; "" without a file.
func Secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open the password's file: %w", err)
	}
	defer func() { _ = f.Close() }()
	buffer := make([]byte, maxSecret)
	n, err := io.ReadFull(f, buffer)
	switch {
	case err == nil:
		return "", fmt.Errorf("read the password's file: it has %d bytes or more", maxSecret)
	case errors.Is(err, io.EOF):
		return "", errors.New("read the password's file: it is empty")
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return "", fmt.Errorf("read the password's file: %w", err)
	}
	line, _, _ := strings.Cut(string(buffer[:n]), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
