package spool

import (
	"errors"
	"io"
	"os"

	"edgepdm/shared/durable"
)

// files is what the queue asks of the operating system. Tests inject faults through it.
type files interface {
	MakeDir(dir string) error
	Lock(dir string) (io.Closer, error) // durable.ErrLocked when somebody else holds it
	List(dir string) ([]os.FileInfo, error)
	Open(path string, flag int) (file, error)
	Remove(path string) error
	Rename(from, to string) error
	SyncDir(dir string) error
	Free(dir string) (int64, error) // bytes that the disk has left for us
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error // of the data, and of what is needed to read it back
	Size() (int64, error)
}

// osFiles are the files of the operating system.
type osFiles struct{}

func (osFiles) MakeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// Lock locks the folder itself: there is no lock file that could stay behind, and a read-only disk is no obstacle.
func (osFiles) Lock(dir string) (io.Closer, error) { return durable.Lock(dir) }

func (osFiles) List(dir string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	infos := make([]os.FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

func (osFiles) Open(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFiles) Free(dir string) (int64, error) { return durable.FreeSpace(dir) }

func (osFiles) Remove(path string) error { return os.Remove(path) }

func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }

func (osFiles) SyncDir(dir string) error { return durable.Sync(dir) }

// osFile is a file of the operating system.
type osFile struct{ *os.File }

func (f osFile) Sync() error { return durable.SyncData(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
