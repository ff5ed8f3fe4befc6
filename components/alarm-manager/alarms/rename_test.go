package alarms_test

import (
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// A machine that is renamed goes on under its new name, also when the manager is killed right after the answer: its alarm, its history and
// that it is watched. The old name is forgotten, and is another machine when it is heard again.
func TestAMachineIsRenamed(t *testing.T) {
	need.Long(t)
	r := managedRig(t, localcore.Classic, map[string]any{"silence": "4s"})
	d := r.desk()
	kill := r.spawn()
	r.predict(0.9, 0.9, 0.9)
	r.ack(r.expect(event.FaultMachine, event.AlarmUnacknowledged).ID)
	r.await("a tick", ticked(time.Now())) // with which it is on disk that press-1 is watched
	d.orders("operator", `{"v":1,"id":"7","thing":"press-1","do":"rename","to":"press-9"}`, false, "is for engineers")
	d.orders("engineer", `{"v":1,"id":"7","thing":"press-1","do":"rename"}`, false, "to: ")
	d.orders("engineer", `{"v":1,"id":"7","thing":"press-7","do":"rename","to":"press-9"}`, false, "nothing has been heard of press-7")
	d.orders("engineer", `{"v":1,"id":"7","thing":"core-1","do":"rename","to":"press-9"}`, false, "is the core")
	d.orders("engineer", `{"v":1,"id":"7","thing":"line:line-1","do":"rename","to":"press-9"}`, false, "is no machine")
	d.orders("engineer", `{"v":1,"id":"7","thing":"press-1","do":"rename","to":"press-9","by":"Bob","comment":"hall 2"}`, true,
		"renamed: press-1 is press-9 from now on; what comes as press-1 is another machine")
	kill()

	r.start()
	if l := r.list(); len(l.Alarms) != 1 || l.Alarms[0].Thing != "press-9" || l.Alarms[0].Fault != event.FaultMachine {
		t.Errorf("%+v", l)
	}
	_ = next[event.Reply](r, d.replies) // of the list
	r.ahead.Add(int64(5 * time.Second)) // nobody is heard: it is the machine of the new name that is silent
	r.engine(event.StateOK)
	renamed := make(map[string]event.Alert)
	a := r.alert()
	for ; a.Change == "renamed"; a = r.alert() { // again, if it was not acknowledged before the kill
		renamed[a.Thing] = a
		r.ack(a.ID)
	}
	if over := renamed["press-1"]; over.State != event.AlarmNormal || over.ForPeople() || over.Text != "line 1, press 1 is called press 9 now." {
		t.Errorf("%+v", over)
	}
	if now := renamed["press-9"]; now.State != event.AlarmUnacknowledged || now.Fault != event.FaultMachine || now.ForPeople() {
		t.Errorf("%+v", now)
	}
	if a.Fault != event.FaultSilence || a.Thing != "press-9" || a.Line != "line-1" {
		t.Errorf("%+v", a)
	}
	d.orders("operator", `{"v":1,"id":"7","thing":"press-9","fault":"machine-fault","do":"acknowledge","outcome":"confirmed"}`, true, "acknowledged: press-9")
	r.await("a tick", ticked(time.Now()))
	r.stop()

	kinds := func(thing string) (all []alarm.Kind) {
		changes, _, err := alarms.History(r.env.WorkDir, thing, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Change == alarm.Renamed && c.Fault == "" && (c.From != "press-1" || c.Thing != "press-9" || c.By != "Bob" || c.Why != "hall 2") {
				t.Errorf("%+v", c)
			}
			all = append(all, c.Change)
		}
		return all
	}
	if got := kinds("press-9"); len(got) != 5 || got[0] != alarm.Raised || got[1] != alarm.Renamed || got[4] != alarm.Acknowledged {
		t.Errorf("history of press-9: %v", got)
	}
	if got := kinds("press-1"); len(got) != 2 || got[0] != alarm.Renamed { // no change of the machine that has another name now
		t.Errorf("history of press-1: %v", got)
	}
}
