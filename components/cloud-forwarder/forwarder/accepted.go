package forwarder

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
)

// acceptedName is the file of ids, in the work directory.
const acceptedName = "accepted-ids"

// accepted remembers the ids of what is, or was, in the streams of alerts, so that an alert which is published again, as its
// acknowledgement was lost, is acknowledged again and not kept twice, by another process either. Its file has a line for each:
// a checksum, the stream and the id. A damaged line, or one that a loss of power took, costs a repeat, nothing else.
type accepted struct {
	path string

	mu      sync.Mutex
	streams map[string]*recent
	lines   int
}

// openAccepted reads the ids that processes before have accepted.
func openAccepted(path string, streams ...string) *accepted {
	a := &accepted{path: path, streams: make(map[string]*recent)}
	for _, name := range streams {
		a.streams[name] = newRecent(recentAlerts)
	}
	f, err := os.Open(path)
	if err != nil {
		return a
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); a.lines++ {
		if stream, id, ok := readAccepted(lines.Text()); ok {
			a.remember(stream, id)
		}
	}
	return a
}

func writeAccepted(b []byte, stream, id string) []byte {
	line := stream + " " + strconv.Quote(id)
	return fmt.Appendf(b, "%08x %s\n", crc32.Checksum([]byte(line), castagnoli), line)
}

func readAccepted(line string) (stream, id string, ok bool) {
	sum, rest, _ := strings.Cut(line, " ")
	if sum != fmt.Sprintf("%08x", crc32.Checksum([]byte(rest), castagnoli)) {
		return "", "", false
	}
	stream, quoted, _ := strings.Cut(rest, " ")
	id, err := strconv.Unquote(quoted)
	return stream, id, err == nil
}

func (a *accepted) has(stream, id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.streams[stream]
	return r != nil && r.has(id)
}

// remember notes an id in memory.
func (a *accepted) remember(stream, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.streams[stream]; r != nil {
		r.add(id)
	}
}

// add notes an id that is on disk in its stream.
func (a *accepted) add(stream, id string) error {
	a.remember(stream, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lines >= 3*recentAlerts {
		return a.shorten()
	}
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("remember id: %w", err)
	}
	_, err = f.Write(writeAccepted(nil, stream, id))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("remember id: %w", err)
	}
	a.lines++
	return nil
}

// shorten writes the file again, with what is remembered. mu is held.
func (a *accepted) shorten() error {
	var b []byte
	a.lines = 0
	for stream, r := range a.streams {
		for i := range r.ring {
			if id := r.ring[(r.next+i)%len(r.ring)]; id != "" {
				b = writeAccepted(b, stream, id)
				a.lines++
			}
		}
	}
	return component.WriteFileAtomic(a.path, b, 0o600)
}

// endings remembers when alarms were over, so that an alert which is delivered late can say so.
type endings struct {
	mu   sync.Mutex
	ids  *recent
	over map[string]time.Time
}

func newEndings() *endings {
	return &endings{ids: newRecent(recentAlerts), over: make(map[string]time.Time)}
}

// alarmOf names an alarm: the alert of its end has the same thing, fault and time since when.
func alarmOf(a event.Alert) string {
	return fmt.Sprintf("%s %s %d", a.Thing, a.Fault, a.Since.UnixNano())
}

func (e *endings) add(a event.Alert) {
	if a.State != event.AlarmNormal {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := alarmOf(a)
	if forgotten := e.ids.ring[e.ids.next]; !e.ids.has(key) {
		delete(e.over, forgotten)
	}
	e.ids.add(key)
	e.over[key] = a.TS
}

// of returns when the alarm of an alert was over; zero if that is not known, or is what the alert itself tells.
func (e *endings) of(a event.Alert) time.Time {
	if a.State == event.AlarmNormal {
		return time.Time{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over[alarmOf(a)]
}

// scan notes what waits in a stream of alerts from before.
func (f *Forwarder) scan(stream string, queue *spool.Queue) {
	for after := uint64(0); ; {
		records, err := queue.PeekAfter(after, peekRecords, peekBytes)
		if err != nil || len(records) == 0 { // whoever delivers them tells what is wrong
			return
		}
		for _, r := range records {
			after = r.Seq
			f.accepted.remember(stream, r.ID)
			var e envelope
			if json.Unmarshal(r.Payload, &e) != nil || !bytes.Contains(e.Message, []byte(event.AlarmNormal)) {
				continue
			}
			if a, err := event.DecodeAlert(e.Message); err == nil {
				f.endings.add(a)
			}
		}
	}
}
