// Package picture is what the console knows of the plant at the moment: records of several kinds, each with the version at which it changed
// last. A page that knows the version of its last news gets what has changed since, however long it slept.
package picture

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"
)

// Kind says what a record is.
type Kind string

// The kinds.
const (
	Things      Kind = "things"      // by thing: what the model said last, see Thing
	Alarms      Kind = "alarms"      // by thing and fault, with a space between
	Places      Kind = "places"      // lines and things that are out of service, or retired
	Components  Kind = "components"  // by component: its health
	Models      Kind = "models"      // by id: the last events of models
	Drifts      Kind = "drifts"      // by line
	Comparisons Kind = "comparisons" // the figures of the candidate, under "fault"
	History     Kind = "history"     // by number: the last changes of alarms
	Site        Kind = "site"        // facts of the site, under "site"
)

const maxGone = 4096 // removals that are remembered

// Store has the records. For several goroutines.
type Store struct {
	epoch string // random: versions of another process mean nothing

	mu      sync.Mutex
	version uint64
	records map[Kind]map[string]record
	gone    []removal     // oldest first
	urgent  chan struct{} // is closed with the next change that a person waits for
	least   uint64        // a page that knows less than this version needs all
}

type record struct {
	version uint64
	data    json.RawMessage
}

type removal struct {
	version uint64
	kind    Kind
	key     string
}

// NewStore returns an empty store. The epoch tells its versions from those of other stores.
func NewStore(epoch string) *Store {
	return &Store{epoch: epoch, version: 1, records: make(map[Kind]map[string]record), urgent: make(chan struct{})}
}

// Set puts a record, in place of the one with the key.
func (s *Store) Set(kind Kind, key string, data json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.records[kind]
	if of == nil {
		of = make(map[string]record)
		s.records[kind] = of
	}
	if old, there := of[key]; there && bytes.Equal(old.data, data) {
		return
	}
	s.version++
	of[key] = record{s.version, data}
	s.changed(kind)
}

// changed wakes who waits for what a person waits for: all but rows and health, which come all the time. The lock is held.
func (s *Store) changed(kind Kind) {
	if kind != Things && kind != Components {
		close(s.urgent)
		s.urgent = make(chan struct{})
	}
}

// Urgent returns a channel that is closed with the next change that a person waits for.
func (s *Store) Urgent() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urgent
}

// Get returns a record; nil if there is none.
func (s *Store) Get(kind Kind, key string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[kind][key].data
}

// Keys returns the keys of a kind, sorted.
func (s *Store) Keys(kind Kind) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.records[kind]))
}

// Delete removes a record.
func (s *Store) Delete(kind Kind, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.records[kind][key]; !there {
		return
	}
	delete(s.records[kind], key)
	s.version++
	s.changed(kind)
	s.gone = append(s.gone, removal{s.version, kind, key})
	if n := len(s.gone) - maxGone; n > 0 {
		s.least = s.gone[n-1].version
		s.gone = slices.Delete(s.gone, 0, n)
	}
}

// Delta is what has changed since a version.
type Delta struct {
	Epoch   string                              `json:"epoch"`
	Version uint64                              `json:"version"`
	Reset   bool                                `json:"reset,omitempty"` // it is all there is: what is not in it is gone
	Set     map[Kind]map[string]json.RawMessage `json:"set,omitempty"`
	Gone    map[Kind][]string                   `json:"gone,omitempty"`
}

// Empty reports whether nothing has changed.
func (d Delta) Empty() bool { return !d.Reset && len(d.Set) == 0 && len(d.Gone) == 0 }

// Since returns what has changed since a version of an epoch; all there is, if that is not known.
func (s *Store) Since(epoch string, version uint64) Delta {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := Delta{Epoch: s.epoch, Version: s.version}
	if epoch != s.epoch || version < s.least || version > s.version {
		d.Reset, version = true, 0
	}
	if version == s.version {
		return d
	}
	for kind, of := range s.records {
		for key, r := range of {
			if r.version <= version {
				continue
			}
			if d.Set == nil {
				d.Set = make(map[Kind]map[string]json.RawMessage)
			}
			if d.Set[kind] == nil {
				d.Set[kind] = make(map[string]json.RawMessage)
			}
			d.Set[kind][key] = r.data
		}
	}
	if d.Reset {
		return d
	}
	for _, g := range s.gone {
		if _, back := s.records[g.kind][g.key]; g.version > version && !back {
			if d.Gone == nil {
				d.Gone = make(map[Kind][]string)
			}
			d.Gone[g.kind] = append(d.Gone[g.kind], g.key)
		}
	}
	return d
}
