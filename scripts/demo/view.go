package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
)

// Escape sequences of ECMA-48 terminals.
const (
	altScreen  = "\x1b[?1049h\x1b[?25l"
	mainScreen = "\x1b[?25h\x1b[?1049l"
	home       = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// view is the live picture in the terminal.
type view struct {
	demo   *demo
	out    io.Writer
	colour bool
	begun  time.Time
	last   account
	lastAt time.Time
}

func newView(d *demo, out io.Writer) *view {
	now := time.Now()
	return &view{demo: d, out: out, colour: os.Getenv("NO_COLOR") == "", begun: now, lastAt: now}
}

func (v *view) open()  { fmt.Fprint(v.out, altScreen) }
func (v *view) close() { fmt.Fprint(v.out, mainScreen) }

func (v *view) draw() error {
	audio, err := v.demo.saveAudio()
	if err != nil {
		return err
	}
	now := time.Now()
	a, d := v.demo.observer.balance(), v.demo.observer.delivery(v.demo.cloud.Journal())
	seconds := now.Sub(v.lastAt).Seconds()
	rate := func(n, before uint64) float64 {
		if seconds < 0.1 {
			return 0
		}
		return float64(n-before) / seconds
	}
	var b strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format+clearLine+"\r\n", args...)
	}
	line("%s   %s   Ctrl-C ends it", v.style("1", "edgepdm: predictive maintenance on an embedded Greengrass core"),
		now.Sub(v.begun).Truncate(time.Second))
	line("")
	line("rows        %8d   %6.1f/s        scored  %8d   %6.1f/s", a.published, rate(a.published, v.last.published),
		a.predictions, rate(a.predictions, v.last.predictions))
	v.demo.observer.mu.Lock()
	latencies := v.demo.observer.latencies
	recent := latencies[max(0, len(latencies)-1000):]
	p50, p99 := percentile(recent, 50), percentile(recent, 99)
	v.demo.observer.mu.Unlock()
	line("invalid     %8d   missed %7d   latency p50 %6.2f ms   p99 %6.2f ms", a.invalid, a.missed, p50, p99)
	if h, ok := v.demo.observer.health(engineName); ok {
		model := "none"
		if h.Model != nil {
			model = h.Model.Version + " (" + h.Model.SHA256[:12] + ")"
		}
		line("engine      %s   model %s   %s", v.state(h), model, h.Detail)
	}
	uplink := v.style("32", "up")
	if !v.demo.up.Load() {
		uplink = v.style("1;31", "CUT")
	}
	h, _ := v.demo.observer.health(forwarderName)
	line("uplink      %s   delivered %d   waiting %d   alarms raised %d   sound files %d", uplink, d.delivered, forwarder.Waiting(h.Counters), d.alerts, d.audio)
	line("")
	v.things(line)
	line("")
	v.alerts(line, audio)
	line("")
	v.components(line)
	line("")
	line("logs: %s/logs", v.demo.options.root)
	fmt.Fprint(v.out, home+b.String()+clearBelow)
	v.last, v.lastAt = a, now
	return nil
}

const alertsShown = 4

func (v *view) alerts(line func(string, ...any), audio string) {
	o := v.demo.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	line("%s", v.style("2", "alerts"))
	for _, a := range o.alerts[max(0, len(o.alerts)-alertsShown):] {
		text := a.Text
		if a.State == event.AlarmUnacknowledged {
			text = v.style("1", text)
		}
		line("%s  %s", a.TS.Local().Format("15:04:05"), text)
	}
	if audio != "" {
		line("spoken: %s", audio)
	}
	if e := o.lastModel; e.Event != "" {
		line("model:  %s %s %s %.80s", e.Event, e.Name, e.Version, e.Detail)
	}
	v.demo.mu.Lock()
	defer v.demo.mu.Unlock()
	if n := len(v.demo.notes); n > 0 {
		line("demo:   %s", v.demo.notes[n-1])
	}
}

const maxShown = 12 // things

func (v *view) things(line func(string, ...any)) {
	o := v.demo.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.thingNames()
	line("%s", v.style("2", fmt.Sprintf("%-16s %-8s %8s  %-22s %-11s %-11s %7s %6s", "thing", "line", "row", "probability of a fault", "label", "truth", "faults", "peak")))
	for _, name := range names[:min(len(names), maxShown)] {
		t := o.things[name]
		label := fmt.Sprintf("%-11s", t.last.Label)
		if t.last.Label == event.LabelFaulty {
			label = v.style("1;31", label)
		}
		truth := "?"
		if t.last.Faulty != nil {
			truth = event.LabelNotFaulty
			if *t.last.Faulty {
				truth = event.LabelFaulty
			}
		}
		line("%-16.16s %-8.8s %8d  %s %.4f %s %-11s %7d %6.3f", name, t.last.Line, t.last.Seq, bar(t.last.Probability), t.last.Probability, label, truth, t.faults, t.peak)
	}
	if hidden := len(names) - maxShown; hidden > 0 {
		line("… and %d more", hidden)
	}
}

func (v *view) components(line func(string, ...any)) {
	line("%s", v.style("2", fmt.Sprintf("%-32s %-10s %8s %9s %9s %9s", "component", "state", "pid", "RSS MiB", "CPU s", "restarts")))
	for _, c := range v.demo.core.Components() {
		line("%-32s %-10s %8d %9.1f %9.2f %9d", c.Name, c.State, c.PID, float64(c.PeakRSS)/(1<<20), c.CPU, c.Restarts)
	}
}

func (v *view) state(h event.Health) string {
	if h.State == event.StateOK {
		return v.style("32", string(h.State))
	}
	return v.style("33", string(h.State))
}

func (v *view) style(code, text string) string {
	if !v.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const barWidth = 15

func bar(p float64) string {
	full := min(max(int(p*barWidth+0.5), 0), barWidth)
	return strings.Repeat("█", full) + strings.Repeat("·", barWidth-full)
}

// summarise prints what a run has shown.
func (d *demo) summarise(r report, audio string) {
	line := d.print
	line("rows published %d, scored %d, unscored %d, invalid %d; latency p50 %.2f ms, p99 %.2f ms",
		r.Published, r.Predictions, r.Unscored, r.Invalid, r.LatencyMS.P50, r.LatencyMS.P99)
	a := d.observer.balance()
	if r.Unscored > 0 {
		line("the engine counted %d rows that it missed (%s)", a.missed, engine.CounterMissed)
	}
	if c := d.observer.right; c != (confusion{}) {
		line("against the truth in the rows: %d faulty rows found, %d not found, %d false alarms, %d sound rows passed",
			c.truePositive, c.falseNegative, c.falsePositive, c.trueNegative)
	}
	line("alarms raised %d; in the cloud: %d predictions and alerts, %d lost, %d arrived twice, %d sound files",
		r.Alerts, r.Delivered, r.Lost, r.Duplicates, r.Audio)
	if audio != "" {
		line("the last alarm, spoken: %s", audio)
	}
	for _, c := range r.Components {
		line("%-32s peak %.1f MiB, %.2f s of processor time, %d restarts", c.Name, c.RSSMB, c.CPUS, c.Restarts)
	}
	line("models: %s; %d took over during the run, %d refused", strings.Join(r.Models, ", "), r.Swaps, len(r.Refused))
	for _, why := range r.Refused {
		line("model refused: %s", why)
	}
}
