package modelstore

import (
	"cmp"
	"os"
	"slices"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// LastActive returns the models of a store that cannot be opened, as far as their files can be read: the active one, then
// the one before it; where it cannot be read which these are, all models, the highest version first. It takes no lock and
// changes nothing. What is wrong with a model's file, Installed.Load tells.
func LastActive(dir string, options Options) []Installed {
	s := newStore(disk.Disk{}, dir, options)
	var q quarantined
	if s.readEither(quarantineFile, maxQuarantine, &q) {
		s.quarantine = q.Entries
	}
	var models []Installed
	add := func(id string, named bool) {
		i, err := s.load(id)
		// One that is not named may be a candidate; one that is may have been rolled back, which was interrupted.
		if err == nil && (named || !i.held) && !s.rolledBack(i) {
			models = append(models, i)
		}
	}
	var p pointers
	if s.readEither(currentFile, maxStateFile, &p) {
		add(p.Current, true)
		add(p.Previous, true)
	}
	if len(models) > 0 {
		return models
	}
	entries, _ := os.ReadDir(s.path(versionsDir)) // where it cannot be read, there are none
	for _, e := range entries {
		add(e.Name(), false)
	}
	slices.SortFunc(models, func(a, b Installed) int {
		return cmp.Or(envelope.Compare(b.Manifest.Version, a.Manifest.Version), b.Accepted.Compare(a.Accepted))
	})
	return models
}

// readEither reads a state file or, whatever is wrong with it, its second copy.
func (s *Store) readEither(name string, limit int64, into any) bool {
	return readJSON(s.path(name), limit, into) == nil || readJSON(s.path(name+copySuffix), limit, into) == nil
}
