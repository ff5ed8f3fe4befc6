//go:build unix

package durable

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "lock")} {
		held, err := Lock(path)
		if err != nil {
			t.Fatal(err)
		}
		if lock, err := Lock(path); lock != nil || !errors.Is(err, ErrLocked) {
			t.Errorf("%s is locked twice: %v", path, err)
		}
		waited := make(chan error)
		go func() {
			next, err := LockWait(path)
			if err == nil {
				err = next.Close()
			}
			waited <- err
		}()
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Error(err)
		}
		again, err := Lock(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Lock(filepath.Join(dir, "none", "lock")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}
