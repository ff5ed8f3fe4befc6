package alarms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarmcli"
	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/alarm"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// managedRig is a rig on a nucleus of the mode, with a configuration.
func managedRig(t *testing.T, mode localcore.Mode, config map[string]any) *rig {
	t.Helper()
	r := stoppedRig(t, func(o *localcore.Options) { o.Mode = mode })
	coretest.Configure(t, r.core, event.AlarmManager, map[string]any{"silence": "0s", "uplinkDown": "0s"})
	coretest.Configure(t, r.core, event.AlarmManager, config)
	return r
}

var bothModes = map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite}

// subscribe hears a topic.
func (r *rig) subscribe(filter string) *ipc.Subscription[ipc.TopicMessage] {
	r.t.Helper()
	sub, err := r.client.Subscribe(r.t.Context(), filter, ipc.ReceiveFromOthers)
	if err != nil {
		r.t.Fatal(err)
	}
	return sub
}

// next is the next message of a subscription.
func next[T any](r *rig, sub *ipc.Subscription[ipc.TopicMessage]) (m T) {
	r.t.Helper()
	select {
	case got := <-sub.Events():
		if err := json.Unmarshal(got.Payload, &m); err != nil {
			r.t.Fatalf("%s: %v", got.Payload, err)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatalf("no %T", m)
	}
	return m
}

// desk gives commands over local publish/subscribe, and hears the replies.
type desk struct {
	r       *rig
	replies *ipc.Subscription[ipc.TopicMessage]
}

func (r *rig) desk() desk { return desk{r, r.subscribe("pdm/v1/reply/#")} }

// orders gives a command, and checks its reply.
func (d desk) orders(role, command string, ok bool, says string) {
	d.r.t.Helper()
	if err := d.r.client.Publish(d.r.t.Context(), "pdm/v1/command/"+role+"/alarm", []byte(command)); err != nil {
		d.r.t.Fatal(err)
	}
	if got := next[event.Reply](d.r, d.replies); got.OK != ok || !strings.Contains(got.Text, says) || got.ID != "7" {
		d.r.t.Errorf("%s: %+v, want %v with %q", command, got, ok, says)
	}
}

func (r *rig) list() alarms.Listing {
	r.t.Helper()
	sub := r.subscribe(event.TopicAlarmSnapshot)
	defer func() { _ = sub.Close() }()
	r.publish(event.TopicOperatorAlarm, map[string]any{"v": 1, "do": "list"})
	all := next[alarms.Listing](r, sub)
	for parts := 1; parts < all.Parts; parts++ {
		more := next[alarms.Listing](r, sub)
		if more.Part != parts+1 || more.Parts != all.Parts {
			r.t.Fatalf("part %d of %d is %+v", parts+1, all.Parts, more)
		}
		all.Alarms = append(all.Alarms, more.Alarms...)
		all.Places = append(all.Places, more.Places...)
	}
	return all
}

// A3: an alarm is acknowledged with an outcome, shelved, taken out of service and retired by commands, each of which is answered, and
// each change is an event. What cannot be done is answered with the reason, and changes nothing.
func TestCommandsOfAlarms(t *testing.T) {
	need.Long(t)
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			r := managedRig(t, mode, map[string]any{"republish": "300ms"})
			r.start()
			d := r.desk()
			events, labels := r.subscribe(event.TopicAlarmEvent), r.subscribe(event.FilterLabel)
			r.predict(0.9, 0.9, 0.9, 0.9)
			r.expect(event.FaultMachine, event.AlarmUnacknowledged)
			if e := next[alarms.Told](r, events); e.Change != alarm.Raised || e.Thing != "press-1" || e.N != 1 || !e.To.SNS || e.Text == "" {
				t.Errorf("%+v", e)
			}
			const press = `"v":1,"id":"7","thing":"press-1","fault":"machine-fault"`
			d.orders("operator", `{`+press+`,"do":"shelve"}`, false, "a shelving needs an end")
			d.orders("operator", `{`+press+`,"do":"shelve","for":"13h"}`, false, "maxTimeShelved")
			d.orders("operator", `{`+press+`,"do":"shelve","for":"long"}`, false, "for: ")
			d.orders("operator", `{`+press+`,"do":"unshelve"}`, false, "is not shelved")
			d.orders("operator", `{`+press+`,"do":"retire"}`, false, "is for engineers")
			d.orders("operator", `{`+press+`,"do":"paint"}`, false, "is none of")
			d.orders("operator", `{"v":1,"id":"7","thing":"press-2","fault":"machine-fault","do":"acknowledge"}`, false, "there is no such alarm")
			d.orders("operator", `{"v":1,"id":"7","do":"acknowledge","line":"line-9"}`, false, "there is no such alarm")
			d.orders("operator", `{"v":2,"id":"7","do":"acknowledge"}`, false, "version")
			d.orders("operator", `{`+press+`,"do":"acknowledge","outcome":"fine"}`, false, "outcome")
			d.orders("operator", `{`+press+`,"do":"acknowledge","by":"\u001b[2J"}`, false, "cannot be printed")
			d.orders("operator", `{"v":1,"id":"7","do":"acknowledge","line":"line-1","fault":"silence"}`, false, "fault: ") // not all of the line
			d.orders("engineer", `{"v":1,"id":"7","do":"out-of-service","line":"line-1","fault":"silence"}`, false, "fault: ")
			if l := r.list(); len(l.Alarms) != 1 || l.Alarms[0].State != event.AlarmUnacknowledged || l.Alarms[0].Shelved != nil {
				t.Errorf("%+v", l)
			}
			d.replies.Events() // the list's reply follows
			_ = next[event.Reply](r, d.replies)

			d.orders("operator", `{`+press+`,"do":"acknowledge","outcome":"confirmed","comment":"bearing","by":"Ann"}`, true, "acknowledged: press-1/machine-fault")
			if e := next[alarms.Told](r, events); e.Change != alarm.Acknowledged || e.By != "Ann" || e.Outcome != alarm.Confirmed || e.N != 2 {
				t.Errorf("%+v", e)
			}
			label := next[event.Label](r, labels)
			again := next[event.Label](r, labels) // until it is acknowledged
			if again.ID != label.ID || !again.Replayed || label.Replayed {
				t.Errorf("%+v, then %+v", label, again)
			}
			if label.Outcome != "confirmed" || label.By != "Ann" || label.Comment != "bearing" || !label.Until.IsZero() || label.Rows == nil ||
				label.Rows.First != (event.RowRef{Epoch: "e", Seq: 3}) || label.Rows.Last != (event.RowRef{Epoch: "e", Seq: 4}) {
				t.Errorf("%+v", label)
			}
			r.publish(event.TopicAckLabel, event.Ack{V: 1, IDs: []string{label.ID}})
			r.await("no notice waits", func(h event.Health) bool {
				return h.Counters[alarms.CounterNotices] == 0 && h.Counters[alarms.CounterAckedAlarms] == 1
			})

			d.orders("operator", `{`+press+`,"do":"shelve","for":"1h"}`, true, "shelved until ")
			d.orders("operator", `{"v":1,"id":"7","line":"line-1","do":"unshelve"}`, true, "unshelved: press-1/machine-fault")
			d.orders("engineer", `{"v":1,"id":"7","line":"line-9","do":"out-of-service"}`, true, "nothing has been heard of line line-9")
			d.orders("engineer", `{"v":1,"id":"7","line":"line-9","do":"return-to-service"}`, true, "service")
			d.orders("engineer", `{"v":1,"id":"7","line":"line-1","do":"out-of-service","comment":"oil"}`, true, "out-of-service: line line-1")
			d.orders("engineer", `{"v":1,"id":"7","line":"line-1","do":"out-of-service"}`, false, "already")
			if l := r.list(); len(l.Places) != 1 || l.Places[0].Line != "line-1" || !l.Alarms[0].OutOfService {
				t.Errorf("%+v", l)
			}
			_ = next[event.Reply](r, d.replies)
			r.ahead.Add(int64(brief))
			r.predict(0.1, 0.1, 0.1, 0.9, 0.9, 0.9) // told to the cloud alone, or to nobody, while it is out of service
			r.await("the rows", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 10 })
			d.orders("engineer", `{"v":1,"id":"7","line":"line-1","do":"return-to-service"}`, true, "service")
			for a := r.alert(); a.State != event.AlarmUnacknowledged; a = r.alert() {
				if a.ForPeople() {
					t.Errorf("%+v", a)
				}
				r.ack(a.ID)
			}
			d.orders("engineer", `{"v":1,"id":"7","thing":"press-1","do":"retire"}`, true, "retired: press-1")
			r.predict(0.9, 0.9, 0.9)
			r.await("the rows", func(h event.Health) bool { return h.Counters[event.CounterPredictions] == 13 })
			d.orders("operator", `{"v":1,"id":"7","do":"test"}`, true, "test alarm core-1-")
			if l := r.list(); len(l.Alarms) != 0 || len(l.Places) != 1 || !l.Places[0].Retired {
				t.Errorf("%+v", l)
			}
		})
	}
}

// kill -9 in the middle: the shelving and its end, what is out of service, and the audit log are as they were said to be; each change is
// in the log once, in its order.
func TestManagedAlarmsSurviveKills(t *testing.T) {
	r := managedRig(t, localcore.Classic, nil)
	d := r.desk()
	var until time.Time
	for round := range 4 {
		kill := r.spawn()
		if round == 0 {
			r.predict(0.9, 0.9, 0.9)
			r.expect(event.FaultMachine, event.AlarmUnacknowledged)
			r.await("the acknowledgement", acked(1))
			d.orders("operator", `{"v":1,"id":"7","thing":"press-1","fault":"machine-fault","do":"shelve","for":"1h","by":"Ann"}`, true, "shelved until ")
			until = time.Now().Add(time.Hour)
		}
		d.orders("engineer", fmt.Sprintf(`{"v":1,"id":"7","thing":"press-%d","do":"out-of-service"}`, 100+round), true, "out-of-service")
		kill()
	}
	r.start()
	l := r.list()
	if len(l.Alarms) != 1 || len(l.Places) != 4 || l.Alarms[0].Shelved == nil || l.Alarms[0].Shelved.Until.Sub(until).Abs() > 5*time.Second {
		t.Errorf("%+v", l)
	}
	r.await("a tick", ticked(time.Now()))
	r.stop()
	changes, damaged, err := alarms.History(r.env.WorkDir, "", 100)
	if err != nil || damaged != 0 || len(changes) != 6 {
		t.Fatalf("%d changes, %d damaged, %v: %+v", len(changes), damaged, err, changes)
	}
	for i, c := range changes {
		if c.N != uint64(i+1) {
			t.Errorf("change %d is number %d", i, c.N)
		}
	}
	if c := changes[1]; c.Change != alarm.Shelved || c.By != "Ann" || c.Until.IsZero() {
		t.Errorf("%+v", c)
	}
	r.ahead.Add(int64(time.Hour + time.Minute)) // the shelving is over: the alarm is told again
	r.start()
	if a := r.expect(event.FaultMachine, event.AlarmUnacknowledged); a.Change != string(alarm.Unshelved) {
		t.Errorf("%+v", a)
	}
}

// acked reports whether the manager has heard so many acknowledgements.
func acked(n uint64) func(event.Health) bool {
	return func(h event.Health) bool { return h.Counters[alarms.CounterAcked] == n }
}

// faults publishes rows of several machines that raise their alarms.
func (r *rig) faults(from, to int, p float64, epoch string) {
	r.t.Helper()
	for i := from; i < to; i++ {
		for seq := range uint64(3) {
			r.publish(event.PredictionTopic(fmt.Sprint("press-", i)), event.Prediction{
				V: 1, ID: fmt.Sprint(epoch, i, seq), Thing: fmt.Sprint("press-", i), Line: "line-1", Epoch: epoch, Seq: seq + 1, TS: time.Now(), Threshold: 0.5,
				Probability: p,
			})
		}
	}
}

// A4: of many alarms of a line in a short time ten are told one by one, the others in a summary; all are in the list.
func TestAFloodIsSummedUp(t *testing.T) {
	r := managedRig(t, localcore.Lite, map[string]any{"maxPerLine": 10, "maxPerSite": 20})
	r.start()
	r.faults(0, 40, 0.9, "e")
	r.await("all", func(h event.Health) bool { return h.Counters[alarms.CounterRaised] == 40 })
	r.ahead.Add(int64(31 * time.Second))
	told := 0
	for {
		a := r.alert()
		r.ack(a.ID)
		if a.Fault == event.FaultSummary {
			if a.Count != 30 || a.Line != "line-1" || a.Thing != "core-1" || a.Text != "30 more alarms on line 1." {
				t.Errorf("%+v", a)
			}
			break
		}
		told++
	}
	if l := r.list(); told != 10 || len(l.Alarms) != 40 || l.Parts < 2 {
		t.Errorf("%d are told, %d in the list of %d parts", told, len(l.Alarms), l.Parts)
	}
}

// A rule decides priority, who is told, delays and texts; one that matches nothing does no harm.
func TestRulesDecide(t *testing.T) {
	r := managedRig(t, localcore.Classic, map[string]any{
		"languages": []any{"de", "en"},
		"rules": []any{
			map[string]any{"thing": "nothing-*", "latched": true},
			map[string]any{"thing": "press-*", "line": "line-?", "priority": "low", "tell": []any{"cloud"}, "cooldown": "1ms", "votes": 2, "window": 2},
		},
	})
	r.start()
	r.predict(0.9, 0.9)
	a := r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	if a.Severity != event.SeverityLow || a.ForPeople() || a.Text != "Fehler an line 1, press 1 gefunden. Sofort prüfen." ||
		a.Texts["en"] != "Fault found on line 1, press 1. Immediate attention required." {
		t.Errorf("%+v", a)
	}
	r.predict(0.1, 0.1)
	if a = r.expect(event.FaultMachine, event.AlarmNormal); a.ForPeople() {
		t.Errorf("%+v", a)
	}
}

// While the uplink is down, machines that fall silent are listed, and told when it is over.
func TestACauseSuppressesWhatFollows(t *testing.T) {
	need.Long(t)
	r := managedRig(t, localcore.Classic, map[string]any{"silence": "10m", "uplinkDown": "5m"})
	r.start()
	r.rows(0, 3)
	down := event.Health{V: 1, Component: event.CloudForwarder, TS: time.Now(), State: event.StateOK, Uplink: event.UplinkDown}
	r.publish(event.HealthTopic(event.CloudForwarder), down)
	r.await("the news", func(h event.Health) bool { return h.Counters[alarms.CounterUplinkDown] == 1 })
	r.advance(6 * time.Minute)
	r.expect(event.FaultUplinkDown, event.AlarmUnacknowledged)
	r.advance(5 * time.Minute)
	r.await("suppressed", func(h event.Health) bool { return h.Counters[alarms.CounterSuppressed] == 4 })
	if l := r.list(); len(l.Alarms) != 5 || !l.Alarms[0].Suppressed || l.Alarms[0].SuppressedBy.Fault != event.FaultUplinkDown {
		t.Errorf("%+v", l)
	}
	down.Uplink = event.UplinkUp
	r.publish(event.HealthTopic(event.CloudForwarder), down)
	r.expect(event.FaultUplinkDown, event.AlarmNormal)
	r.ahead.Add(int64(31 * time.Second)) // what it has caused is over a little later
	if a := r.expect(event.FaultLine, event.AlarmUnacknowledged); a.Change != string(alarm.Unsuppressed) {
		t.Errorf("%+v", a)
	}
}

// loudspeaker is an Announcer that a test reads.
type loudspeaker struct {
	mu   sync.Mutex
	says []string
}

func (l *loudspeaker) Say(a voice.Announcement) {
	text := fmt.Sprintf("%s: %s (%v)", a.Key, a.Text, a.Repeat > 0)
	for _, more := range []string{a.Again, a.Ends} {
		if more != "" {
			text += " " + more
		}
	}
	l.note(text)
}
func (l *loudspeaker) Silence(key string) { l.note("silence " + key) }
func (l *loudspeaker) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.says = append(l.says, text)
}

// A machine's alarm is spoken until it is acknowledged, also by the next process, and its end once.
func TestAlarmsAreSpoken(t *testing.T) {
	r := managedRig(t, localcore.Classic, nil)
	speaker := new(loudspeaker)
	r.announcer = speaker
	r.start()
	d := r.desk()
	r.predict(0.9, 0.9, 0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	r.await("the acknowledgement", acked(1))
	r.stop()
	r.start()
	d.orders("operator", `{"v":1,"id":"7","thing":"press-1","do":"acknowledge"}`, true, "acknowledged")
	r.predict(0.1, 0.1, 0.1)
	r.expect(event.FaultMachine, event.AlarmNormal)
	r.stop()
	const again = "line 1, press 1: the alarm machine fault still stands. Please acknowledge."
	want := []string{
		"press-1/machine-fault en: Fault found on line 1, press 1. Immediate attention required. (true) " + again,
		"press-1/machine-fault en: Still: Fault found on line 1, press 1. Immediate attention required. (true) " + again,
		"silence press-1/machine-fault en",
	}
	if got := speaker.says; len(got) != 4 || !slices.Equal(got[:3], want) || !strings.Contains(got[3], "is back to normal after ") ||
		!strings.HasSuffix(got[3], "(false) press-1/machine-fault en") {
		t.Errorf("%q", got)
	}
}

// With cloudCommands a command comes from AWS IoT Core, and is answered there.
func TestCommandsFromTheCloud(t *testing.T) {
	for name, mode := range bothModes {
		t.Run(name, func(t *testing.T) {
			r := managedRig(t, mode, map[string]any{"cloudCommands": true})
			r.start()
			r.predict(0.9, 0.9, 0.9)
			r.expect(event.FaultMachine, event.AlarmUnacknowledged)
			replies, err := r.client.SubscribeToIoTCore(t.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "edgepdm/core-1/pdm/v1/#", QoS: ipc.AtLeastOnce})
			if err != nil {
				t.Fatal(err)
			}
			order := func(role, text string) event.Reply {
				t.Helper()
				topic, wanted := "edgepdm/core-1/pdm/v1/command/"+role+"/alarm", "edgepdm/core-1/pdm/v1/reply/"+role+"/alarm"
				again := time.NewTicker(time.Second)
				defer again.Stop()
				for range 30 { // the manager may not have subscribed yet
					if err := r.core.PublishFromCloud(topic, []byte(text)); err != nil {
						t.Fatal(err)
					}
				wait:
					for {
						select {
						case m := <-replies.Events():
							if m.Message != nil && m.Message.TopicName == wanted {
								var reply event.Reply
								if err := json.Unmarshal(m.Message.Payload, &reply); err != nil {
									t.Fatal(err)
								}
								return reply
							}
						case <-again.C:
							break wait
						}
					}
				}
				t.Fatal("no reply in the cloud")
				return event.Reply{}
			}
			if got := order("operator", `{"v":1,"id":"1","do":"retire","thing":"press-1"}`); got.OK || got.ID != "1" {
				t.Errorf("%+v", got)
			}
			if got := order("operator", `{"v":1,"id":"2","do":"acknowledge","thing":"press-1","by":"Ann"}`); !got.OK || got.ID != "2" {
				t.Errorf("%+v", got)
			}
			if l := r.list(); len(l.Alarms) != 1 || l.Alarms[0].State != event.AlarmAcknowledged || l.Alarms[0].Acknowledged.By != "cloud: Ann" {
				t.Errorf("%+v", l)
			}
			if got := order("engineer", `{"v":1,"id":"3","do":"retire","thing":"press-1"}`); !got.OK {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The figures of a day are told once, when it is over by the site's clocks, until they are acknowledged.
func TestFiguresOfADay(t *testing.T) {
	need.Long(t)
	r := managedRig(t, localcore.Classic, map[string]any{"republish": "300ms", "timeZone": "Pacific/Auckland", "languages": []any{"en", "it"}, "rules": []any{
		map[string]any{"thing": "none-*", "latched": true}, map[string]any{"fault": "limit-oil-temp", "latched": true}, map[string]any{"fault": "limit-*", "latched": true},
	}, "limits": []any{map[string]any{"sensor": "oil_temp", "above": 110}}})
	figures := r.subscribe(event.TopicAlarmKPI)
	r.start()
	r.predict(0.9, 0.9, 0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	r.await("the figures", func(h event.Health) bool { return h.Counters[alarms.CounterStanding] == 1 })
	r.advance(24 * time.Hour)
	type message struct {
		ID, Date string
		Replayed bool
		alarm.KPIs
	}
	first, again := next[message](r, figures), next[message](r, figures)
	zone, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		t.Fatal(err)
	}
	if day := time.Now().In(zone).Format(time.DateOnly); first.Date != day || first.Active != 1 || first.Replayed || again.ID != first.ID || !again.Replayed {
		t.Errorf("%+v, then %+v, want of %s", first, again, day)
	}
	r.publish(event.TopicAckLabel, event.Ack{V: 1, IDs: []string{first.ID}})
	r.await("no notice waits", func(h event.Health) bool { return h.Counters[alarms.CounterNotices] == 0 })
	if log := r.log.String(); !strings.Contains(log, "rules match no alarm so far") {
		t.Error("the rule that matches nothing is not told")
	}
	if log := r.log.String(); !strings.Contains(log, "a rule matches no fault that there is\" rule=1 fault=limit-oil-temp") || strings.Count(log, "no fault that there is") != 1 {
		t.Error("the rule whose fault is misspelled is not told, or another one")
	}
	if log := r.log.String(); !strings.Contains(log, "what is told in it is English\" language=it") || strings.Contains(log, "language=en") {
		t.Error("the language without texts is not told, or another one")
	}
}

// The commands of a person on the device: a table or JSON, and what an order has come to.
func TestCommandsOfAPerson(t *testing.T) {
	need.Long(t)
	r := managedRig(t, localcore.Classic, nil)
	r.start()
	r.folder()
	r.predict(0.9, 0.9, 0.9)
	r.expect(event.FaultMachine, event.AlarmUnacknowledged)
	run := func(name string, args ...string) (string, error) {
		t.Helper()
		var out, complaint bytes.Buffer
		for _, c := range alarmcli.Commands() {
			if c.Name == name {
				err := c.Run(context.Background(), append(args, "-dir", r.env.WorkDir), cli.Streams{Out: &out, Err: &complaint})
				return out.String(), err
			}
		}
		t.Fatalf("no command %s", name)
		return "", nil
	}
	says := func(want, name string, args ...string) {
		t.Helper()
		if out, err := run(name, args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s %v: %q, %v; want %q", name, args, out, err, want)
		}
	}
	fails := func(want, name string, args ...string) {
		t.Helper()
		if out, err := run(name, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: %q, %v; want %q", name, args, out, err, want)
		}
	}
	says("press-1  line-1  machine-fault", "list")
	fails("-for", "shelve", "-thing", "press-1", "-fault", "machine-fault")
	fails("for: 13h0m0s is longer than maxTimeShelved", "shelve", "-thing", "press-1", "-for", "13h")
	out, err := run("shelve", "-thing", "press-1", "-fault", "machine-fault", "-for", "2h")
	_, after, _ := strings.Cut(out, "shelved until ")
	until, _, _ := strings.Cut(after, ": press-1")
	end, parseErr := time.Parse(time.DateTime+" -07:00", until)
	if _, offset := end.Zone(); err != nil || parseErr != nil || offset != zoneOffset(end) || time.Until(end) > 2*time.Hour || time.Until(end) < time.Hour {
		t.Errorf("%q, %v, %v", out, err, parseErr)
	}
	says("shelved until ", "list")
	says("unshelved", "unshelve", "-thing", "press-1")
	says("acknowledged: press-1/machine-fault", "ack", "-line", "line-1", "-outcome", "planned", "-comment", "we know", "-by", "Ann")
	fails("press-7/machine-fault: there is no such alarm", "ack", "-thing", "press-7", "-fault", "machine-fault")
	fails("no alarm of line line-1 is waiting for an acknowledgement", "ack", "-line", "line-1")
	if _, err := run("ack", "-line", "line-1"); strings.Contains(err.Error(), "acknowledge:") {
		t.Errorf("it is said twice: %v", err)
	}
	wrong := func(want, name string, args ...string) {
		t.Helper()
		if _, err := run(name, args...); !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: %v; want %q", name, args, err, want)
		}
	}
	wrong("name a machine", "ack")
	wrong("fault: ", "ack", "-line", "line-1", "-fault", "machine-fault")
	wrong("outcome: ", "ack", "-thing", "press-1", "-outcome", "perhaps")
	wrong("thing: ", "ack", "-thing", "press 1")
	wrong("for: ", "shelve", "-line", "line-1", "-for", "long")
	wrong("for: ", "shelve", "-line", "line-1", "-for", "-1h")
	wrong("-fault", "out-of-service", "-line", "line-1", "-fault", "machine-fault")
	wrong("-line", "retire", "-line", "line-1")
	says("out-of-service: press-1", "out-of-service", "-thing", "press-1")
	says("press-1 is out of service", "list")
	says("out-of-service: line line-7; nothing has been heard of line line-7", "out-of-service", "-line", "line-7")
	says("\nline line-7 is out of service since ", "list")
	says("service", "return-to-service", "-line", "line-7")
	says("service", "return-to-service", "-thing", "press-1")
	wrong("to: ", "rename", "-thing", "press-1")
	says("renamed: press-1 is press-2 from now on", "rename", "-thing", "press-1", "-to", "press-2")
	if out, err := run("retire", "-thing", "press-2"); err != nil || strings.TrimSpace(out) != "retired: press-2" {
		t.Errorf("%q, %v: it was heard", out, err)
	}
	says("no alarm", "list")
	out, err = run("list", "-json")
	var l alarms.Listing
	if err != nil || json.Unmarshal([]byte(out), &l) != nil || len(l.Places) != 1 {
		t.Errorf("%q, %v", out, err)
	}
	r.await("a tick", ticked(time.Now()))
	says("planned we know", "history")
	says("until "+end.Local().Format(time.DateTime), "history")
	says("no change of an alarm of press-9 is known", "history", "-thing", "press-9")
	says("was press-1", "history", "-thing", "press-2")
	if out, err := run("history", "-json", "-n", "1"); err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"retired"`) {
		t.Errorf("%q, %v", out, err)
	}
}

// zoneOffset is that of the time's zone here.
func zoneOffset(at time.Time) int {
	_, offset := at.Local().Zone()
	return offset
}

// The audit log is bounded, and what a damaged disk leaves of it is read.
func TestAuditLogIsBounded(t *testing.T) {
	r := managedRig(t, localcore.Classic, nil)
	path := filepath.Join(r.env.WorkDir, "audit.jsonl")
	old := strings.Repeat("x", 4<<20-10)
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil { // without a newline, as a kill leaves it
		t.Fatal(err)
	}
	r.start()
	r.publish(event.TopicTestAlarm, event.TestAlarm{V: 1, By: "Ann"})
	r.expect(event.FaultTest, event.AlarmUnacknowledged)
	r.await("a tick", ticked(time.Now()))
	r.stop()
	changes, damaged, err := alarms.History(r.env.WorkDir, "", 10)
	if err != nil || damaged != 1 || len(changes) != 1 || changes[0].Change != alarm.Tested || changes[0].By != "Ann" {
		t.Errorf("%+v, %d damaged, %v", changes, damaged, err)
	}
	if before, err := os.ReadFile(path + ".1"); err != nil || string(before) != old {
		t.Errorf("%d bytes, %v", len(before), err)
	}
	if now, err := os.Stat(path); err != nil || now.Size() > 1000 {
		t.Errorf("%v, %v", now, err)
	}
}
