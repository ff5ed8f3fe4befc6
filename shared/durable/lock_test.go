//go:build unix

package durable

import (
	"errors"
	"path/filepath"
	"testing"

	"edgepdm/test/must"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "lock")} {
		held, err := Lock(path)
		must.OK(t, err)
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
		must.OK(t, held.Close())
		if err := <-waited; err != nil {
			t.Error(err)
		}
		again, err := Lock(path)
		must.OK(t, err)
		must.OK(t, again.Close())
	}
	if _, err := Lock(filepath.Join(dir, "none", "lock")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}
