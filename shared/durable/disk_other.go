//go:build !linux

package durable

import (
	"math"
	"os"
)

// SyncData writes a file's data to the disk.
func SyncData(f *os.File) error { return f.Sync() }

// FreeSpace says that there is always room: on other systems a full disk is found when it is.
func FreeSpace(string) (int64, error) { return math.MaxInt64, nil }
