package alarms_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/request"
	"edgepdm/test/need"
)

// ask gives the manager a command on the device, and returns the channel of its outcome.
func (r *rig) ask(command string, arguments any, timeout time.Duration, heard func(string)) <-chan error {
	done := make(chan error, 1)
	go func() {
		text, err := request.Call{
			Component: event.AlarmManager, WorkDir: r.env.WorkDir, Command: command, Arguments: arguments, Timeout: timeout, Progress: heard,
		}.Do(r.t.Context())
		if err == nil && !strings.HasSuffix(text, "the cloud forwarder has it") {
			err = errors.New("answered " + text)
		}
		done <- err
	}()
	return done
}

// A5: a test alarm that is asked for on the device goes the way of all alerts, and is answered when the forwarder has it.
func TestATestAlarmOfTheDevice(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.folder()
	done := r.ask(event.CommandTestAlarm, event.TestAlarm{V: 1, Thing: "press-9", Line: "line-2", Text: "Hello, Ann."}, time.Minute, nil)
	a := r.expect(event.FaultTest, event.AlarmUnacknowledged)
	if want := "This is a test alarm of line 2, press 9. No action is required. Hello, Ann."; a.Thing != "press-9" || a.Text != want {
		t.Errorf("%+v", a)
	}
	r.publish(event.TopicAckAlert, event.Ack{V: 1, IDs: []string{a.ID}})
	if err := <-done; err != nil {
		t.Error(err)
	}

	// Without a forwarder it says how far it is.
	heard := make(chan string, 1)
	err := <-r.ask(event.CommandTestAlarm, event.TestAlarm{V: 1}, 2*time.Second, func(text string) { heard <- text })
	a = r.expect(event.FaultTest, event.AlarmUnacknowledged)
	if !errors.Is(err, request.ErrNoAnswer) || !strings.Contains(<-heard, a.ID+" of core-1 is raised and on disk; it waits for the cloud forwarder") {
		t.Errorf("%v", err)
	}

	for command, c := range map[string]struct {
		arguments any
		why       string
	}{
		event.CommandTestAlarm: {event.TestAlarm{V: 1, Thing: "a/b"}, "name"},
		"real-alarm":           {nil, "does not know the command"},
	} {
		if err := <-r.ask(command, c.arguments, time.Minute, nil); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// folder waits until the manager can be asked.
func (r *rig) folder() {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if _, err := os.Stat(filepath.Join(r.env.WorkDir, "requests")); err == nil {
			return
		}
	}
	r.t.Fatal("the manager takes no requests")
}

// A command over IPC is answered on its reply topic.
func TestATestAlarmIsReplied(t *testing.T) {
	r := newRig(t)
	replies, err := r.client.Subscribe(t.Context(), event.ReplyTopic(event.TopicTestAlarm), ipc.ReceiveFromOthers)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		command any
		id      string
		ok      bool
		text    string
	}{
		{event.TestAlarm{V: 1, Thing: "press-1", ID: "one"}, "one", true, "of press-1 is raised and on disk"},
		{event.TestAlarm{V: 1}, "", true, "of core-1 is raised"},
		{event.TestAlarm{V: 1, Thing: "a/b", ID: "two"}, "two", false, "name"},
		{event.TestAlarm{V: 2, ID: "three"}, "three", false, "version"},
		{event.TestAlarm{V: 1, ID: long}, "", false, "id of the command"},
		{event.TestAlarm{V: 1, Text: strings.Repeat("ä", 301)}, "", false, "text has 301 characters"},
		{event.TestAlarm{V: 1, Text: "\x1b[2J"}, "", false, "cannot be printed"},
		{"paint", "", false, "malformed"},
	} {
		r.publish(event.TopicTestAlarm, c.command)
		var got event.Reply
		select {
		case m := <-replies.Events():
			if err := json.Unmarshal(m.Payload, &got); err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%+v: no reply", c.command)
		}
		if got.V != 1 || got.ID != c.id || got.OK != c.ok || !strings.Contains(got.Text, c.text) || got.TS.IsZero() {
			t.Errorf("%+v: %+v", c.command, got)
		}
	}
}
