package download

import "golang.org/x/sys/unix"

// freeBytes returns how many bytes a process that is not root may still write to the folder's disk.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail * uint64(s.Bsize)), nil
}
