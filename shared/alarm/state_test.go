package alarm_test

import (
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

const second, minute, hour = time.Second, time.Minute, time.Hour

// step is one step of a course, and what it has to give.
type step struct {
	on, off bool           // what is observed
	wait    time.Duration  // or how long nothing is
	do      *alarm.Command // or what is ordered
	want    string         // changes
	state   event.AlarmState
}

func yes() *bool { b := true; return &b }

// Each rule's course from a fault to its end.
func TestCourses(t *testing.T) {
	const unack, acked, returned, normal = event.AlarmUnacknowledged, event.AlarmAcknowledged, event.AlarmReturnedUnacknowledged, event.AlarmNormal
	ack := &alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-1"), By: "ann", Outcome: alarm.Confirmed}
	reset := &alarm.Command{Do: alarm.ResetLatch, Alarms: key("a-1"), By: "ann"}
	shelve := &alarm.Command{Do: alarm.Shelve, Alarms: key("a-1"), For: hour}
	unshelve := &alarm.Command{Do: alarm.Unshelve, Alarms: key("a-1")}
	out := &alarm.Command{Do: alarm.TakeOutOfService, Line: "a"}
	back := &alarm.Command{Do: alarm.ReturnToService, Line: "a"}
	for name, c := range map[string]struct {
		rule  alarm.Rule
		steps []step
	}{
		"no rule, returned first": {steps: []step{
			{on: true, want: "raised!", state: unack}, {on: true, state: unack}, {wait: 10 * second}, {off: true, want: "returned!", state: returned},
			{do: ack, want: "acknowledged", state: normal}, {wait: hour, state: normal},
		}},
		"acknowledged first": {steps: []step{
			{on: true, want: "raised!", state: unack}, {wait: minute}, {do: ack, want: "acknowledged", state: acked}, {on: true, state: acked},
			{off: true, want: "returned!", state: normal},
		}},
		"again while nobody has acknowledged": {steps: []step{
			{on: true, want: "raised!"}, {wait: 2 * minute}, {off: true, want: "returned!", state: returned}, {wait: 2 * minute},
			{on: true, want: "raised!", state: unack},
		}},
		"again within the cooldown": {steps: []step{
			{on: true, want: "raised!"}, {wait: 20 * second}, {off: true, want: "returned!"}, {wait: 10 * second},
			{on: true, want: "raised", state: unack}, {wait: 29 * second}, {wait: second, want: "re-alarmed!", state: unack},
			{wait: hour}, {off: true, want: "returned!"},
		}},
		"acknowledged within the cooldown": {steps: []step{
			{on: true, want: "raised!"}, {wait: 20 * second}, {off: true, want: "returned!"}, {on: true, want: "raised"},
			{do: ack, want: "acknowledged"}, {wait: hour, state: acked},
		}},
		"shorter than five seconds": {steps: []step{
			{on: true, want: "raised!"}, {wait: second}, {off: true, want: "returned", state: returned}, {wait: 5 * second, want: "returned!"},
			{wait: hour},
		}},
		"short, acknowledged, and again": {steps: []step{
			{on: true, want: "raised!"}, {wait: second}, {off: true, want: "returned"}, {do: ack, want: "acknowledged returned!", state: normal},
			{on: true, want: "raised", state: unack}, {wait: minute, want: "re-alarmed!"},
		}},
		"on-delay": {alarm.Rule{OnDelay: 10 * second}, []step{
			{on: true}, {wait: 9 * second}, {off: true}, {on: true}, {wait: 9 * second, state: normal}, {wait: second, want: "raised!", state: unack},
		}},
		"off-delay": {alarm.Rule{OffDelay: 10 * second}, []step{
			{on: true, want: "raised!"}, {wait: minute}, {off: true}, {wait: 9 * second}, {on: true}, {off: true}, {wait: 9 * second, state: unack},
			{wait: second, want: "returned!", state: returned},
		}},
		"two of three": {alarm.Rule{Votes: 2, Window: 3}, []step{
			{on: true}, {off: true}, {off: true}, {on: true}, {off: true}, {on: true, want: "raised!"}, {wait: minute},
			{off: true}, {on: true}, {off: true, want: "returned!"},
		}},
		"needs no acknowledgement": {alarm.Rule{AutoAcknowledge: yes()}, []step{
			{on: true, want: "raised!", state: unack}, {wait: minute}, {off: true, want: "returned!", state: normal},
		}},
		"latched, acknowledged after the return": {alarm.Rule{Latched: yes()}, []step{
			{on: true, want: "raised!"}, {wait: minute}, {off: true, want: "returned", state: unack}, {wait: hour, state: unack},
			{do: ack, want: "acknowledged returned!", state: normal},
		}},
		"latched, acknowledged before the return": {alarm.Rule{Latched: yes()}, []step{
			{on: true, want: "raised!"}, {do: ack, want: "acknowledged", state: acked}, {wait: minute}, {off: true, want: "returned", state: acked},
			{wait: hour, state: acked}, {do: reset, want: "reset returned!", state: normal},
		}},
		"latched, and again before the reset": {alarm.Rule{Latched: yes()}, []step{
			{on: true, want: "raised!"}, {do: ack, want: "acknowledged"}, {wait: minute}, {off: true, want: "returned"}, {wait: minute},
			{on: true, want: "raised!", state: unack},
		}},
		"re-alarm": {alarm.Rule{ReAlarm: 10 * minute}, []step{
			{on: true, want: "raised!"}, {wait: minute}, {do: ack, want: "acknowledged", state: acked}, {wait: 8 * minute},
			{wait: minute, want: "re-alarmed!", state: unack}, {wait: 10 * minute, want: "re-alarmed!"}, {off: true, want: "returned!"}, {wait: hour},
		}},
		"escalation": {alarm.Rule{Escalate: []time.Duration{5 * minute, 15 * minute}}, []step{
			{on: true, want: "raised!"}, {wait: 5 * minute, want: "escalated!"}, {wait: 10 * minute, want: "escalated!"}, {wait: 10 * hour},
		}},
		"acknowledged before the second step": {alarm.Rule{Escalate: []time.Duration{5 * minute, 15 * minute}}, []step{
			{on: true, want: "raised!"}, {wait: 5 * minute, want: "escalated!"}, {do: ack, want: "acknowledged"}, {wait: 10 * hour},
		}},
		"over before it escalates": {alarm.Rule{Escalate: []time.Duration{5 * minute}}, []step{
			{on: true, want: "raised!"}, {wait: minute}, {off: true, want: "returned!"}, {wait: 10 * hour},
		}},
		"shelved, and back when its time is over": {alarm.Rule{Escalate: []time.Duration{5 * minute}}, []step{
			{on: true, want: "raised!"}, {do: shelve, want: "shelved", state: unack}, {wait: 59 * minute}, {wait: minute, want: "unshelved!"},
			{wait: 5 * minute, want: "escalated!"},
		}},
		"raised while it is shelved": {steps: []step{
			{on: true, want: "raised!"}, {do: ack, want: "acknowledged"}, {wait: minute}, {off: true, want: "returned!"}, {do: shelve, want: "shelved"},
			{wait: 10 * minute}, {on: true, want: "raised", state: unack}, {do: unshelve, want: "unshelved!"},
		}},
		"came and went while it was shelved": {steps: []step{
			{on: true, want: "raised!"}, {do: ack, want: "acknowledged"}, {wait: minute}, {off: true, want: "returned!"}, {do: shelve, want: "shelved"},
			{on: true, want: "raised"}, {off: true, want: "returned", state: normal}, {wait: hour, want: "unshelved"},
		}},
		"out of service": {steps: []step{
			{do: out, want: "out-of-service"}, {on: true, want: "raised", state: unack}, {wait: hour}, {do: back, want: "returned-to-service returned-to-service!"},
			{wait: minute}, {off: true, want: "returned!"},
		}},
		"came and went out of service": {steps: []step{
			{do: out, want: "out-of-service"}, {on: true, want: "raised"}, {off: true, want: "returned", state: normal}, {do: back, want: "returned-to-service"},
		}},
		"nobody is told": {alarm.Rule{Tell: []string{"none"}, Escalate: []time.Duration{minute}}, []step{
			{on: true, want: "raised", state: unack}, {wait: hour}, {off: true, want: "returned", state: returned},
		}},
		"chattering": {steps: []step{
			{on: true, want: "raised!"}, {wait: 10 * second}, {off: true, want: "returned!"}, {on: true, want: "raised"}, {wait: 10 * second},
			{off: true, want: "returned"}, {on: true, want: "raised chattering!", state: unack}, {off: true}, {on: true}, {wait: 4 * minute}, {off: true},
			{wait: 4 * minute, state: unack}, {wait: minute, want: "settled returned!", state: returned},
		}},
		"chattering until it stands": {steps: []step{
			{on: true, want: "raised!"}, {off: true, want: "returned"}, {on: true, want: "raised"}, {off: true, want: "returned"},
			{on: true, want: "raised chattering!"}, {do: ack, want: "acknowledged", state: acked}, {off: true}, {on: true}, {wait: 5 * minute, want: "settled", state: acked},
			{off: true, want: "returned!", state: normal},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newSite(t, c.rule)
			for i, s := range c.steps {
				var got []alarm.Change
				switch {
				case s.on, s.off:
					got = p.observe("a-1", "f", s.on)
				case s.do != nil:
					got = p.order(*s.do)
				default:
					got = p.wait(s.wait)
				}
				if kinds(got) != s.want {
					t.Fatalf("step %d: changes %q, want %q", i, kinds(got), s.want)
				}
				if state := p.find("a-1", "f").State; s.state != "" && state != s.state && !(s.state == normal && state == "") {
					t.Fatalf("step %d: %q, want %q", i, state, s.state)
				}
				p.restart(p.now) // at any time
			}
		})
	}
}
