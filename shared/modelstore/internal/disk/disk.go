// Package disk makes changes on disk one step at a time, so that tests can stop a process between any two.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"edgepdm/shared/archive"
	"edgepdm/shared/durable"
)

// Op is a step on disk.
type Op string

// The steps.
const (
	OpMkdir   Op = "mkdir"
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpSync    Op = "sync"
	OpSyncDir Op = "sync directory"
	OpTouch   Op = "touch"
	OpRename  Op = "rename"
	OpRemove  Op = "remove"
)

// Disk makes every change on disk that this package makes, one step at a time. before, nil except in tests, is called
// ahead of each step, and an error keeps the step from being made: so a test can stop the process between any two.
type Disk struct {
	Before func(op Op, path, to string) error // to is where a rename leads, otherwise empty
}

// Step is called ahead of each step that this package does not make itself.
func (d Disk) Step(op Op, path string) error {
	if d.Before == nil {
		return nil
	}
	return d.Before(op, path, "")
}

// Mkdir makes a folder, and its parents.
func (d Disk) Mkdir(path string) error {
	if err := d.Step(OpMkdir, path); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o700)
}

// ContentError is a failure to read what was to be written.
type ContentError struct{ Err error }

func (e *ContentError) Error() string { return e.Err.Error() }

// Create writes a new file. A failure of content itself is a ContentError.
func (d Disk) Create(path string, content io.Reader) (size int64, err error) {
	if err := d.Step(OpCreate, path); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, reading := content.Read(buf)
		if n > 0 {
			if err := d.Step(OpWrite, path); err != nil {
				return size, err
			}
			written, err := f.Write(buf[:n])
			size += int64(written)
			if err != nil {
				return size, err
			}
		}
		if errors.Is(reading, io.EOF) {
			return size, nil
		}
		if reading != nil {
			return size, &ContentError{reading}
		}
	}
}

// Sync makes a file's content survive a loss of power.
func (d Disk) Sync(path string) error {
	if err := d.Step(OpSync, path); err != nil {
		return err
	}
	return durable.Sync(path)
}

// SyncDir makes the names in a folder survive a loss of power.
func (d Disk) SyncDir(path string) error {
	if err := d.Step(OpSyncDir, path); err != nil {
		return err
	}
	return durable.Sync(path)
}

// Rename moves a file or a folder.
func (d Disk) Rename(from, to string) error {
	if d.Before != nil {
		if err := d.Before(OpRename, from, to); err != nil {
			return err
		}
	}
	return os.Rename(from, to)
}

// Remove removes a file, or a folder with what is in it. It is no error when there is none.
func (d Disk) Remove(path string) error {
	if err := d.Step(OpRemove, path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// Replace replaces the file at path with data: after a stop at any moment it has the old or the new bytes, whole, and
// once it returns they survive a loss of power.
func (d Disk) Replace(path string, data []byte) error {
	next := path + TempSuffix
	if err := d.Remove(next); err != nil { // of a process that was stopped
		return err
	}
	if err := d.WriteSynced(next, data); err != nil {
		_ = d.Remove(next)
		return err
	}
	if err := d.Rename(next, path); err != nil {
		_ = d.Remove(next)
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}

// TempSuffix ends the names of files that are about to replace another. No delivery is named so.
const TempSuffix = ".tmp~"

// WriteSynced writes a new file whose content survives a loss of power; its name does once its folder is synced.
func (d Disk) WriteSynced(path string, data []byte) error {
	if _, err := d.Create(path, bytes.NewReader(data)); err != nil {
		return err
	}
	return d.Sync(path)
}

// ReadBounded reads a regular file of at most limit bytes.
func ReadBounded(path string, limit int64) ([]byte, error) {
	f, size, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", archive.ErrLimit, path, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit { // it grew
		return nil, fmt.Errorf("%w: %s has more than %d bytes", archive.ErrLimit, path, limit)
	}
	return data, nil
}

// Missing says whether something is not there.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// OpenRegular opens a file for reading if it is a regular one, and no link. It looks at what it has opened, so that the file
// may be replaced meanwhile; opening a named pipe does not wait for its writer.
func OpenRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link, a socket
		return nil, 0, &os.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// ErrNotRegular says that a link, a folder, a pipe or the like is where a file should be.
var ErrNotRegular = errors.New("not a regular file")
