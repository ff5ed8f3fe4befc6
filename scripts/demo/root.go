package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// rootMark is a file by which the demo knows a folder as its own, and may empty it.
const rootMark = ".edgepdm-demo"

// takeRoot makes root this demo's own until the file that it returns is closed, and empties it.
func takeRoot(root string) (*os.File, error) {
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
	lock, err := os.OpenFile(mark, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("mark -root: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("-root: another demo runs in %s: %w", root, err), lock.Close())
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
