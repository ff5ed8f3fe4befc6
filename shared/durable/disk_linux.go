package durable

import (
	"errors"
	"math"
	"os"
	"syscall"
)

// SyncData writes a file's data to the disk, and its size; not its times.
func SyncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// FreeSpace returns how many bytes a process without privileges may still write to dir's disk.
func FreeSpace(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	size := uint64(fs.Bsize)
	if size > 0 && fs.Bavail > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(fs.Bavail * size), nil
}
