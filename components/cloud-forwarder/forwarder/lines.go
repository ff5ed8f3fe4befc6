package forwarder

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

// appendLine adds a line to a file, behind one that a killed process may have left torn. With sync it is on disk when appendLine
// returns nil.
func appendLine(path string, line []byte, sync bool) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.WriteAt(line, size); err != nil {
		return errors.Join(err, f.Truncate(size))
	}
	if !sync {
		return nil
	}
	if err := f.Sync(); err != nil || size > 0 {
		return err
	}
	return durable.Sync(filepath.Dir(path))
}

// eachLine reads lines. One that is longer than limit is cut.
func eachLine(from io.Reader, limit int, do func(line []byte)) error {
	r := bufio.NewReaderSize(from, limit)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			do(line)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
