package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteFileAtomic replaces the file at path with data: after a crash at any moment it has the old or the new bytes,
// whole, and once it returns they survive a loss of power. What killed processes left of their attempts at the same file
// is removed.
func WriteFileAtomic(path string, data []byte, perm os.FileMode) error {
	return WriteAtomic(path, perm, content(data))
}

// content writes data.
func content(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// WriteAtomic is WriteFileAtomic for what is too large to have in memory: write gives the content.
func WriteAtomic(path string, perm os.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("create temporary file: %w", err)
	}
	if err = fill(f, write, perm); err == nil {
		err = Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // gone, if only its folder could not be synced
		return err
	}
	sweep(path, time.Now())
	return nil
}

// WriteNew writes a file that is not there yet; one that is stays as it is, and the error wraps fs.ErrExist.
func WriteNew(path string, data []byte, perm os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err := fill(f, content(data), perm); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return Sync(filepath.Dir(path))
}

// fill writes a file's content, syncs it and closes the file.
func fill(f *os.File, write func(io.Writer) error, perm os.FileMode) (err error) {
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close: %w", closeErr)
		}
	}()
	if err := f.Chmod(perm); err != nil {
		return fmt.Errorf("set permissions: %w", err)
	}
	if err := write(f); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// AppendLine adds a line, with its newline, to a file, which it makes if there is none; with sync, the line survives a loss
// of power. What a killed process left of a line before is ended; what a disk that fails takes of this one is cut off.
func AppendLine(path string, line []byte, sync bool) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if _, err := f.ReadAt(last, max(size-1, 0)); err != nil && size > 0 {
		return err
	}
	if last[0] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	if _, err := f.Write(line); err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	if !sync {
		return nil
	}
	if err := f.Sync(); err != nil || size > 0 {
		return err
	}
	return Sync(filepath.Dir(path))
}

// Rename gives a file, whose content is synced, another name in the same folder: it survives a loss of power.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return Sync(filepath.Dir(to))
}

// Sync makes the content of a file, or the names in a folder, survive a loss of power.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open to sync: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// staleAfter is the age from which a temporary file is taken for that of a process that was killed. A younger one may be
// another writer's.
const staleAfter = time.Minute

// sweep removes temporary files of path that nobody writes any more. What cannot be removed is left for the next time.
func sweep(path string, now time.Time) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), "."+filepath.Base(path)+".")
		if !ours || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		// A time in the future is that of a clock which was wrong.
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()).Abs() > staleAfter {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}
