package modelstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

// op is a step on disk.
type op string

const (
	opMkdir   op = "mkdir"
	opCreate  op = "create"
	opWrite   op = "write"
	opSync    op = "sync"
	opSyncDir op = "sync directory"
	opTouch   op = "touch"
	opRename  op = "rename"
	opRemove  op = "remove"
)

// disk makes every change on disk that this package makes, one step at a time. before, nil except in tests, is called
// ahead of each step, and an error keeps the step from being made: so a test can stop the process between any two.
type disk struct {
	before func(op op, path, to string) error // to is where a rename leads, otherwise empty
}

func (d disk) step(op op, path string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op, path, "")
}

// mkdir makes a folder, and its parents.
func (d disk) mkdir(path string) error {
	if err := d.step(opMkdir, path); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o700)
}

// contentError is a failure to read what was to be written.
type contentError struct{ err error }

func (e *contentError) Error() string { return e.err.Error() }

// create writes a new file. A failure of content itself is a contentError.
func (d disk) create(path string, content io.Reader) (size int64, err error) {
	if err := d.step(opCreate, path); err != nil {
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
			if err := d.step(opWrite, path); err != nil {
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
			return size, &contentError{reading}
		}
	}
}

// sync makes a file's content survive a loss of power.
func (d disk) sync(path string) error {
	if err := d.step(opSync, path); err != nil {
		return err
	}
	return durable.Sync(path)
}

// syncDir makes the names in a folder survive a loss of power.
func (d disk) syncDir(path string) error {
	if err := d.step(opSyncDir, path); err != nil {
		return err
	}
	return durable.Sync(path)
}

func (d disk) rename(from, to string) error {
	if d.before != nil {
		if err := d.before(opRename, from, to); err != nil {
			return err
		}
	}
	return os.Rename(from, to)
}

// remove removes a file, or a folder with what is in it. It is no error when there is none.
func (d disk) remove(path string) error {
	if err := d.step(opRemove, path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// replace replaces the file at path with data: after a stop at any moment it has the old or the new bytes, whole, and
// once it returns they survive a loss of power.
func (d disk) replace(path string, data []byte) error {
	next := path + tempSuffix
	if err := d.remove(next); err != nil { // of a process that was stopped
		return err
	}
	if err := d.writeSynced(next, data); err != nil {
		_ = d.remove(next)
		return err
	}
	if err := d.rename(next, path); err != nil {
		_ = d.remove(next)
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// tempSuffix ends the names of files that are about to replace another. No delivery is named so.
const tempSuffix = ".tmp~"

// writeSynced writes a new file whose content survives a loss of power; its name does once its folder is synced.
func (d disk) writeSynced(path string, data []byte) error {
	if _, err := d.create(path, bytes.NewReader(data)); err != nil {
		return err
	}
	return d.sync(path)
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrLimit, path, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit { // it grew
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrLimit, path, limit)
	}
	return data, nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
