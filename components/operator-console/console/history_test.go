package console_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// The history begins with the alarm manager's log, both files of it; a damaged line costs that line, and a log that cannot be read
// keeps no later change from being shown.
func TestTheHistoryBeginsWithTheLog(t *testing.T) {
	line := func(n int, why string) []byte {
		data, err := durable.Marshal(map[string]any{"v": 1, "n": n, "ts": time.Now(), "change": "raised", "thing": "press-1", "fault": "machine-fault", "why": why})
		must.OK(t, err)
		return data
	}
	log := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(log, "audit.jsonl.1"), line(1, "older file"), 0o600))
	damaged := line(3, "damaged")
	damaged[len(damaged)/2] ^= 4
	must.OK(t, os.WriteFile(filepath.Join(log, "audit.jsonl"), append(append(line(2, "newer file"), damaged...), line(4, "last")...), 0o600))
	r := newRig(t, localcore.Classic, map[string]any{"alarms": log})
	r.until("what happened before", r.has(picture.History, "00000000000000000004", "last"))
	if h := r.page[picture.History]; len(h) != 3 || !r.has(picture.History, "00000000000000000001", "older file")() || !r.has(picture.History, "00000000000000000002", "newer file")() {
		t.Errorf("%s", h)
	}

	unreadable := t.TempDir()
	must.OK(t, os.Mkdir(filepath.Join(unreadable, "audit.jsonl"), 0o700))
	r = newRig(t, localcore.Classic, map[string]any{"alarms": unreadable})
	r.publish(event.TopicAlarmEvent, map[string]any{"v": 1, "n": 5, "ts": time.Now(), "change": "raised", "thing": "press-1", "fault": "machine-fault"})
	r.until("what happens now", r.has(picture.History, "00000000000000000005", "press-1"))
}
