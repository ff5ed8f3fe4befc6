package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

// rootMark is a file by which the demo knows a folder as its own, and may empty it.
const rootMark = ".edgepdm-demo"

// takeRoot makes root this demo's own until the file that it returns is closed, and empties it.
func takeRoot(root string) (io.Closer, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("make -root: %w", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read -root: %w", err)
	}
	mark := filepath.Join(root, rootMark)
	if _, err := os.Stat(mark); err != nil && len(entries) > 0 {
		return nil, fmt.Errorf("-root: %s is not empty and not of an earlier demo", root)
	}
	lock, err := durable.Lock(mark)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another demo runs in %s: end it, or name another folder with -root: %w", root, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock -root: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == rootMark {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, entry.Name())); err != nil {
			return nil, errors.Join(fmt.Errorf("empty -root: %w", err), lock.Close())
		}
	}
	return lock, nil
}
