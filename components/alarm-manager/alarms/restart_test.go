package alarms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/need"
)

// childWorkDir makes this test binary an alarm manager, which a test kills.
const childWorkDir = "EDGEPDM_TEST_MANAGER"

func TestMain(m *testing.M) {
	dir := os.Getenv(childWorkDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	env := component.OSEnvironment()
	env.WorkDir, env.Log = dir, slog.New(slog.DiscardHandler)
	err := component.Run(context.Background(), component.Spec[alarms.Config]{
		Name: event.AlarmManager, Default: alarms.Default, Run: alarms.Manager{CoreThing: "core-1", Now: time.Now}.Run,
	}, env)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// spawn starts the manager as a process of its own, waits until it is at work, and returns what kills it with SIGKILL.
func (r *rig) spawn() (kill func()) {
	r.t.Helper()
	program, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	child := exec.Command(program)
	child.Stderr = os.Stderr
	child.Env = append(os.Environ(), childWorkDir+"="+r.env.WorkDir)
	for _, name := range []string{ipc.EnvSocket, ipc.EnvAuthToken} {
		child.Env = append(child.Env, name+"="+r.env.Getenv(name))
	}
	if err := child.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
		r.ended[r.run] = true
	}
	r.t.Cleanup(kill)
	return kill
}

func (r *rig) awaitGaps(n uint64) {
	r.t.Helper()
	r.await(fmt.Sprintf("%d gaps", n), func(h event.Health) bool { return h.Counters[alarms.CounterGaps] == n })
}

// F12: predictions that came while the manager was dead are counted by the next process, exactly. A repeated one does not
// move the mark back.
func TestGapsAreCountedAcrossKills(t *testing.T) {
	r := stoppedRig(t)
	kill := r.spawn()
	r.predict(make([]float64, 20)...)
	r.seq++ // never published
	r.predict(0)
	r.awaitGaps(1)
	r.seq = 4
	r.predict(0)
	r.seq = 22
	r.predict(0, 0)
	r.seq++
	r.predict(0) // 26 is published, 25 is not
	r.awaitGaps(2)
	kill()
	r.predict(make([]float64, 7)...)
	kill = r.spawn()
	r.predict(0)
	r.awaitGaps(7)
	kill()
}

// A thing that fell silent while the manager was not running raises its alarm when it has been silent for as long as it takes,
// in time in which somebody listened.
func TestSilenceAcrossARestart(t *testing.T) {
	r := newRig(t)
	r.predict(0.1)
	r.await("the prediction", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 1 })
	r.stop()
	r.advance(time.Hour)
	r.start()
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1}) // the hour alone is no silence
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.advance(31 * time.Second)
	if a := r.expect(event.FaultSilence, event.AlarmUnacknowledged); a.Thing != "press-1" || a.Line != "line-1" {
		t.Errorf("%+v", a)
	}
	r.predict(0.1)
	r.expect(event.FaultSilence, event.AlarmNormal)
}

// A change of the configuration does not make silence and the uplink's absence start over, nor does a restart.
func TestAbsenceGoesOn(t *testing.T) {
	for name, interrupt := range map[string]func(r *rig){
		"restart": func(r *rig) { r.stop(); r.start() },
		"configuration": func(r *rig) {
			coretest.Configure(r.t, r.core, event.AlarmManager, map[string]any{"votes": 2})
			r.await("the end of the old work", func(event.Health) bool { return strings.Contains(r.log.String(), "configuration changed") })
			r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1}) // the new work's first
			r.expect(event.FaultTest, event.AlarmUnacknowledged)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := stoppedRig(t)
			coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"silence": "5m"})
			r.start()
			r.predict(0.1)
			r.await("the prediction", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 1 })
			r.publish(event.HealthTopic("com.edgepdm.CloudForwarder"), event.Health{V: 1, Component: "com.edgepdm.CloudForwarder", Uplink: event.UplinkDown})
			r.await("the news", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
			begin := time.Now().Add(time.Duration(r.ahead.Load()))
			r.advance(4 * time.Minute)
			interrupt(r)
			r.await("the uplink as it was", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
			r.advance(2 * time.Minute)
			seen := make(map[event.Fault]event.Alert)
			for len(seen) < 2 {
				a := r.alert()
				seen[a.Fault] = a
			}
			for _, fault := range []event.Fault{event.FaultSilence, event.FaultUplinkDown} {
				if a := seen[fault]; a.State != event.AlarmUnacknowledged || a.Since.After(begin.Add(time.Second)) {
					t.Errorf("%s: %+v, want it since %v", fault, a, begin)
				}
			}
			if text := seen[event.FaultUplinkDown].Text; !strings.Contains(text, "no connection to the cloud") {
				t.Errorf("%s", text)
			}
		})
	}
}

// A forwarder that says nothing at all is an alarm too, which ends with its first word.
func TestDeadForwarderIsAnAlarm(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.advance(6 * time.Minute)
	if a := r.expect(event.FaultUplinkDown, event.AlarmUnacknowledged); a.Thing != "core-1" || !strings.Contains(a.Text, "forwarder of core 1 is not heard") {
		t.Errorf("%+v", a)
	}
	r.publish(event.HealthTopic("com.edgepdm.ModelFetcher"), event.Health{V: 1, Component: "com.edgepdm.ModelFetcher"}) // somebody else
	r.publish(event.HealthTopic("com.edgepdm.CloudForwarder"), event.Health{V: 1, Component: "com.edgepdm.CloudForwarder"})
	r.expect(event.FaultUplinkDown, event.AlarmNormal)
	// One that is heard in time is none.
	r.advance(4 * time.Minute)
	r.publish(event.HealthTopic("com.edgepdm.CloudForwarder"), event.Health{V: 1, Component: "com.edgepdm.CloudForwarder", Uplink: event.UplinkDown})
	r.await("the news", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
	r.advance(4 * time.Minute)
	begin := r.await("a health message", func(event.Health) bool { return true }).TS
	r.await("time for a tick", func(h event.Health) bool { return h.TS.Sub(begin) > 2*time.Second })
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
}

// A nucleus that does not take an alert delays no event.
func TestSlowNucleusDelaysNoEvent(t *testing.T) {
	r := stoppedRig(t)
	under, release := make(chan string, 100), make(chan struct{})
	r.publishAlert = func(ctx context.Context, topic string, _ []byte) error {
		under <- topic
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.start()
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	if topic := <-under; topic != event.AlertTopic("core-1") {
		t.Errorf("alert on %s", topic)
	}
	r.predict(0.9, 0.9, 0.9)
	h := r.await("the alarm", func(h event.Health) bool {
		return h.Counters[event.CounterPredictions] == 3 && h.Counters[alarms.CounterRaised] == 2
	})
	if h.Counters[alarms.CounterPublished] != 0 || h.Counters[event.CounterAlertPending] != 2 {
		t.Errorf("%+v", h.Counters)
	}
	close(release)
	if topic := <-under; topic != event.AlertTopic("press-1") {
		t.Errorf("alert on %s", topic)
	}
	r.await("both published", func(h event.Health) bool { return h.Counters[alarms.CounterPublished] == 2 })
}

// A manager that is stopped while the nucleus takes nothing ends all the same, and the alert is on disk for the next.
func TestStopsWhileTheNucleusHangs(t *testing.T) {
	r := stoppedRig(t)
	under := make(chan struct{}, 100)
	r.publishAlert = func(ctx context.Context, _ string, _ []byte) error {
		under <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	r.start()
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	<-under
	r.stop()
	r.publishAlert = nil
	r.start()
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
}

// Files of newer versions are left unharmed, and the work goes on in memory; for the alarms' that is said all the time.
func TestFilesOfNewerVersions(t *testing.T) {
	r := stoppedRig(t)
	files := map[string]string{"alarms.json": `{"format":9,"outbox":{}}`, "sequence-numbers": "EPDMSEQ9 of the future", "watched.json": `{"format":9,"machines":{}}`}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.env.WorkDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	degraded := func(h event.Health) bool {
		return h.State == event.StateDegraded && strings.Contains(h.Detail, "read alarms.json: format 9: written by a newer version")
	}
	r.begin()
	r.await("DEGRADED", degraded)
	r.predict(0.9, 0.9, 0.9)
	a := r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	r.ack(a.ID)
	h := r.await("the acknowledgement", func(h event.Health) bool {
		return h.Counters[alarms.CounterAcked] == 1 && h.Counters[event.CounterAlertPending] == 0
	})
	if !degraded(h) {
		t.Errorf("%s %s", h.State, h.Detail)
	}
	r.stop()
	for name, text := range files {
		if got, err := os.ReadFile(filepath.Join(r.env.WorkDir, name)); err != nil || string(got) != text {
			t.Errorf("%s became %q, %v", name, got, err)
		}
	}
}

// A manager that is killed again and again, in the middle of its writing, keeps each alert that it said is on disk, and finds no
// damage. What it sends of them later is marked, as the process before may have sent it.
func TestKilledWhileItWrites(t *testing.T) {
	r := stoppedRig(t)
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"silence": "0s", "uplinkDown": "0s"})
	replies, err := r.client.Subscribe(t.Context(), event.ReplyTopic(event.TopicTestAlarm), ipc.ReceiveFromOthers)
	if err != nil {
		t.Fatal(err)
	}
	promised := make(map[string]bool)
	for round := range 8 {
		kill := r.spawn()
		for range 40 {
			r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
		}
		for range 5 * round {
			m := <-replies.Events()
			var reply event.Reply
			if err := json.Unmarshal(m.Payload, &reply); err != nil || !strings.HasSuffix(reply.Text, "is raised and on disk") {
				t.Fatalf("%+v, %v", reply, err)
			}
			promised[strings.Fields(reply.Text)[2]] = true
		}
		kill()
		for waiting := true; waiting; { // those that were promised before the kill
			select {
			case m := <-replies.Events():
				var reply event.Reply
				if err := json.Unmarshal(m.Payload, &reply); err != nil {
					t.Fatal(err)
				}
				promised[strings.Fields(reply.Text)[2]] = true
			default:
				waiting = false
			}
		}
		for len(r.alerts.Events()) > 0 {
			<-r.alerts.Events()
		}
	}
	if len(promised) < 100 {
		t.Fatalf("only %d alerts", len(promised))
	}
	r.start()
	for len(promised) > 0 {
		a := r.alert()
		if a.Replayed {
			delete(promised, a.ID)
		}
		r.ack(a.ID)
	}
	if log := r.log.String(); strings.Contains(log, "damaged") {
		t.Error(log)
	}
	r.stop()
	changes, damaged, err := alarms.History(r.env.WorkDir, "", 10_000)
	if err != nil || damaged > 0 || len(changes) < 100 {
		t.Errorf("%d changes in the audit log, %d damaged, %v", len(changes), damaged, err)
	}
	for i, c := range changes {
		if c.N != uint64(i+1) {
			t.Fatalf("change %d of the audit log is number %d", i+1, c.N)
		}
	}
}

// Alarms and things that were damaged on disk are told in the health for a day, also by the next process; what is whole of them
// goes on.
func TestDamageOnDiskIsTold(t *testing.T) {
	r := stoppedRig(t)
	r.start()
	r.predict(0.9, 0.9, 0.9)
	raised := r.alert()
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.await("the acknowledgement", func(h event.Health) bool { return h.Counters[alarms.CounterAcked] == 1 })
	r.stop()
	for name, at := range map[string]int{"alarms.log": -40, "watched.json": 20} { // in the last entry, that of the acknowledgement
		path := filepath.Join(r.env.WorkDir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[(at+len(data))%len(data)] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		r.begin()
		h := r.await("DEGRADED by both files", func(h event.Health) bool { return h.State == event.StateDegraded && len(h.Conditions) == 2 })
		places := make(map[string]event.Code)
		for _, c := range h.Conditions {
			places[c.Place] = c.Code
		}
		if places["alarms.log"] != event.CodeStateOnDisk || places["watched.json"] != event.CodeStateOnDisk || !strings.Contains(h.Detail, "alarms.log.damaged-") {
			t.Errorf("%+v", h)
		}
		r.engine(event.StateOK)
		for a := r.alert(); a.ID != raised.ID; a = r.alert() {
		}
		r.stop()
	}
	r.ahead.Add(int64(25 * time.Hour))
	r.start()
}

// A file that could not be read at the start is read when it can be: what it has, and what has happened meanwhile, goes on.
func TestAlarmsThatCouldNotBeReadAreReadLater(t *testing.T) {
	r := newRig(t)
	r.predict(0.9, 0.9, 0.9)
	raised := r.alert()
	r.stop()
	path := filepath.Join(r.env.WorkDir, "alarms.log")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // reading fails, for root too
		t.Fatal(err)
	}
	r.begin()
	r.await("DEGRADED", func(h event.Health) bool { return h.State == event.StateDegraded })
	r.engine(event.StateOK)
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	r.advance(11 * time.Second)
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	if a := r.expect(event.FaultMachine, event.AlarmUnacknowledged); a.ID != raised.ID || !a.Replayed {
		t.Errorf("%+v", a)
	}
	r.predict(0.1, 0.1, 0.1)
	r.expect(event.FaultMachine, event.AlarmNormal)
}
