package modelstore

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// RequestRollback asks the engine to go back to the previous model. Its text is the reason.
const RequestRollback = "rollback"

// Request leaves an operator's request in the inbox, for the engine to take: a name like a delivery's id, and a text of at
// most 4 KiB. It replaces one of the same name that was not taken yet.
func (b Inbox) Request(name, text string) error {
	if !validID(name) {
		return refuse(ErrID, "%.64q cannot name a request", name)
	}
	if len(text) > maxRequestText {
		return fmt.Errorf("%w: the request's text has %d bytes, at most %d", ErrLimit, len(text), maxRequestText)
	}
	dir := filepath.Join(b.Dir, requestsDir)
	if err := b.disk.mkdir(dir); err != nil {
		return fmt.Errorf("leave request: %w", err)
	}
	path := filepath.Join(dir, name)
	if err := b.disk.replaceBy(path+"."+rand.Text()+tempSuffix, path, []byte(text)); err != nil {
		return fmt.Errorf("leave request: %w", err)
	}
	if err := b.disk.syncDir(b.Dir); err != nil { // the folder may be new
		return fmt.Errorf("leave request: %w", err)
	}
	return nil
}

// Requests returns the names of the requests that wait.
func (b Inbox) Requests() ([]string, error) { return b.list(requestsDir) }

// TakeRequest removes a request and returns its text; ok is false if there is none. The request is removed first, so a
// process that is killed now loses it rather than doing it twice: a second roll-back would go further than asked.
func (b Inbox) TakeRequest(name string) (text string, ok bool, err error) {
	if !validID(name) {
		return "", false, refuse(ErrID, "%.64q cannot name a request", name)
	}
	path := filepath.Join(b.Dir, requestsDir, name)
	data, err := readBounded(path, maxRequestText)
	if missing(err) {
		return "", false, nil
	}
	if err != nil {
		data = fmt.Appendf(nil, "(unreadable: %v)", err) // the request stands all the same
	}
	if err := b.disk.remove(path); err != nil {
		return "", false, fmt.Errorf("take request: %w", err)
	}
	if err := b.disk.syncDir(filepath.Dir(path)); err != nil {
		return "", false, fmt.Errorf("take request: %w", err)
	}
	return string(data), true, nil
}

// Check says whether this process can use the inbox at dir, and makes its folders if need be. The error names the fix.
// It wraps fs.ErrNotExist if dir's parent is not there: the component that owns the inbox is not installed.
func Check(dir string) error {
	parent := filepath.Dir(filepath.Clean(dir))
	if _, err := os.Stat(parent); err != nil {
		return fmt.Errorf("inbox %s: %w: is com.edgepdm.ModelFetcher deployed, and the configuration key inbox right?", dir, err)
	}
	for _, folder := range []string{"", incomingDir, readyDir, trashDir, requestsDir} {
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
		if err := os.Remove(probe.Name()); err != nil {
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
