package alarms_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
)

// The end of alarms.log that is missing is told, as nothing else would, and once; and numbers on a disk that cannot be used at
// the start are gone on with once it can.
func TestWhatIsMissingOnDiskIsTold(t *testing.T) {
	const torn = "the file of alarms ended within an entry"
	r := newRig(t)
	for n := range uint64(2) { // the second is behind what the file was made with
		r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1, Thing: "press-1"})
		r.await("an alert", func(h event.Health) bool { return h.Counters["alert.pending"] == n+1 })
	}
	r.stop()
	path := filepath.Join(r.env.WorkDir, "alarms.log")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	numbers := filepath.Join(r.env.WorkDir, "sequence-numbers")
	if err := os.Rename(numbers, numbers+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(numbers, 0o700); err != nil { // which is no file
		t.Fatal(err)
	}
	r.begin()
	r.await("DEGRADED", func(h event.Health) bool {
		return h.State == event.StateDegraded && h.Conditions[0].Code == event.CodeStateOnDisk && h.Conditions[0].Place == "sequence-numbers"
	})
	if err := os.Remove(numbers); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(numbers+"-away", numbers); err != nil {
		t.Fatal(err)
	}
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	r.stop()
	r.start()
	r.stop()
	if n := strings.Count(r.log.String(), torn); n != 1 {
		t.Errorf("told %d times: %s", n, r.log)
	}
}
