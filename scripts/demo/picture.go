package main

import (
	"fmt"
	"math"
	"os"
	"slices"
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
	drift             event.Drift
	candidate         *candidateAccount // the newest; nil: there was none
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
	newestShown = 6   // lines of the newest alert that go before the components
	wide        = 100 // columns of the widest table
)

// lines returns the picture for a terminal: at most so many lines of at most so many columns. When there is little room,
// predictions and alerts come first, then what happens, then figures, the table of the components last.
func (p *picture) lines(width, height int) []string {
	things, components := p.thingTable(width), p.componentTable()
	alerts := 1 + max(1, p.alertHeight(width))
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
	shownAlerts := take(min(alerts, 4), 2)
	shownEvents := take(len(events), 1)
	shownFigures := rows + take(len(figures)-1, 1)
	shownAlerts += take(min(1+p.newestHeight(width)-shownAlerts, left-1), 1)
	shownComponents := take(len(components), len(components))
	if shownComponents == 0 {
		components = []string{p.componentLine()}
		shownComponents = take(1, 1)
	}
	shownAlerts += take(alerts-shownAlerts, 1)
	gaps := take(3, 3)
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
	add(p.alertLines(width, shownAlerts))
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

// events are what happened last, the most telling first. Of a candidate, the line of its comparison says what happened to it.
func (p *picture) events() []string {
	var lines []string
	if p.note != "" {
		lines = append(lines, "demo:   "+p.note)
	}
	if p.drift.ID != "" {
		lines = append(lines, "drift:  "+driftText(p.drift, 2))
	}
	if p.candidate != nil {
		lines = append(lines, "shadow: "+p.candidate.text())
	}
	if e := p.model; e.Event != "" && (p.candidate == nil || e.Version != p.candidate.last.Candidate.Version) {
		lines = append(lines, "model:  "+strings.Join(strings.Fields(strings.Join([]string{string(e.Event), e.Name, e.Version, reason(e)}, " ")), " "))
	}
	if p.audio != "" {
		lines = append(lines, "spoken: "+shortPath(p.audio))
	}
	return lines
}

// reason is why a model was refused, without the name that the engine puts before it.
func reason(e event.ModelEvent) string {
	return strings.TrimPrefix(e.Detail, fmt.Sprintf("model %s %s refused: ", e.Name, e.Version))
}

// alertHeight is how many lines the newest alerts take that are shown.
func (p *picture) alertHeight(width int) (n int) {
	for _, a := range p.alerts[max(0, len(p.alerts)-alertsShown):] {
		n += len(p.alertText(a, width, math.MaxInt))
	}
	return n
}

// newestHeight is how many lines the newest alert takes.
func (p *picture) newestHeight(width int) int {
	if len(p.alerts) == 0 {
		return 0
	}
	return min(len(p.alertText(p.alerts[len(p.alerts)-1], width, math.MaxInt)), newestShown)
}

// alertLines are a heading and the newest alerts, the newest last, in at most n lines. The text of an alert that does not fit is
// cut.
func (p *picture) alertLines(width, n int) []string {
	if n < 2 {
		return nil
	}
	var lines []string
	for _, a := range slices.Backward(p.alerts[max(0, len(p.alerts)-alertsShown):]) {
		if left := n - 1 - len(lines); left > 0 {
			lines = append(p.alertText(a, width, left), lines...)
		}
	}
	if len(lines) == 0 {
		lines = []string{"none yet"}
	}
	return append([]string{p.style("2", "alerts")}, lines...)
}

// alertText is the time and the text of an alert, in lines of a width, of which the last may be longer when there are no more than most.
func (p *picture) alertText(a event.Alert, width, most int) []string {
	const indent = len("15:04:05 ")
	lines := wrap(a.Text, max(width-indent, indent))
	if len(lines) > most {
		lines = append(lines[:most-1], strings.Join(lines[most-1:], " "))
	}
	for i, line := range lines {
		if a.State == event.AlarmUnacknowledged {
			line = p.style("1", line)
		}
		lines[i] = strings.Repeat(" ", indent) + line
	}
	lines[0] = a.TS.Local().Format("15:04:05") + lines[0][indent-1:]
	return lines
}

// wrap breaks a text between words into lines of so many characters; a longer word has a line of its own.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// thingTable is a heading and the machines.
func (p *picture) thingTable(width int) []string {
	probability := "probability of a fault"
	if len(p.things) > 0 { // by the model's threshold, which may be far below a half
		probability = fmt.Sprintf("fault: %.4f or more", p.things[0].last.Threshold)
	}
	heading := fmt.Sprintf("%-14s %6s  %-22s %-11s %-10s %6s", "thing", "row", probability, "label", "life", "faults")
	if width >= wide {
		heading = fmt.Sprintf("%-14s %-7s %6s  %-22s %-11s %-10s %-17s %6s", "thing", "line", "row", probability, "label", "life", "truth", "faults")
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
			lines = append(lines, fmt.Sprintf("%-14.14s %6d  %s %.4f %s %-10s %6d",
				t.name, t.last.Seq, bar(t.last.Probability), t.last.Probability, label, shortLife(t.last.Life), t.faults))
			continue
		}
		lines = append(lines, fmt.Sprintf("%-14.14s %-7.7s %6d  %s %.4f %s %-10s %-17s %6d",
			t.name, t.last.Line, t.last.Seq, bar(t.last.Probability), t.last.Probability, label, shortLife(t.last.Life), truth(&t.last), t.faults))
	}
	return lines
}

// shortUnit is how the view writes a unit of remaining life.
var shortUnit = map[string]string{"minutes": "min", "hours": "h", "days": "d", "weeks": "wk", "cycles": "cyc"}

// shortLife is a remaining life in a few characters, such as 12-31 h.
func shortLife(l *event.Life) string {
	if l == nil {
		return "?"
	}
	low, high, unit := math.Floor(l.Low), math.Ceil(l.High), shortUnit[l.Unit]
	switch {
	case l.Beyond && low == 0:
		return "?" // it may be anything
	case l.Beyond:
		return fmt.Sprintf("> %.0f %s", low, unit)
	}
	return fmt.Sprintf("%.0f-%.0f %s", low, high, unit)
}

// truth is what a row tells of its machine, where it tells it.
func truth(p *event.Prediction) string {
	if p.Faulty == nil {
		return "?"
	}
	text := event.LabelNotFaulty
	if *p.Faulty {
		text = event.LabelFaulty
	}
	if p.Remaining != nil {
		text += fmt.Sprintf(", %.0f h", *p.Remaining)
	}
	return text
}

// cutThings returns n lines of the table; the last one tells how many machines are hidden.
func (p *picture) cutThings(table []string, n int) []string {
	table = table[:n:n]
	if hidden := len(p.things) - (n - 1); hidden > 0 && n > 2 {
		table[n-1] = fmt.Sprintf("… and %d more", hidden+1)
	}
	return table
}

func (p *picture) componentTable() []string {
	const format = "%-28.28s %-9s %8s %8s %7s %8s"
	lines := []string{p.style("2", fmt.Sprintf(format, "component", "state", "pid", "RSS MiB", "CPU s", "restarts"))}
	for _, c := range p.components {
		if c.Name == event.Suite {
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
