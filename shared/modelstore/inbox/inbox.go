// Package inbox is the folder through which model-fetcher hands deliveries to inference-engine:
//
//	d, err := box.Begin(id)                  // fetcher: a folder to download into, the same one after a restart
//	err = d.Commit()                         // fetcher: one rename makes it ready
//	deliveries, err := box.Ready()           // engine: oldest first
//
// Its owner is model-fetcher; both components write it:
//
//	incoming/<id>/         a delivery that is being filled; any files
//	ready/<id>/            a delivery: manifest.dsse.json (not if unsigned), model.tar.gz
//	trash/                 on its way out
package inbox

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// ArchiveFile is the file of a delivery that has the model. Beside it is EnvelopeFile, if it is signed.
const ArchiveFile = "model.tar.gz"

// What callers branch on; the errors returned wrap one of these and say more.
var (
	// ErrID says that a name cannot be that of a delivery.
	ErrID = errors.New("bad name")
	// ErrReady says that a delivery of this id is already in the inbox.
	ErrReady = errors.New("already delivered")
)

// Folders of an inbox.
const (
	incomingDir = "incoming"
	readyDir    = "ready"
	trashDir    = "trash"
)

const (
	maxIDLength = 128
	maxReady    = 64 // deliveries that Ready looks at
)

// Inbox is the folder through which model-fetcher hands models to inference-engine. The fetcher begins and commits
// deliveries, the engine takes and removes them. All operations but those on one and the same delivery may be made at
// the same time, by several processes. Nothing in an inbox is trusted: the Store verifies it.
type Inbox struct {
	Dir string

	disk disk.Disk
}

// Delivery is a folder of an inbox with a model, whole once it is ready.
type Delivery struct {
	ID string

	inbox Inbox
	Dir   string
}

// Begin returns the delivery id that is being filled, with the files that it has already, also from before a restart, or
// a new one. The id is 1 to 128 of a-z 0-9 . - and begins with a letter or digit; one that names the content (the SHA-256
// of the envelope, of the archive if unsigned) makes a repeated delivery harmless. The error wraps ErrReady if it is
// ready already, and ErrID.
func (b Inbox) Begin(id string) (*Delivery, error) {
	if !ValidID(id) {
		return nil, fmt.Errorf("%w: %.64q cannot name a delivery", ErrID, id)
	}
	d := &Delivery{ID: id, inbox: b, Dir: filepath.Join(b.Dir, incomingDir, id)}
	if _, err := os.Lstat(filepath.Join(b.Dir, readyDir, id)); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrReady, id)
	} else if !disk.Missing(err) {
		return nil, fmt.Errorf("begin delivery: %w", err)
	}
	if err := b.disk.Mkdir(d.Dir); err != nil {
		return nil, fmt.Errorf("begin delivery: %w", err)
	}
	return d, nil
}

// Incoming returns the ids of the deliveries that were begun and neither committed nor removed.
func (b Inbox) Incoming() ([]string, error) { return b.list(incomingDir) }

// Path returns where a file of the delivery lies: EnvelopeFile, ArchiveFile, or one of the fetcher's own, which Commit
// removes.
func (d *Delivery) Path(name string) string { return filepath.Join(d.Dir, filepath.Base(name)) }

// Role returns the role that the delivery's manifest claims, which nobody has verified; what cannot be read claims none.
func (d *Delivery) Role() event.Role {
	sealed, err := disk.ReadBounded(d.Path(envelope.EnvelopeFile), envelope.MaxEnvelope)
	if err != nil {
		return ""
	}
	payload, err := envelope.Payload(sealed)
	if err != nil {
		return ""
	}
	var claim struct {
		Role event.Role `json:"role"`
	}
	if json.Unmarshal(payload, &claim) != nil {
		return ""
	}
	return claim.Role
}

// Commit makes the delivery ready: whole and on disk, or not at all. It must have an ArchiveFile. Of the rest only
// EnvelopeFile stays.
func (d *Delivery) Commit() error {
	dsk := d.inbox.disk
	if info, err := os.Lstat(d.Path(ArchiveFile)); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("commit delivery: %s: %w", ArchiveFile, disk.ErrNotRegular)
	}
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(d.Dir, e.Name())
		if e.Name() == ArchiveFile || e.Name() == envelope.EnvelopeFile {
			err = dsk.Sync(path)
		} else {
			err = dsk.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("commit delivery: %w", err)
		}
	}
	ready := filepath.Join(d.inbox.Dir, readyDir)
	if err := dsk.Mkdir(ready); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	if err := d.inbox.stamp(d.Dir); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	if err := dsk.SyncDir(d.Dir); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	target := filepath.Join(ready, d.ID)
	if err := dsk.Rename(d.Dir, target); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %s", ErrReady, d.ID)
		}
		return fmt.Errorf("commit delivery: %w", err)
	}
	d.Dir = target
	// Renamed is committed: what fails from here on can only bring the delivery back to incoming, after a loss of power.
	if err := dsk.SyncDir(ready); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	if err := dsk.SyncDir(filepath.Join(d.inbox.Dir, incomingDir)); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	if err := dsk.SyncDir(d.inbox.Dir); err != nil {
		return fmt.Errorf("commit delivery: %w", err)
	}
	return nil
}

// stamp gives a delivery the time by which Ready sorts: now, but after those that are ready, whatever the clock says.
func (b Inbox) stamp(dir string) error {
	at := time.Now()
	ready, err := b.Ready()
	if err != nil {
		return err
	}
	for _, d := range ready {
		if info, err := os.Stat(d.Dir); err == nil && !info.ModTime().Before(at) {
			at = info.ModTime().Add(time.Second) // the coarsest time that file systems keep, FAT apart
		}
	}
	if err := b.disk.Step(disk.OpTouch, dir); err != nil {
		return err
	}
	return os.Chtimes(dir, at, at)
}

// Ready returns the deliveries that wait to be taken, the one that was committed first in front. At most 64 are returned.
func (b Inbox) Ready() ([]Delivery, error) {
	entries, err := os.ReadDir(filepath.Join(b.Dir, readyDir))
	if err != nil && !disk.Missing(err) {
		return nil, fmt.Errorf("look into inbox: %w", err)
	}
	type aged struct {
		Delivery
		at time.Time
	}
	var found []aged
	for _, e := range entries {
		if !ValidID(e.Name()) || !e.IsDir() {
			continue
		}
		info, err := e.Info()
		if disk.Missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look into inbox: %w", err)
		}
		found = append(found, aged{Delivery{ID: e.Name(), inbox: b, Dir: filepath.Join(b.Dir, readyDir, e.Name())}, info.ModTime()})
	}
	slices.SortFunc(found, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ID, b.ID)) })
	deliveries := make([]Delivery, 0, min(len(found), maxReady))
	for _, f := range found[:min(len(found), maxReady)] {
		deliveries = append(deliveries, f.Delivery)
	}
	return deliveries, nil
}

// Remove removes a delivery, ready or not. It is no error when there is none.
func (b Inbox) Remove(id string) error {
	if !ValidID(id) {
		return fmt.Errorf("%w: %.64q cannot name a delivery", ErrID, id)
	}
	trash := filepath.Join(b.Dir, trashDir)
	// What is ready comes last: once that is gone the same id may be begun again.
	for _, folder := range []string{incomingDir, readyDir} {
		path := filepath.Join(b.Dir, folder, id)
		if _, err := os.Lstat(path); disk.Missing(err) {
			continue
		}
		// Out of sight in one step: half a delivery would look like a bad one.
		if err := b.disk.Mkdir(trash); err != nil {
			return fmt.Errorf("remove delivery: %w", err)
		}
		gone := filepath.Join(trash, rand.Text())
		if err := b.disk.Rename(path, gone); err != nil && !disk.Missing(err) {
			return fmt.Errorf("remove delivery: %w", err)
		}
		if err := b.disk.Remove(gone); err != nil {
			return fmt.Errorf("remove delivery: %w", err)
		}
	}
	return nil
}

// list returns the names in a folder of the inbox that can be ids, sorted.
func (b Inbox) list(folder string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(b.Dir, folder))
	if err != nil && !disk.Missing(err) {
		return nil, fmt.Errorf("look into inbox: %w", err)
	}
	var names []string
	for _, e := range entries {
		if ValidID(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ValidID says whether s can name a delivery.
func ValidID(s string) bool {
	if len(s) < 1 || len(s) > maxIDLength || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
