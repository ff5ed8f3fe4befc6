package main

import (
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
)

// A run that shows nothing, or loses something, fails and says why.
func TestJudge(t *testing.T) {
	waits := event.Health{V: 1, Component: event.SensorSimulator, Run: "s", TS: begin, State: event.StateDegraded, Detail: "waits for the engine"}
	fine := event.Health{V: 1, Component: event.SensorSimulator, Run: "s", TS: begin, State: event.StateOK, Counters: map[string]uint64{}}
	unread := event.Health{V: 1, Component: event.SensorSimulator, Run: "s", TS: begin, State: event.StateOK, Counters: map[string]uint64{"input.unreadable": 7}}
	engine := event.Health{V: 1, Component: event.InferenceEngine, Run: "e", TS: begin, State: event.StateOK}
	for _, test := range []struct {
		name      string
		published int // all scored and accepted
		lost      int // accepted, of which the cloud has nothing
		spoolless int // scored, and never accepted
		ran       time.Duration
		kill      bool
		mute      bool // nothing is explained
		lifeless  bool // nothing is said of remaining life
		replayed  bool
		silent    int // machines that publish nothing
		ended     bool
		simulator event.Health
		want      string // in the error; "" = none
	}{
		{name: "all is well", published: 100, ran: 10 * time.Second, simulator: fine},
		{name: "nothing", ran: 25 * time.Second, simulator: waits, want: "0 of about 250 rows were published, 1 machines at 10 rows a second for 25s: " + event.SensorSimulator + " is DEGRADED (waits for the engine)"},
		{name: "little", published: 40, ran: 10 * time.Second, simulator: fine, want: "40 of about 100 rows were published, 1 machines at 10 rows a second for 10s: this machine is too slow or too busy"},
		{name: "a machine is silent", published: 100, silent: 1, ran: 10 * time.Second, simulator: fine, want: "1 of 2 machines published nothing that was scored"},
		{name: "input", published: 40, ran: 10 * time.Second, simulator: unread, want: "7 rows of the input could not be read"},
		{name: "half", published: 50, ran: 10 * time.Second, simulator: fine},
		{name: "ended at once by the user", ran: 2 * time.Second, ended: true, simulator: waits},
		{name: "ended later by the user", ran: 20 * time.Second, ended: true, simulator: waits, want: "0 of about 200"},
		{name: "lost", published: 100, lost: 2, ran: 10 * time.Second, simulator: fine, want: "2 predictions and alerts did not arrive"},
		{name: "not in the spool", published: 100, spoolless: 1, ran: 10 * time.Second, simulator: fine, want: "1 of 101 predictions never reached the forwarder's spool"},
		{name: "not in the spool after a kill", published: 100, spoolless: 1, ran: 10 * time.Second, kill: true, simulator: fine},
		{name: "alarms without reasons", published: 100, mute: true, ran: 10 * time.Second, simulator: fine, want: "none of 1 alarms of machines says what points to a fault"},
		{name: "rows without contributors", published: 100, mute: true, ran: 10 * time.Second, simulator: fine, want: "none of 1 faulty rows says what points to a fault"},
		{name: "no remaining life", published: 100, lifeless: true, ran: 10 * time.Second, simulator: fine, want: "no row has a remaining life: the model of it did not take over"},
		{name: "replayed rows, which have none", published: 100, lifeless: true, replayed: true, ran: 10 * time.Second, simulator: fine},
		{name: "ended before anything could be said", published: 4, mute: true, lifeless: true, ended: true, ran: 2 * time.Second, simulator: fine},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &demo{options: options{things: 1 + test.silent, rate: 10 / float64(1+test.silent), kill: test.kill}, observer: newObserver(), ran: test.ran}
			var journal localcloud.Journal
			if test.replayed {
				d.options.input = "rows.csv"
			}
			for i := range test.published + test.spoolless {
				p := lasting(uint64(i+1), lifeOf(10, 20), 15)
				if i == 0 {
					p.Probability, p.Label = 0.9, event.LabelFaulty
					p.Contributors = []event.Contributor{{Sensor: "oil_temp", Share: 1}}
				}
				if test.mute {
					p.Contributors = nil
				}
				if test.lifeless {
					p.Life = nil
				}
				tell(t, d.observer, event.TelemetryTopic("p"), row(uint64(i+1)))
				tell(t, d.observer, event.PredictionTopic("p"), p)
				if i < test.published {
					tell(t, d.observer, event.TopicAckPrediction, event.Ack{V: 1, IDs: []string{p.ID}})
				}
				if i < test.published-test.lost {
					journal = append(journal, localcloud.Entry{Kind: localcloud.KindIoT, IDs: []string{p.ID}})
				}
			}
			if test.published > 0 {
				a := event.Alert{V: 1, ID: "a-1", Thing: "p", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Reasons: []string{"oil temperature 96 °C"}}
				if test.mute {
					a.Reasons = nil
				}
				tell(t, d.observer, event.AlertTopic("p"), a)
				journal = append(journal, localcloud.Entry{Kind: localcloud.KindIoT, IDs: []string{"a-1"}})
			}
			tell(t, d.observer, event.HealthTopic(event.SensorSimulator), test.simulator)
			tell(t, d.observer, event.HealthTopic(event.InferenceEngine), engine)
			r := makeReport(d.observer, nil, journal)
			r.Asked = d.asked()
			err := d.judge(r, test.ended)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Alerts with the same words share a sound, and that is told.
func TestReusedSoundsAreCounted(t *testing.T) {
	announced := localcloud.Entry{Kind: localcloud.KindIoTCloud, Name: audioTopics + "/p"}
	d := newObserver().delivery(localcloud.Journal{{Kind: localcloud.KindAudio}, announced, announced, announced, {Kind: localcloud.KindIoTCloud, Name: "other"}})
	if d.audio != 1 || d.reused != 2 {
		t.Errorf("%+v", d)
	}
	if got := reuse(2); !strings.Contains(got, "2 times") || reuse(0) != "" {
		t.Errorf("%q, %q", got, reuse(0))
	}
}
