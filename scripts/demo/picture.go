package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"edgepdm/shared/event"
	"edgepdm/test/localcore"
)

// picture is what the live view shows at a time.
type picture struct {
	colour  bool
	root    string
	running time.Duration

	account           account
	published, scored float64 // rows a second
	p50, p99          float64 // latency, ms
	engine            event.Health
	engineKnown       bool
	up                bool
	waiting           uint64
	delivery          delivery
	things            []thingLine // those with the highest probability first
	alerts            []event.Alert
	model             event.ModelEvent
	audio, note       string
	components        []localcore.Status
}

type thingLine struct {
	name string
	thingView
}

const (
	thingsShown = 12
	alertsShown = 6
	wide        = 97 // columns of the widest table
)

// lines returns the picture for a terminal: at most so many lines of at most so many columns. When there is little room,
// predictions and alerts come first, then what happens, then figures, the table of the components last.
func (p *picture) lines(width, height int) []string {
	things, alerts, components := p.thingTable(width), p.alertLines(), p.componentTable(width)
	events, figures := p.events(), p.figures()
	left := max(height-1, 1) // the title
	take := func(wanted, least int) int {
		n := min(wanted, left)
		if n < least {
			return 0
		}
		left -= n
		return n
	}
	rows := take(1, 1)
	shownThings := take(min(len(things), 4), 2)
	shownAlerts := take(min(len(alerts), 4), 2)
	shownEvents := take(len(events), 1)
	shownFigures := rows + take(len(figures)-1, 1)
	shownComponents := take(len(components), len(components))
	if shownComponents == 0 {
		components = []string{p.componentLine()}
		shownComponents = take(1, 1)
	}
	gaps := take(3, 3)
	shownAlerts += take(len(alerts)-shownAlerts, 1)
	shownThings += take(len(things)-shownThings, 1)
	logs := take(1, 1)

	out := []string{p.style("1", "edgepdm: predictive maintenance on an embedded core") + fmt.Sprintf("   %s   Ctrl-C ends it", p.running)}
	add := func(lines []string) {
		if gaps > 0 && len(lines) > 0 {
			out = append(out, "")
			gaps--
		}
		out = append(out, lines...)
	}
	out = append(out, figures[:shownFigures]...)
	add(p.cutThings(things, shownThings))
	add(newest(alerts, shownAlerts))
	out = append(out, events[:shownEvents]...)
	add(components[:shownComponents])
	if logs > 0 {
		add([]string{"logs: " + shortPath(p.root) + "/logs"})
	}
	for i, line := range out {
		out[i] = cutLine(line, width)
	}
	return out[:min(len(out), max(height, 1))]
}

// figures are lines of counters, the most telling first.
func (p *picture) figures() []string {
	lines := []string{fmt.Sprintf("rows %7d %6.1f/s  scored %7d %6.1f/s  latency p50 %.1f p99 %.1f ms",
		p.account.published, p.published, p.account.predictions, p.scored, p.p50, p.p99)}
	uplink := p.style("32", "up")
	if !p.up {
		uplink = p.style("1;31", "CUT")
	}
	lines = append(lines, fmt.Sprintf("uplink %s   delivered %d   waiting %d   alarms %d   sounds %d%s",
		uplink, p.delivery.delivered, p.waiting, p.delivery.alerts, p.delivery.audio, used(p.delivery.reused)))
	if p.engineKnown {
		model := "none"
		if p.engine.Model != nil {
			model = p.engine.Model.Version + " (" + event.Cut(p.engine.Model.SHA256, 12) + ")"
		}
		state := p.style("32", string(p.engine.State))
		if p.engine.State != event.StateOK {
			state = p.style("33", string(p.engine.State))
		}
		lines = append(lines, fmt.Sprintf("engine %s   model %s   invalid %d   missed %d   %s", state, model, p.account.invalid, p.account.missed, p.engine.Detail))
	}
	return lines
}

// shortPath is a path as seen from the working directory, if it is below that.
func shortPath(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, ok := strings.CutPrefix(path, dir+"/"); ok {
		return short
	}
	return path
}

func used(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d reused)", n)
}

// events are what happened last.
func (p *picture) events() []string {
	var lines []string
	if p.note != "" {
		lines = append(lines, "demo:   "+p.note)
	}
	if p.audio != "" {
		lines = append(lines, "spoken: "+shortPath(p.audio))
	}
	if e := p.model; e.Event != "" {
		lines = append(lines, fmt.Sprintf("model:  %s %s %s %s", e.Event, e.Name, e.Version, e.Detail))
	}
	return lines
}

// alertLines are a heading and the newest alerts, the newest last.
func (p *picture) alertLines() []string {
	lines := []string{p.style("2", "alerts")}
	if len(p.alerts) == 0 {
		return append(lines, "none yet")
	}
	for _, a := range p.alerts[max(0, len(p.alerts)-alertsShown):] {
		text := a.Text
		if a.State == event.AlarmUnacknowledged {
			text = p.style("1", text)
		}
		lines = append(lines, a.TS.Local().Format("15:04:05")+" "+text)
	}
	return lines
}

// newest returns the heading of a list and its last lines, n in all.
func newest(lines []string, n int) []string {
	if n < 2 {
		return nil
	}
	return append(lines[:1:1], lines[len(lines)-n+1:]...)
}

// thingTable is a heading and the machines.
func (p *picture) thingTable(width int) []string {
	heading := fmt.Sprintf("%-14s %8s  %-22s %-11s %7s %6s", "thing", "row", "probability of a fault", "label", "faults", "peak")
	if width >= wide {
		heading = fmt.Sprintf("%-16s %-8s %8s  %-22s %-11s %-11s %7s %6s", "thing", "line", "row", "probability of a fault", "label", "truth", "faults", "peak")
	}
	lines := []string{p.style("2", heading)}
	if len(p.things) == 0 {
		return append(lines, "no predictions yet")
	}
	for _, t := range p.things[:min(len(p.things), thingsShown)] {
		label := fmt.Sprintf("%-11s", t.last.Label)
		if t.last.Label == event.LabelFaulty {
			label = p.style("1;31", label)
		}
		if width < wide {
			lines = append(lines, fmt.Sprintf("%-14.14s %8d  %s %.4f %s %7d %6.3f", t.name, t.last.Seq, bar(t.last.Probability), t.last.Probability, label, t.faults, t.peak))
			continue
		}
		truth := "?"
		if t.last.Faulty != nil {
			truth = event.LabelNotFaulty
			if *t.last.Faulty {
				truth = event.LabelFaulty
			}
		}
		lines = append(lines, fmt.Sprintf("%-16.16s %-8.8s %8d  %s %.4f %s %-11s %7d %6.3f",
			t.name, t.last.Line, t.last.Seq, bar(t.last.Probability), t.last.Probability, label, truth, t.faults, t.peak))
	}
	return lines
}

// cutThings returns n lines of the table; the last one tells how many machines are hidden.
func (p *picture) cutThings(table []string, n int) []string {
	table = table[:n:n]
	if hidden := len(p.things) - (n - 1); hidden > 0 && n > 2 {
		table[n-1] = fmt.Sprintf("… and %d more", hidden+1)
	}
	return table
}

func (p *picture) componentTable(width int) []string {
	const format = "%-28.28s %-9s %8s %8s %7s %8s"
	lines := []string{p.style("2", fmt.Sprintf(format, "component", "state", "pid", "RSS MiB", "CPU s", "restarts"))}
	for _, c := range p.components {
		if c.Name == event.Suite && width < wide {
			continue // it has no program
		}
		state := fmt.Sprintf("%-9s", c.State)
		if c.State == localcore.StateBroken || c.State == localcore.StateErrored {
			state = p.style("1;31", state)
		}
		lines = append(lines, fmt.Sprintf("%-28.28s %s %8d %8.1f %7.2f %8d", c.Name, state, c.PID, float64(c.PeakRSS)/(1<<20), c.CPU, c.Restarts))
	}
	return lines
}

// componentLine says in one line how the components are.
func (p *picture) componentLine() string {
	running, restarts := 0, 0
	var others []string
	for _, c := range p.components {
		if c.Name == event.Suite {
			continue // it has no program
		}
		restarts += c.Restarts
		switch c.State {
		case localcore.StateRunning:
			running++
		case localcore.StateBroken, localcore.StateErrored:
			others = append(others, p.style("1;31", fmt.Sprintf("%s %s", strings.TrimPrefix(c.Name, "com.edgepdm."), c.State)))
		}
	}
	return strings.TrimRight(fmt.Sprintf("components: %d running, %d restarts   %s", running, restarts, strings.Join(others, ", ")), " ")
}

func (p *picture) style(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const barWidth = 15

func bar(p float64) string {
	full := min(max(int(p*barWidth+0.5), 0), barWidth)
	return strings.Repeat("█", full) + strings.Repeat("·", barWidth-full)
}

// cutLine shortens a line to so many columns, escape sequences not counted. Characters are taken to be one column wide.
func cutLine(line string, width int) string {
	var out strings.Builder
	columns, styled := 0, false
	for i := 0; i < len(line); {
		if end := strings.IndexByte(line[i:], 'm'); line[i] == '\x1b' && end >= 0 {
			out.WriteString(line[i : i+end+1])
			styled = line[i:i+end+1] != "\x1b[0m"
			i += end + 1
			continue
		}
		r, size := utf8.DecodeRuneInString(line[i:])
		if columns == width-1 && visible(line[i:]) > 1 {
			out.WriteString("…")
			if styled {
				out.WriteString("\x1b[0m")
			}
			break
		}
		out.WriteRune(r)
		columns++
		i += size
	}
	return out.String()
}

// visible counts the columns of a text.
func visible(text string) int {
	n := 0
	for i := 0; i < len(text); {
		if end := strings.IndexByte(text[i:], 'm'); text[i] == '\x1b' && end >= 0 {
			i += end + 1
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
		n++
	}
	return n
}
