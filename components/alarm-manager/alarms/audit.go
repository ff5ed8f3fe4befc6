package alarms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"edgepdm/shared/alarm"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// The audit log has each change of an alarm, one sealed JSON document a line. It is turned over once it is full, so that there is
// one file of before at most. A change is on disk with the alarm itself, in the journal, until it is in the log: a process that is
// killed leaves none out and writes none twice.
const (
	auditName    = "audit.jsonl"
	auditBefore  = "audit.jsonl.1"
	maxAudit     = 4 << 20 // bytes of a file
	maxAuditFile = 2 * maxAudit
	maxPending   = 10_000 // changes that wait while the disk does not take them
)

// Told is a change as the audit log and the event have it.
type Told struct {
	V       int              `json:"v"`
	N       uint64           `json:"n"` // counts the changes of this core
	TS      time.Time        `json:"ts"`
	Change  alarm.Kind       `json:"change"`
	Thing   string           `json:"thing,omitempty"`
	From    string           `json:"from,omitempty"` // what it was called before it was renamed
	Into    string           `json:"into,omitempty"` // what it is called since, of an alarm under the old name
	Line    string           `json:"line,omitempty"`
	Fault   event.Fault      `json:"fault,omitempty"`
	State   event.AlarmState `json:"state,omitempty"`
	Active  bool             `json:"active,omitempty"`
	Sev     event.Severity   `json:"severity,omitempty"`
	By      string           `json:"by,omitempty"` // as claimed; missing: the system
	Why     string           `json:"why,omitempty"`
	Outcome alarm.Outcome    `json:"outcome,omitempty"`
	Until   time.Time        `json:"until,omitzero"` // end of a shelving
	To      alarm.Audience   `json:"to,omitzero"`    // who is told
	Step    int              `json:"step,omitempty"`
	Again   bool             `json:"again,omitempty"` // it was listed before, and is told now
	Count   int              `json:"count,omitempty"`
	Reasons []string         `json:"reasons,omitempty"` // what points to it
	Life    *event.Life      `json:"life,omitempty"`    // until maintenance is needed
	Text    string           `json:"text,omitempty"`    // of the event only
}

const maxWhy = 300 // bytes of a comment in the log

func newTold(c alarm.Change) Told {
	t := Told{
		V: event.Version, TS: c.At, Change: c.Kind, Thing: c.Alarm.Thing, Line: c.Alarm.Line, Fault: c.Alarm.Fault, State: c.Alarm.State,
		Active: c.Alarm.Active, Sev: c.Alarm.Priority, By: printable(c.By), Why: printable(event.Cut(c.Why, maxWhy)), Outcome: c.Outcome, To: c.To, Step: c.Step,
		Again: c.Again, Count: c.Count, From: c.From, Into: c.Into,
	}
	if c.Kind == alarm.Shelved && c.Alarm.Shelved != nil {
		t.Until = c.Alarm.Shelved.Until
	}
	return t
}

// printable makes a text of somebody else fit for a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// readAudit calls each with the changes of the log, the oldest first, and returns how many lines are damaged.
func readAudit(dir string, each func(Told)) (damaged int, err error) {
	for _, name := range []string{auditBefore, auditName} {
		data, err := durable.ReadFile(filepath.Join(dir, name), maxAuditFile)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return damaged, fmt.Errorf("read %s: %w", name, err)
		}
		for line := range bytes.Lines(data) {
			var t Told
			body, sealed, err := durable.Open(line)
			if err != nil || !sealed || json.Unmarshal(body, &t) != nil {
				if len(bytes.Trim(line, "\n\x00")) > 0 {
					damaged++
				}
				continue
			}
			each(t)
		}
	}
	return damaged, nil
}

// lastAudited returns the number of the last change in the log, and those that renamed a thing.
func lastAudited(dir string) (last uint64, renames []Told, err error) {
	_, err = readAudit(dir, func(t Told) {
		if last = max(last, t.N); t.renamed() {
			renames = append(renames, t)
		}
	})
	return last, renames, err
}

// appendAudit puts changes into the log.
func appendAudit(dir string, changes []Told) error {
	var lines []byte
	for _, t := range changes {
		line, err := durable.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode a change: %w", err)
		}
		lines = append(lines, line...)
	}
	path := filepath.Join(dir, auditName)
	if info, err := os.Stat(path); err == nil && info.Size() > 0 && info.Size()+int64(len(lines)) > maxAudit {
		if err := durable.Rename(path, filepath.Join(dir, auditBefore)); err != nil {
			return fmt.Errorf("turn the audit log over: %w", err)
		}
	}
	if err := durable.AppendLine(path, lines, true); err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

// History returns the last n changes of a thing that a component's work directory has, under all of its names, the newest last, and
// how many lines of the log are damaged. Of all things for "".
func History(dir, thing string, n int) (last []Told, damaged int, err error) {
	_, renames, err := lastAudited(dir)
	if err != nil {
		return nil, 0, err
	}
	own := names(thing, renames)
	damaged, err = readAudit(dir, func(t Told) {
		if thing != "" && !t.isOf(own) {
			return
		}
		if t.Change == alarm.Returned && t.Again && joinEnd(last, t) {
			return
		}
		if last = append(last, t); len(last) > 2*n {
			last = append([]Told(nil), last[len(last)-n:]...)
		}
	})
	return last[max(0, len(last)-n):], damaged, err
}

// joinEnd adds to the end of a short alarm who was told of it later.
func joinEnd(changes []Told, later Told) bool {
	for i, c := range slices.Backward(changes) {
		if c.Thing == later.Thing && c.Fault == later.Fault {
			if c.Change != alarm.Returned {
				return false
			}
			changes[i].To = later.To
			return true
		}
	}
	return false
}
