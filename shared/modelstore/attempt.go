package modelstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	maxDeaths  = 2 // of the process: below the three after which a nucleus calls the component broken
	maxReboots = 5 // of the machine: power that fails is not the model's fault, unless it fails each time the model is tried
	maxTried   = 16
)

// attempt is a delivery that is being tried, or whose trial ended with the process.
type attempt struct {
	Source  string `json:"source"`
	Count   int    `json:"count"`             // trials that were begun and not ended, without those that ended with the machine
	Reboots int    `json:"reboots,omitempty"` // trials that ended with the machine
	Boot    string `json:"boot,omitempty"`    // names the running of the machine in which the last trial was begun
}

// attempts is the content of attemptFile: the last attempt, and others that ended the process.
type attempts struct {
	Format int `json:"format"`
	attempt
	Others []attempt `json:"others,omitempty"`
}

// errStopping is why nothing is tried any more.
var errStopping = errors.New("the process is stopping")

// attempted returns the attempts that were not ended, the last one first. Where they cannot be read there are none.
func (s *Store) attempted() []attempt {
	var a attempts
	if err := readJSON(s.path(attemptFile), maxStateFile, &a); err != nil || a.Source == "" {
		return nil
	}
	return append([]attempt{a.attempt}, a.Others...)
}

func (s *Store) writeAttempts(list []attempt) error {
	if len(list) == 0 {
		return s.disk.Remove(s.path(attemptFile))
	}
	return s.writeJSON(s.path(attemptFile), attempts{storeFormat, list[0], list[1:min(len(list), maxTried)]})
}

// begin records an attempt, for good, before the model is parsed. It ends when the model is active, dropped or refused. A
// model that takes the process down with it, say for its memory, would otherwise do so at every start.
func (s *Store) begin(source string) error {
	s.trying.Lock()
	defer s.trying.Unlock()
	if s.stopping {
		return errStopping
	}
	list, next := s.attempted(), attempt{Source: source, Count: 1}
	before := slices.Clone(list)
	if i := slices.IndexFunc(list, func(a attempt) bool { return a.Source == source }); i >= 0 {
		next = list[i]
		list = slices.Delete(list, i, i+1)
		if next.Boot != "" && s.options.Boot != "" && next.Boot != s.options.Boot {
			next.Reboots++
		} else {
			next.Count++
		}
	}
	switch next.Boot = s.options.Boot; {
	case next.Count > maxDeaths:
		return fmt.Errorf("%w: %d times in a row", ErrCrashed, maxDeaths)
	case next.Reboots >= maxReboots:
		return fmt.Errorf("%w: the machine restarted each time, %d times in a row", ErrCrashed, maxReboots)
	}
	if err := s.writeAttempts(slices.Insert(list, 0, next)); err != nil {
		return errors.Join(err, s.writeAttempts(before)) // it may be there, and only not synced
	}
	s.tried = source
	return nil
}

// end ends the attempts of which over says that they are over.
func (s *Store) end(over func(source string) bool) error {
	s.trying.Lock()
	defer s.trying.Unlock()
	list := s.attempted()
	left := slices.DeleteFunc(slices.Clone(list), func(a attempt) bool { return over(a.Source) })
	if len(left) == len(list) {
		return nil
	}
	return s.writeAttempts(left)
}

func (s *Store) endAttempt(source string) error {
	return s.end(func(other string) bool { return other == source })
}

// Stop says that the process is about to end, for a reason that is not the model's: the trial under way does not count,
// whatever becomes of it, and no other one begins. It does not wait for Take.
func (s *Store) Stop() error {
	s.trying.Lock()
	defer s.trying.Unlock()
	s.stopping = true
	list := s.attempted()
	i := slices.IndexFunc(list, func(a attempt) bool { return a.Source == s.tried })
	if i < 0 {
		return nil
	}
	if list[i].Count--; list[i].Count+list[i].Reboots == 0 {
		list = slices.Delete(list, i, i+1)
	} else {
		list[i].Boot = "" // the next trial follows no end of the machine
	}
	return s.writeAttempts(list)
}

// bootID names the running of the machine; "" where the system does not say.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
