package alarms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
)

// The alarm list's file: one sealed JSON document a line, each with the file's id and a number that counts from 0. The first is the
// head, the next ones are the alarm list as it was when the file was made, and those after them are appended for what happened
// since. A file is made whole, under another name, and takes the place of the one before it: the file never has a part of a
// snapshot, unless it is damaged. What an interrupted write leaves at the end is no damage: it was never on disk for anybody.
const (
	journalFormat = 3 // 1 was alarms.json; 2 had raised alarms in place of records
	// minGrowth is how much is appended at least before the file is made again. Beyond it, it may double.
	minGrowth = 1 << 20
	// maxFile bounds what is read of a file: 10,000 alerts as large as messages may be, and as much of what came after them.
	maxFile = 1 << 28
)

// entry is a line of the journal. All that one save has to say is in one: an alarm and its alert are on disk together.
type entry struct {
	Log     string            `json:"log"`
	N       uint64            `json:"n"`
	Head    *head             `json:"head,omitempty"`
	Records []json.RawMessage `json:"records,omitempty"` // of the alarms
	Changes []Told            `json:"changes,omitempty"` // that were not in the audit log yet
	Alerts  []event.Alert     `json:"alerts,omitempty"`  // that were made, or wait for the forwarder
	Notices []notice          `json:"notices,omitempty"` // likewise
	Gone    []string          `json:"gone,omitempty"`    // ids of alerts and notices that were acknowledged
	Day     string            `json:"day,omitempty"`     // whose figures are told

	// Of format 2.
	Alarm   *activeAlarm `json:"alarm,omitempty"`   // it is raised
	Waiting *event.Alert `json:"waiting,omitempty"` // it waits for the forwarder
	Alert   *event.Alert `json:"alert,omitempty"`   // was made
}

// empty reports whether an entry says nothing.
func (e *entry) empty() bool {
	return len(e.Records)+len(e.Changes)+len(e.Alerts)+len(e.Notices)+len(e.Gone) == 0 && e.Day == ""
}

// entryStart is how each line begins. No other place of a line has these bytes, as quotes are escaped in texts.
const entryStart = `{"log":"`

// head is the first entry.
type head struct {
	Format  int             `json:"format"`
	Entries uint64          `json:"entries"`          // of the snapshot
	From    string          `json:"from,omitempty"`   // checksum of the alarms.json that was taken over
	Damage  *durable.Damage `json:"damage,omitempty"` // of a file before this one
}

// contents are what a journal has.
type contents struct {
	id      string
	head    head
	entries []entry // whole ones, without the head
	next    uint64  // number of the next entry
	base    int64   // bytes of the snapshot
	torn    bool    // the end was cut off, or has to be
	damaged bool
	lost    uint64 // entries that are known to be missing
}

// readJournal returns what a file has. The only error is durable.ErrNewerFormat.
func readJournal(data []byte) (c contents, err error) {
	headed, size := false, int64(len(data))
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if !ended { // a loss of power may leave zeros
			line, c.torn = bytes.TrimRight(line, "\x00"), true
		}
		var found []entry
		if e, ok := parseEntry(line); ok {
			found = append(found, e)
		} else { // whole entries before the end are not torn: a newline is damaged
			found = salvage(line)
			c.damaged = c.damaged || ended || len(found) > 0
		}
		for _, e := range found {
			if c.id == "" {
				c.id = e.Log
			}
			if e.Log != c.id || e.N < c.next || (e.Head != nil) != (e.N == 0) {
				c.damaged = true
				continue
			}
			c.lost += e.N - c.next
			c.next = e.N + 1
			if e.Head == nil {
				c.entries = append(c.entries, e)
				continue
			}
			if e.Head.Format > journalFormat {
				return contents{}, fmt.Errorf("format %d: %w", e.Head.Format, durable.ErrNewerFormat)
			}
			c.head, headed = *e.Head, true
		}
		if c.next == c.head.Entries+1 {
			c.base = size - int64(len(data))
		}
	}
	if missing := c.head.Entries + 1; headed && c.next < missing { // cut within the snapshot
		c.lost += missing - c.next
	}
	c.damaged = c.damaged || !headed || c.lost > 0
	return c, nil
}

// parseEntry returns the entry that a line is, without its newline.
func parseEntry(line []byte) (e entry, ok bool) {
	body, sealed, err := durable.Open(line)
	return e, err == nil && sealed && json.Unmarshal(body, &e) == nil
}

// salvage returns the entries that are whole in a line which is none, such as two with a damaged newline between them.
func salvage(line []byte) (found []entry) {
	for {
		at := bytes.LastIndex(line, []byte(entryStart))
		if at < 0 {
			slices.Reverse(found)
			return found
		}
		piece := line[at:]
		e, ok := parseEntry(piece)
		if !ok {
			e, ok = parseEntry(piece[:len(piece)-1])
		}
		if ok {
			found = append(found, e)
		}
		line = line[:at]
	}
}

// disk is what the journal asks of the operating system. Tests inject faults through it.
type disk interface {
	open(path string) (appender, error)
	replace(path string, data []byte) error
}

// appender is a file that is open for appending.
type appender interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

type osDisk struct{}

func (osDisk) open(path string) (appender, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

func (osDisk) replace(path string, data []byte) error {
	return durable.WriteFileAtomic(path, data, 0o600)
}

// journal writes the file.
type journal struct {
	path  string
	disk  disk
	aside string // where the file, which is damaged, is kept before another takes its place; "" when it is not

	file   appender // nil: the file is made again
	id     string
	next   uint64 // number of the next entry
	size   int64  // of what is on disk
	base   int64  // of the snapshot
	buffer []byte // entries that are not on disk
}

// resume goes on with a file that is whole. When it cannot be opened, it is made again.
func (j *journal) resume(c contents, size int64) {
	file, err := j.disk.open(j.path)
	if err != nil {
		return
	}
	j.file, j.id, j.next, j.size, j.base = file, c.id, c.next, size, c.base
}

// add encodes an entry, unless the file is made again anyway.
func (j *journal) add(e entry) {
	if j.file == nil {
		return
	}
	line, err := j.number(e)
	if err != nil { // the save that makes the file finds it again, and tells
		j.abandon()
		return
	}
	j.buffer = append(j.buffer, line...)
}

func (j *journal) number(e entry) ([]byte, error) {
	e.Log, e.N = j.id, j.next
	line, err := durable.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode alarms: %w", err)
	}
	j.next++
	return line, nil
}

// save puts an entry on disk, in one write and one sync. snapshot returns the alarm list as it is, for a file that is made.
func (j *journal) save(e entry, h head, snapshot func() ([]entry, error)) error {
	if !e.empty() {
		j.add(e)
	}
	if j.file != nil && j.size-j.base+int64(len(j.buffer)) <= max(minGrowth, j.base) {
		return j.write()
	}
	whole, err := snapshot()
	if err != nil {
		return err
	}
	return j.make(h, whole)
}

// write appends. What a failed write left is cut off, and written again by the next save. After a failed sync, and where it
// cannot be cut off, the file is not written again.
func (j *journal) write() error {
	if len(j.buffer) == 0 {
		return nil
	}
	if _, err := j.file.Write(j.buffer); err != nil {
		if cutErr := j.file.Truncate(j.size); cutErr != nil {
			j.abandon()
		}
		return fmt.Errorf("append to alarms: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		j.abandon()
		return fmt.Errorf("sync alarms: %w", err)
	}
	j.size += int64(len(j.buffer))
	j.buffer = j.buffer[:0]
	return nil
}

// make replaces the file by one with a snapshot.
func (j *journal) make(h head, snapshot []entry) error {
	j.abandon()
	if err := j.keep(); err != nil {
		return err
	}
	j.id, j.next = random.ID(), 0
	h.Format, h.Entries = journalFormat, uint64(len(snapshot))
	var data []byte
	for _, e := range append([]entry{{Head: &h}}, snapshot...) {
		line, err := j.number(e)
		if err != nil {
			return err
		}
		data = append(data, line...)
	}
	if err := j.disk.replace(j.path, data); err != nil {
		return fmt.Errorf("keep alarms: %w", err)
	}
	j.aside = ""
	j.resume(contents{id: j.id, next: j.next, base: int64(len(data))}, int64(len(data)))
	return nil
}

// keep gives a damaged file a second name, which stays.
func (j *journal) keep() error {
	if j.aside == "" {
		return nil
	}
	err := os.Link(j.path, j.aside)
	if err == nil || errors.Is(err, os.ErrExist) {
		return nil
	}
	data, err := durable.ReadFile(j.path, maxFile) // a disk without links
	if err == nil {
		err = j.disk.replace(j.aside, data)
	}
	if err != nil {
		return fmt.Errorf("set the damaged %s aside: %w", filepath.Base(j.path), err)
	}
	return nil
}

// abandon makes the next save make the file again.
func (j *journal) abandon() {
	if j.file != nil {
		_ = j.file.Close() // what is on disk was synced
	}
	j.file, j.buffer = nil, nil
}
