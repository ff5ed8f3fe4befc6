package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

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

// size is that of the terminal, which the user may change at any time.
func (v *view) size() (width, height int) {
	if file, ok := v.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(file.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

func (v *view) draw() error {
	audio, err := v.demo.saveAudio()
	if err != nil {
		return err
	}
	p := v.picture(time.Now())
	p.audio = audio
	width, height := v.size()
	lines := p.lines(width, height)
	// The last line has no line feed: it would scroll a picture that fills the terminal.
	fmt.Fprint(v.out, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
	return nil
}

// picture collects what is to be seen.
func (v *view) picture(now time.Time) *picture {
	o := v.demo.observer
	a, journal := o.balance(), v.demo.cloud.Journal()
	p := &picture{
		colour: v.colour, root: v.demo.options.root, running: now.Sub(v.begun).Truncate(time.Second),
		account: a, delivery: o.delivery(journal), up: v.demo.up.Load(), components: v.demo.core.Components(),
	}
	if seconds := now.Sub(v.lastAt).Seconds(); seconds >= 0.1 {
		p.published = float64(a.published-v.last.published) / seconds
		p.scored = float64(a.predictions-v.last.predictions) / seconds
	}
	v.last, v.lastAt = a, now
	p.engine, p.engineKnown = o.health(event.InferenceEngine)
	h, _ := o.health(event.CloudForwarder)
	p.waiting = h.Waiting()

	o.mu.Lock()
	recent := o.latencies[max(0, len(o.latencies)-1000):]
	p.p50, p.p99 = percentile(recent, 50), percentile(recent, 99)
	p.alerts, p.model, p.drift = append(p.alerts, o.alerts...), o.lastModel, o.drift.last
	if n := len(o.shadow); n > 0 {
		newest := *o.shadow[n-1]
		p.candidate = &newest
	}
	for _, name := range o.thingNames() {
		p.things = append(p.things, thingLine{name, *o.things[name]})
	}
	o.mu.Unlock()
	if note := v.demo.note.Load(); note != nil {
		p.note = *note
	}
	return p
}

// summarise prints what a run has shown.
func (d *demo) summarise(r report, audio string) {
	line := d.print
	line("rows published %d of about %d, scored %d, unscored %d, invalid %d; latency p50 %.2f ms, p99 %.2f ms",
		r.Published, r.Asked, r.Predictions, r.Unscored, r.Invalid, r.LatencyMS.P50, r.LatencyMS.P99)
	a := d.observer.balance()
	if r.Unscored > 0 {
		line("the engine counted %d rows that it missed (%s)", a.missed, event.CounterTelemetryMissed)
	}
	if c := d.observer.right; c != (confusion{}) {
		line("against the truth in the rows: %d faulty rows found, %d not found, %d labelled faulty up to %d h early, %d false alarms, %d sound rows passed",
			c.truePositive, c.falseNegative, c.early, earlyHours, c.falsePositive, c.trueNegative)
	}
	if text := d.observer.told(); text != "" {
		line("an alarm said: %s", text)
	}
	if e := r.Explained; e.Of > 0 || e.Predictions > 0 {
		line("%d of %d alarms of machines say what points to a fault, and so do %d faulty rows", e.Alerts, e.Of, e.Predictions)
	}
	if l := r.Life; l.Rows > 0 {
		line("remaining life told for %d rows, as an interval of %.1f h on average; %.0f %% of the intervals hold the truth", l.Rows, l.MeanWidth, 100*l.Coverage)
	}
	line("alarms raised %d; in the cloud: %d predictions and alerts, %d lost, %d arrived twice; %d predictions never reached the spool",
		r.Alerts, r.Delivered, r.Lost, r.Duplicates, r.Unaccepted)
	line("%d sound files%s", r.Audio, reuse(d.observer.delivery(d.cloud.Journal()).reused))
	if audio != "" {
		line("the last new sound: %s", audio)
	}
	line("what people got by e-mail: %s", filepath.Join(d.options.root, mailFile))
	for _, c := range r.Components {
		line("%-27s peak %.1f MiB, %.2f s of processor time, %d restarts", c.Name, c.RSSMB, c.CPUS, c.Restarts)
	}
	line("models: %s; %d took over during the run, %d refused", strings.Join(r.Models, ", "), r.Swaps, len(r.Refused))
	for _, why := range r.Refused {
		line("model refused: %s", why)
	}
	if o := d.observer; o.drift.found != nil {
		line("drift found after %d rows: %s", o.drift.after, driftText(*o.drift.found, event.MaxDrift))
	}
	for _, c := range d.observer.shadow {
		line("in the shadow: %s", c.text())
	}
}

// reuse tells how often an alert was spoken by a sound that was there already: equal words cost one synthesis.
func reuse(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", used again %d times for alerts with the same words", n)
}
