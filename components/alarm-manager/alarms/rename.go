package alarms

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// A machine that is renamed keeps its alarms, what is done about them, and its history. The change is in the journal with the alarms. The
// list of what is watched is another file: at the start it takes the renamings of the audit log that it does not have.

// linePrefix begins the name under which a line has an alarm.
const linePrefix = "line:"

// renamable says whether what is named first is a machine that is known.
func (r *run) renamable(alarms []alarm.Key) error {
	if len(alarms) == 0 {
		return errors.New("thing: is missing")
	}
	name := alarms[0].Thing
	switch {
	case name == r.core:
		return fmt.Errorf("thing: %s is the core", name)
	case strings.HasPrefix(name, linePrefix):
		return fmt.Errorf("thing: %s is no machine", name)
	case r.watch.things[name] != nil, r.retired[name], r.list.system.Knows(name):
		return nil
	}
	return fmt.Errorf("thing: nothing has been heard of %s: is the name right?", name)
}

// rename goes on watching a thing under its new name, by a change of this number. One that has come under that name already is the same.
func (w *watch) rename(from, to string, number uint64) {
	w.renamed = max(w.renamed, number)
	t := w.things[from]
	if t == nil {
		return
	}
	delete(w.things, from)
	if there := w.things[to]; there == nil || there.absence.from.Before(t.absence.from) {
		w.things[to] = t
	}
}

// renameWatched renames what the list of things does not have yet.
func (r *run) renameWatched() {
	for _, t := range r.list.renames {
		if t.N > r.watch.renamed && event.CheckName(t.Thing) == nil {
			r.watch.rename(t.From, t.Thing, t.N)
		}
	}
	r.list.renames = nil
}

// renamed reports whether a change gives a thing a new name; it gives its alarms theirs with it.
func (t Told) renamed() bool { return t.Change == alarm.Renamed && t.Fault == "" }

// period is when a thing had a name, by the numbers of changes.
type period struct {
	name       string
	first, end uint64
}

// names are those that a thing has had, by the renamings, the oldest first. Nothing that another thing did under one of them is its own.
func names(thing string, renames []Told) (all []period) {
	now := period{name: thing, end: 1<<64 - 1}
	for _, t := range slices.Backward(renames) {
		switch now.name {
		case t.Thing:
			now.first = t.N
			all = append(all, now)
			now = period{name: t.From, end: t.N}
		case t.From: // before, the name was that of a thing that has another now
			now.first = t.N
			return append(all, now)
		}
	}
	return append(all, now)
}

// isOf reports whether a change is one of a thing that had these names.
func (t Told) isOf(all []period) bool {
	return slices.ContainsFunc(all, func(p period) bool {
		return p.first <= t.N && t.N < p.end && (p.name == t.Thing || t.renamed() && p.name == t.From)
	})
}
