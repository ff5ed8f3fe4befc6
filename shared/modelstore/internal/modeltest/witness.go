package modeltest

import (
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/modelstore/internal/disk"
)

// Witness follows which files and names a loss of power could still take away, and reports a rename that relies on one.
type Witness struct {
	t     *testing.T
	store string
	data  map[string]bool // files whose content is not synced
	names map[string]bool // folders in which a name was added or changed since they were synced
}

// NewWitness watches a folder; store, which may be empty, is a store in it.
func NewWitness(t *testing.T, store string) *Witness {
	return &Witness{t: t, store: store, data: map[string]bool{}, names: map[string]bool{}}
}

// Before is for disk.Disk.
func (w *Witness) Before(op disk.Op, path, to string) error {
	switch op {
	case disk.OpCreate, disk.OpWrite:
		w.data[path] = true
		w.names[filepath.Dir(path)] = true
	case disk.OpMkdir:
		w.names[filepath.Dir(path)] = true
	case disk.OpSync:
		delete(w.data, path)
	case disk.OpSyncDir:
		delete(w.names, path)
	case disk.OpRename:
		w.rename(path, to)
	case disk.OpTouch:
	case disk.OpRemove: // that a removal is undone does no harm
		w.forget(path)
	}
	return nil
}

func (w *Witness) rename(from, to string) {
	for path := range w.data {
		if within(path, from) {
			w.t.Errorf("%s becomes %s while the content of %s is not synced", from, to, path)
		}
	}
	for dir := range w.names {
		if within(dir, from) {
			w.t.Errorf("%s becomes %s while its names are not synced", from, to)
		}
	}
	if to == filepath.Join(w.store, "current") {
		w.Clean("is about to be pointed at", filepath.Join(w.store, "versions"))
	}
	w.forget(from)
	w.names[filepath.Dir(to)] = true
}

func (w *Witness) forget(path string) {
	for p := range w.data {
		if within(p, path) {
			delete(w.data, p)
		}
	}
	for p := range w.names {
		if within(p, path) {
			delete(w.names, p)
		}
	}
}

// Clean checks that nothing below a folder can be lost.
func (w *Witness) Clean(why, dir string) {
	w.t.Helper()
	for path := range w.data {
		if within(path, dir) {
			w.t.Errorf("%s %s while the content of %s is not synced", dir, why, path)
		}
	}
	for path := range w.names {
		if within(path, dir) {
			w.t.Errorf("%s %s while the names in %s are not synced", dir, why, path)
		}
	}
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
