package inbox

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"edgepdm/shared/modelstore/internal/disk"
)

// Check says whether this process can use the inbox at dir, and makes its folders if need be. The error names the fix.
// It wraps fs.ErrNotExist if dir's parent is not there: the component that owns the inbox is not installed.
func Check(dir string) error {
	parent := filepath.Dir(filepath.Clean(dir))
	if _, err := os.Stat(parent); err != nil {
		return fmt.Errorf("inbox %s: %w: is com.edgepdm.ModelFetcher deployed, and the configuration key inbox right?", dir, err)
	}
	for _, folder := range []string{"", incomingDir, readyDir, trashDir} {
		path := filepath.Join(dir, folder)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return unusable(path, err)
		}
		if _, err := os.ReadDir(path); err != nil {
			return unusable(path, err)
		}
		if folder == trashDir { // what a process that was stopped left
			if err := empty(path); err != nil {
				return unusable(path, err)
			}
		}
		probe, err := os.CreateTemp(path, ".check-*")
		if err != nil {
			return unusable(path, err)
		}
		_ = probe.Close()
		if err := os.Remove(probe.Name()); err != nil && !disk.Missing(err) { // another check may have emptied the trash
			return unusable(path, err)
		}
	}
	return nil
}

// empty removes what is in a folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// unusable names the fix for a folder that cannot be used.
func unusable(path string, err error) error {
	for at := path; ; at = filepath.Dir(at) {
		info, statErr := os.Stat(at)
		if statErr != nil {
			if at == filepath.Dir(at) {
				return fmt.Errorf("inbox: %w", err)
			}
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
			return fmt.Errorf("inbox: %w: %s belongs to user %d and this process runs as user %d: "+
				"give inference-engine and model-fetcher the same posixUser (runWith in the deployment)", err, at, owner.Uid, os.Geteuid())
		}
		return fmt.Errorf("inbox: %w: %s has mode %#o: it needs to be a folder that its owner can read and write", err, at, info.Mode().Perm())
	}
}
