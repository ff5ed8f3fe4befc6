package forwarder_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
)

// F3 and F12: an alert whose acknowledgement was lost with the process does not leave a second time. Where the next process
// cannot know whether it has left, it leaves with the mark.
func TestRepeatedAlertAfterARestart(t *testing.T) {
	r := newRig(t)
	r.start()
	r.alert("a-1")
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.iot.await(t, "alert", has("a-1"))
	r.awaitSNS(has("a-1"))
	r.stop()
	r.start()
	r.alert("a-1")
	r.alert("a-2")
	r.acks.await(t, "acknowledgements", func(n map[string]int) bool { return n["a-1"] == 2 && n["a-2"] == 1 })
	r.iot.await(t, "alert", has("a-2"))
	r.awaitSNS(has("a-2"))
	if iot, sns := r.iot.counts()["a-1"], r.cloud.Journal().IDs(localcloud.KindSNS)["a-1"]; iot != 1 || sns != 1 {
		t.Errorf("IoT Core got it %d times, SNS %d times", iot, sns)
	}
	r.stop()

	// Killed before it was noted that the streams have it.
	path := r.path("known-alerts.jsonl")
	lines, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.IndexByte(lines, '\n') + 1
	if err := os.WriteFile(path, lines[:end], 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.alert("a-1")
	r.iot.await(t, "alert", times("a-1", 2))
	r.awaitSNS(times("a-1", 2))
	checkOrder(t, r.iot, "/alert/", []string{"a-1", "a-2"})
	mails := r.cloud.Mails()
	if last := mails[len(mails)-1].Body; len(mails) != 3 || !strings.Contains(last, "This message may have arrived before.") {
		t.Errorf("%d mails, the last one is\n%s", len(mails), last)
	}
}

// What was raised and is over when the cloud is back is not told as new, also by the next process. The end arrives, too.
func TestAlarmThatIsOverWhenTheCloudIsBack(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.start()
	begun := time.Now().UTC()
	r.alert("raise", func(a *event.Alert) { a.Since, a.TS = begun, begun })
	r.alert("end", func(a *event.Alert) {
		a.State, a.Since, a.TS, a.Text = event.AlarmNormal, begun, begun.Add(time.Second), "line 7, press 1 is back to normal."
	})
	r.alert("again", func(a *event.Alert) { a.Since, a.TS = begun.Add(2*time.Second), begun.Add(2*time.Second) })
	r.acks.await(t, "acknowledgements", has("raise", "end", "again"))
	r.stop()
	r.ahead.Store(int64(3*time.Hour + time.Minute))
	r.start()
	r.cloud.SetUplink(true)
	r.awaitSNS(has("raise", "end", "again"))
	var subjects []string
	for _, m := range r.cloud.Mails() {
		subjects = append(subjects, m.Subject)
		if said, _, _ := strings.Cut(m.Body, "\n"); strings.Contains(said, "Immediate attention") != (len(subjects) == 3) {
			t.Errorf("%s\n%s", m.Subject, m.Body)
		}
	}
	const place = "machine-fault: press-1 on line-7"
	want := []string{"[LATE 3 h] [OVER] [HIGH] " + place, "[LATE 3 h] [NORMAL] " + place, "[LATE 3 h] [HIGH] " + place}
	if got := strings.Join(subjects, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("subjects\n%s", got)
	}
}

// The end of an alarm goes to the topic unless the configuration says otherwise.
func TestTopicWithoutTheEndOfAlarms(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"alertTopicNormal": false})
	r.start()
	r.alert("end", func(a *event.Alert) { a.State = event.AlarmNormal })
	r.alert("raise")
	r.iot.await(t, "alerts", has("end", "raise"))
	if counts := r.awaitSNS(has("raise")); counts["end"] > 0 {
		t.Errorf("SNS got %v", counts)
	}
}
