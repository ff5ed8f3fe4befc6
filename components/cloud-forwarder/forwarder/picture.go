package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
)

// Picture is what the files in a forwarder's work directory say, read beside a forwarder that runs, and without a write.
type Picture struct {
	Streams []Waiting `json:"streams"`
	Since   time.Time `json:"dropped_since,omitzero"` // the first drop
	Notes   []string  `json:"notes,omitempty"`        // what a person should know besides
}

// Waiting is a stream in a Picture.
type Waiting struct {
	Stream   string            `json:"stream"`
	Records  uint64            `json:"records"` // until a damaged place is read, with those that it cost
	Bytes    int64             `json:"bytes"`
	Segments int               `json:"segments"`
	First    uint64            `json:"first_seq"`
	Last     uint64            `json:"last_seq"`
	Oldest   time.Time         `json:"oldest,omitzero"` // its own time
	Newest   time.Time         `json:"newest,omitzero"`
	Bounds   []Bound           `json:"bounds,omitempty"` // nearest first
	Dead     uint64            `json:"dead_letters"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"` // by reason, since the first drop
	Problem  string            `json:"problem,omitempty"`
}

// Bound is how much of what a bound allows is used up: 1 is all of it.
type Bound struct {
	Name string  `json:"name"` // bytes, free-space or age
	Used float64 `json:"used"`
}

// Look reads a forwarder's work directory.
func Look(workDir string, now time.Time) (Picture, error) {
	p := Picture{Streams: []Waiting{}}
	config, err := component.LastGood(workDir, component.Spec[Config]{Name: event.CloudForwarder, Default: Default})
	if err != nil {
		config = Default()
		p.note("the configuration in force is not known, and the bounds are the default ones: %v", err)
	}
	totals, err := totalsFile(workDir).Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.note("what was dropped so far is not known: %v", err)
	}
	p.Since = totals.Since
	dead := p.deadLetters(workDir)
	for _, name := range Streams(workDir) {
		p.Streams = append(p.Streams, p.stream(workDir, name, config, now))
	}
	for i := range p.Streams {
		s := &p.Streams[i]
		s.Dead = dead[s.Stream]
		for what, n := range totals.Messages {
			if reason, ok := strings.CutPrefix(what, s.Stream+"."); ok {
				if s.Dropped == nil {
					s.Dropped = make(map[string]uint64)
				}
				s.Dropped[reason] = n
			}
		}
	}
	return p, nil
}

func (p *Picture) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// Streams returns the names of the streams that have a queue in a work directory.
func Streams(workDir string) (names []string) {
	for _, name := range streamNames() {
		if info, err := os.Stat(filepath.Join(workDir, spoolDir, name)); err == nil && info.IsDir() {
			names = append(names, name)
		}
	}
	return names
}

// View reads a stream's queue.
func View(workDir, stream string) (*spool.View, error) {
	return spool.Look(filepath.Join(workDir, spoolDir, stream))
}

// stream describes one stream.
func (p *Picture) stream(workDir, name string, config Config, now time.Time) Waiting {
	w := Waiting{Stream: name}
	v, err := View(workDir, name)
	if err != nil {
		w.Problem = err.Error()
		return w
	}
	s := v.Stats()
	w.Records, w.Bytes, w.Segments, w.First, w.Last = s.Records, s.Bytes, s.Segments, s.First, s.Last
	if s.Records > 0 {
		w.Oldest, w.Newest = s.Oldest.UTC(), s.Newest.UTC()
	}
	if s.Foreign > 0 {
		p.note("%s: %d segments are of another queue, which the forwarder takes in at its next start", name, s.Foreign)
	}
	b := config.bounds(name)
	add := func(name string, used, of float64) {
		if of > 0 {
			w.Bounds = append(w.Bounds, Bound{name, used / of})
		}
	}
	add("bytes", float64(s.Bytes), float64(b.bytes))
	if !w.Oldest.IsZero() && w.Oldest.After(Sensible()) {
		add("age", float64(max(now.Sub(w.Oldest), 0)), float64(b.age))
	}
	if free, err := durable.FreeSpace(workDir); err == nil {
		add("free-space", float64(b.free), float64(free))
	}
	slices.SortStableFunc(w.Bounds, func(a, b Bound) int {
		switch {
		case a.Used > b.Used:
			return -1
		case a.Used < b.Used:
			return 1
		}
		return 0
	})
	return w
}

// maxLetter is the longest line of dead letters that is read: a record that is no JSON, with all of it escaped.
const maxLetter = 8 * spool.MaxPayload

// deadLetters counts the dead letters of each stream.
func (p *Picture) deadLetters(workDir string) map[string]uint64 {
	counts := make(map[string]uint64)
	damaged := 0
	count := func(line []byte) {
		if len(line) < 2 || line[0] == replayedTag {
			return
		}
		letter, err := openLine(line)
		if letter.Stream != "" && (err == nil || errors.Is(err, durable.ErrNewerFormat)) {
			counts[letter.Stream]++
			return
		}
		damaged++
	}
	for _, name := range deadNames() {
		for _, path := range []string{filepath.Join(workDir, name+deadOldSuffix), filepath.Join(workDir, name)} {
			p.readLines(path, count)
		}
		d := deadLetters{dir: workDir, name: name}
		if dropped, err := d.count().Load(); err == nil && dropped.Dropped > 0 {
			p.note("%s: %d dead letters were dropped, as there were too many", strings.TrimSuffix(name, replaySuffix), dropped.Dropped)
		}
	}
	waiting := toReplay(workDir)
	for _, path := range waiting {
		p.readLines(path, count)
	}
	if len(waiting) > 0 {
		p.note("%d files of dead letters wait to be sent again", len(waiting))
	}
	if damaged > 0 {
		p.note("%d lines of dead letters are damaged", damaged)
	}
	return counts
}

// readLines reads a file of lines, if there is one. What is no file is told, and waited for by nobody.
func (p *Picture) readLines(path string, do func(line []byte)) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		defer func() { _ = f.Close() }() // opened for reading only
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a file")
		}
	}
	if err == nil {
		err = eachLine(io.LimitReader(f, 2*deadLettersSize+maxLetter), maxLetter, do)
	}
	if err != nil {
		p.note("%s cannot be read: %v", filepath.Base(path), err)
	}
}

// Message takes a record of a stream apart. It is not ok when the record is no message.
func Message(r spool.Record) (topic string, payload json.RawMessage, ok bool) {
	var e envelope
	if err := json.Unmarshal(r.Payload, &e); err != nil || e.Topic == "" {
		return "", nil, false
	}
	return e.Topic, e.Message, true
}
