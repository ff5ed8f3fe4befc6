package modelstore

import (
	"strings"
	"testing"

	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
)

// TestSyncOrder checks that everything a rename puts in place is synced before it, that the quarantine is before the end of
// a rollback, and that nothing is left to chance when an operation returns.
func TestSyncOrder(t *testing.T) {
	for _, sc := range scenarios(t) {
		t.Run(strings.ReplaceAll(sc.name, " ", "-"), func(t *testing.T) {
			b := newBench(t)
			if sc.prepare != nil {
				sc.prepare(b)
				b.open()
			}
			w := modeltest.NewWitness(t, b.dir)
			b.store.disk = disk.Disk{Before: w.Before}
			if err := sc.run(b, b.store); err != nil {
				t.Fatal(err)
			}
			w.Clean("is left", b.dir)
		})
	}
}
