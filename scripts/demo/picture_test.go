package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcore"
)

// busyPicture is of a run with so many machines, in which everything has happened.
func busyPicture(things int) *picture {
	p := &picture{
		colour: true, root: "/somewhere/" + strings.Repeat("deep/", 20) + "demo-run", running: 61 * time.Second,
		account: account{published: 1234567, predictions: 1234567, invalid: 12, missed: 3}, published: 1000, scored: 1000, p50: 1.2, p99: 123.4,
		engine:      event.Health{State: event.StateDegraded, Detail: strings.Repeat("words ", 30), Model: &event.ModelRef{Version: "1.1.0", SHA256: strings.Repeat("a", 64)}},
		engineKnown: true, waiting: 99999, delivery: delivery{alerts: 100, delivered: 1234567, audio: 40, reused: 60},
		model: event.ModelEvent{Event: event.ModelRejected, Name: "simulated-compressor", Version: "1.3.0", Detail: strings.Repeat("reason ", 30)},
		note:  "a model with a wrong golden row published", audio: "/somewhere/" + strings.Repeat("deep/", 20) + "demo-run/audio/4-82b8ea75.mp3",
	}
	for i := range things {
		prediction := prediction(uint64(i+1), 0.99)
		p.things = append(p.things, thingLine{fmt.Sprintf("compressor-%d", i+1), thingView{last: prediction, peak: 1, faults: 7}})
	}
	for i := range 20 {
		p.alerts = append(p.alerts, event.Alert{State: event.AlarmUnacknowledged, Text: fmt.Sprintf("Fault %d found. %s", i, strings.Repeat("Attention required. ", 10))})
	}
	for _, name := range []string{"com.edgepdm.Suite", event.AlarmManager, event.CloudForwarder, event.InferenceEngine, event.ModelFetcher, event.SensorSimulator} {
		p.components = append(p.components, localcore.Status{Name: name, State: localcore.StateRunning, PID: 1234567, PeakRSS: 123 << 20, CPU: 1234.5, Restarts: 1})
	}
	p.components[2].State = localcore.StateBroken
	return p
}

// The picture fits every terminal, and what matters most is the last to go.
func TestPictureFits(t *testing.T) {
	for _, things := range []int{0, 1, 3, 50} {
		p := busyPicture(things)
		p.drift = driftOf("d-1", "line-1", event.DriftFound)
		p.candidate = &candidateAccount{last: compared("1.1.0", 1234567, event.DecisionReject), step: event.ModelRejected, detail: strings.Repeat("reason ", 30)}
		for _, width := range []int{1, 2, 3, 20, 40, 60, 79, 80, 81, 96, 97, 98, 140} {
			for height := 1; height <= 44; height++ {
				lines := p.lines(width, height)
				if len(lines) > height {
					t.Fatalf("%d things, %dx%d: %d lines", things, width, height, len(lines))
				}
				for _, line := range lines {
					if n := visible(line); n > width {
						t.Fatalf("%d things, %dx%d: %d columns: %q", things, width, height, n, line)
					}
					if strings.Count(line, "\x1b[") != 2*strings.Count(line, "\x1b[0m") {
						t.Fatalf("%dx%d: a style is not ended: %q", width, height, line)
					}
				}
			}
		}
	}
}

// An alarm's text says why and when, and is not cut where there is room.
func TestPictureShowsWhyAndWhen(t *testing.T) {
	l, hours := lifeOf(12.4, 30.2), 23.6
	faulty := lasting(7, l, hours)
	faulty.Line, faulty.Label = "line-1", event.LabelFaulty
	p := &picture{
		things: []thingLine{{"compressor-2", thingView{last: faulty, faults: 3}}, {"compressor-1", thingView{last: prediction(8, 0.1)}}},
		alerts: []event.Alert{
			{State: event.AlarmNormal, Text: "Compressor 3 is normal again."},
			{State: event.AlarmUnacknowledged, Text: "Fault at compressor 2. Points to it: bearing temperature 96 °C, usually 60 to 82. Likely to need maintenance in 12 to 31 hours."},
		},
	}
	for _, width := range []int{60, 80, 100} {
		text := strings.Join(strings.Fields(strings.Join(p.lines(width, 40), " ")), " ")
		for _, want := range []string{"Compressor 3 is normal again.", p.alerts[1].Text} {
			if !strings.Contains(text, want) {
				t.Errorf("%d columns: %q is not in\n%s", width, want, text)
			}
		}
	}
	text := strings.Join(p.lines(100, 40), "\n")
	for _, want := range []string{"12-31 h    Not Faulty, 24 h ", "?          Not Faulty  "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	long := strings.Join(strings.Fields(strings.Join(busyPicture(3).lines(80, 24), " ")), " ")
	if newest := busyPicture(3).alerts[19].Text; !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(long, "\x1b[0m", ""), "\x1b[1m", ""), strings.TrimSpace(newest)) {
		t.Errorf("80x24: the newest alert is cut:\n%s", long)
	}
	if text := strings.Join(p.lines(80, 24), "\n"); !strings.Contains(text, "12-31 h ") || strings.Contains(text, "24 h") {
		t.Errorf("80 columns:\n%s", text)
	}
}

func TestShortLife(t *testing.T) {
	beyond := event.Life{Low: 12.7, Median: 30, High: 40, Unit: "hours", Beyond: true}
	for want, l := range map[string]*event.Life{
		"?":       nil,
		"0-1 h":   {High: 0.2, Unit: "hours"},
		"3-9 min": {Low: 3.2, Median: 4, High: 8.1, Unit: "minutes"},
		"> 12 h":  &beyond,
	} {
		if got := shortLife(l); got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
	beyond.Low = 0.9
	if got := shortLife(&beyond); got != "?" {
		t.Errorf("what may be anything: %q", got)
	}
}

func TestPictureKeepsWhatMatters(t *testing.T) {
	for _, test := range []struct {
		width, height int
		want, not     []string
	}{
		{80, 24, []string{"compressor-1 ", "0.9900", "Fault 19", "uplink", "1.1.0", "wrong golden row", "spoken", "rejected", "InferenceEngine", "BROKEN", " ms"}, nil},
		{120, 40, []string{"compressor-3 ", "Fault 19", "Fault 14", "truth", "InferenceEngine", "logs:"}, nil},
		{80, 16, []string{"compressor-1 ", "Fault 19", "uplink", "wrong golden row", "4 running", "CloudForwarder BROKEN"}, []string{"RSS"}},
		{60, 9, []string{"compressor-1 ", "Fault 19", "1234567"}, []string{"RSS", "logs"}},
	} {
		text := strings.Join(busyPicture(3).lines(test.width, test.height), "\n")
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%dx%d: %q is not in\n%s", test.width, test.height, want, text)
			}
		}
		for _, not := range test.not {
			if strings.Contains(text, not) {
				t.Errorf("%dx%d: %q is in\n%s", test.width, test.height, not, text)
			}
		}
	}
	if text := strings.Join(busyPicture(50).lines(80, 24), "\n"); !strings.Contains(text, "… and 48 more") {
		t.Errorf("hidden machines are not told:\n%s", text)
	}
}

// In a small terminal the words of alerts go before empty lines, and a refused model is named once.
func TestPictureSaysMoreThanItSpaces(t *testing.T) {
	p := busyPicture(3)
	p.colour = false
	why := "Points to it: oil return temperature 96 °C, usually 60 to 82."
	p.alerts = []event.Alert{
		{State: event.AlarmUnacknowledged, Text: "Simulation: Fault found on line 1, compressor 1. Immediate attention required. " + why},
		{State: event.AlarmNormal, Text: "Edgepdm core is back to normal after 18 seconds."},
		{State: event.AlarmNormal, Text: "Line 1, compressor 3 is back to normal after 16 seconds."},
	}
	p.model.Detail = "model simulated-compressor 1.3.0 refused: golden row mismatch: row 1"
	text := strings.Join(strings.Fields(strings.Join(p.lines(80, 24), " ")), " ")
	for _, want := range []string{why, "model: rejected simulated-compressor 1.3.0 golden row mismatch: row 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	p.things[0].last.Threshold = 0.02078
	if text := strings.Join(p.lines(80, 24), "\n"); !strings.Contains(text, "fault: 0.0208 or more") {
		t.Errorf("from which probability on a row is faulty is not told:\n%s", text)
	}
	p.model = event.ModelEvent{Event: event.ModelRefused, Detail: "signature: bad signature"}
	if text := strings.Join(p.lines(80, 24), "\n"); !strings.Contains(text, "model:  refused signature: bad") {
		t.Errorf("a model without a name:\n%s", text)
	}
}
