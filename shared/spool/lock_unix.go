//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lock takes an exclusive lock on an open file or folder. It ends with the file's descriptor, also when the process is killed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return nil
}
