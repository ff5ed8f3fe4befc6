//go:build unix

package durable

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// ErrLocked says that another process, or another part of this one, has the lock.
var ErrLocked = errors.New("in use elsewhere")

// Lock locks the folder or the file at path until what it returns is closed, or the process ends. A file that is not
// there is made; a folder needs none that could stay behind, and may be on a read-only disk.
func Lock(path string) (io.Closer, error) { return lock(path, syscall.LOCK_EX|syscall.LOCK_NB) }

// LockWait is Lock that waits until nobody else has the lock.
func LockWait(path string) (io.Closer, error) { return lock(path, syscall.LOCK_EX) }

func lock(path string, how int) (io.Closer, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, err
	}
	err = flock(f, how)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}

// flock takes a lock. A signal, such as those with which Go's runtime interrupts goroutines, ends a wait early.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
