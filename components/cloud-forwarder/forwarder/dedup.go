package forwarder

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

const (
	dedupName    = "known-alerts.jsonl"
	recentAlerts = 10_000
	// dedupLines is how many lines the file may have for each id that is remembered, until it is written again.
	dedupLines   = 4
	maxDedupLine = 64 << 10
	maxDedupSize = 256 << 20 // of a file that is read at all
)

// dedup remembers the newest alerts and events of models, also those of an earlier process: in which streams they are on disk, so
// that one which is published again is acknowledged again but not kept twice, and which alarms are over. The file has a sealed
// line for each, synced before the alert goes into a stream: no alert leaves that the file does not name. Its methods may be
// called from several goroutines.
type dedup struct {
	path  string
	limit int

	mu    sync.Mutex
	lines int
	byID  map[string]*seen
	order []*seen // oldest first
	over  map[alarm]*seen
}

// seen is what is known of an alert or an event of a model. In the file, the last line of an id counts.
type seen struct {
	ID    string           `json:"id"`
	Thing string           `json:"thing,omitempty"`
	Fault event.Fault      `json:"fault,omitempty"`
	State event.AlarmState `json:"state,omitempty"`
	Since time.Time        `json:"since,omitzero"`
	TS    time.Time        `json:"ts,omitzero"`
	On    []string         `json:"on,omitempty"` // streams that have it on disk

	at time.Time // when this process received it, with its monotonic clock; zero: an earlier one did
}

// alarm is what a raise and its end have in common.
type alarm struct {
	thing string
	fault event.Fault
	since int64
}

func (h *seen) alarm() alarm { return alarm{h.Thing, h.Fault, h.Since.UnixNano()} }

func seenAlert(a event.Alert) seen {
	return seen{ID: a.ID, Thing: a.Thing, Fault: a.Fault, State: a.State, Since: a.Since, TS: a.TS}
}

// openDedup reads what earlier processes received. Damaged lines are left out, and counted in the error; the
// others count.
func openDedup(dir string, limit int) (*dedup, error) {
	k := &dedup{path: filepath.Join(dir, dedupName), limit: limit, byID: make(map[string]*seen), over: make(map[alarm]*seen)}
	f, err := os.Open(k.path)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, fmt.Errorf("read known alerts: %w", err)
	}
	defer func() { _ = f.Close() }()
	damaged := 0
	err = eachLine(io.LimitReader(f, maxDedupSize), maxDedupLine, func(line []byte) {
		k.lines++
		var h seen
		body, sealed, err := durable.Open(line)
		if err != nil || !sealed || json.Unmarshal(body, &h) != nil || h.ID == "" {
			damaged++
			return
		}
		if before := k.byID[h.ID]; before != nil {
			before.On = h.On
			return
		}
		k.add(&h)
	})
	if damaged > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines are damaged", damaged))
	}
	if err != nil {
		k.lines = dedupLines * limit // the next line writes the file again
		return k, fmt.Errorf("read known alerts: %w", err)
	}
	return k, nil
}

// eachLine reads lines. One that is longer than limit is cut.
func eachLine(from io.Reader, limit int, do func(line []byte)) error {
	r := bufio.NewReaderSize(from, limit)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			do(line)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add remembers another alert, and forgets the oldest where there are too many. mu is held, or nobody else has k.
func (k *dedup) add(h *seen) {
	if len(k.order) >= k.limit {
		oldest := k.order[0]
		k.order = slices.Delete(k.order, 0, 1)
		delete(k.byID, oldest.ID)
		if k.over[oldest.alarm()] == oldest {
			delete(k.over, oldest.alarm())
		}
	}
	k.byID[h.ID] = h
	k.order = append(k.order, h)
	switch {
	case h.Since.IsZero():
	case h.State == event.AlarmNormal:
		k.over[h.alarm()] = h
	default:
		delete(k.over, h.alarm()) // raised again
	}
}

// note remembers an alert that arrives. With earlier, a process before this one received it and may have sent it. After an
// error the alert is known, but not to the next process.
func (k *dedup) note(h seen, now time.Time) (earlier bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before := k.byID[h.ID]; before != nil {
		return before.at.IsZero(), nil
	}
	h.at = now
	k.add(&h)
	return false, k.write(&h, true)
}

// doubt notes that nobody waited for the disk's answer: the alert may be in a stream, and has the mark when it comes again,
// as after a restart.
func (k *dedup) doubt(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.byID[id]; h != nil {
		h.at = time.Time{}
	}
}

// has reports whether a stream has the alert on disk.
func (k *dedup) has(id, stream string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.byID[id]
	return h != nil && slices.Contains(h.On, stream)
}

// hasAlarm reports whether a stream has, or had, an alert of the same alarm.
func (k *dedup) hasAlarm(h seen, stream string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.order, func(other *seen) bool { return other.alarm() == h.alarm() && slices.Contains(other.On, stream) })
}

// accept notes that a stream has the alert on disk. That is not synced: after a loss of power the alert comes
// again, and is marked.
func (k *dedup) accept(id, stream string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.byID[id]
	if h == nil || slices.Contains(h.On, stream) {
		return nil
	}
	h.On = append(h.On, stream)
	return k.write(h, false)
}

// write appends a line, or writes the file again when it is long. mu is held.
func (k *dedup) write(h *seen, sync bool) error {
	var err error
	if k.lines >= dedupLines*k.limit {
		err = k.rewrite()
	} else {
		var line []byte
		if line, err = durable.Marshal(h); err == nil {
			k.lines++
			err = durable.AppendLine(k.path, line, sync)
		}
	}
	if err != nil {
		return fmt.Errorf("write known alerts: %w", err)
	}
	return nil
}

// rewrite writes the file with one line for each alert. mu is held.
func (k *dedup) rewrite() error {
	var file bytes.Buffer
	for _, h := range k.order {
		line, err := durable.Marshal(h)
		if err != nil {
			return err
		}
		file.Write(line)
	}
	if err := durable.WriteFileAtomic(k.path, file.Bytes(), 0o600); err != nil {
		return err
	}
	k.lines = len(k.order)
	return nil
}

// status tells, at the moment of its delivery, how old an alert is and whether its alarm is over.
func (k *dedup) status(a event.Alert, now time.Time) alertStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	self := seenAlert(a)
	if h := k.byID[a.ID]; h != nil {
		self = *h
	}
	p := alertStatus{now: now}
	p.raised, p.aged = self.age(now)
	if end := k.over[self.alarm()]; end != nil && a.State != event.AlarmNormal && !a.Since.IsZero() {
		p.over = true
		p.ended, p.endKnown = end.age(now)
	}
	return p
}

// age returns how old an alert is. What this process received it knows by a clock that nobody sets; of others
// a time before which no clock is right, and one that is still to come, say nothing.
func (h *seen) age(now time.Time) (age time.Duration, known bool) {
	at := h.at
	if at.IsZero() {
		at = now
	}
	wall := at.Round(0)
	if h.TS.Before(Sensible()) || wall.Before(Sensible()) || h.TS.After(wall) {
		return now.Sub(at), !h.at.IsZero()
	}
	return now.Sub(at) + wall.Sub(h.TS), true
}
