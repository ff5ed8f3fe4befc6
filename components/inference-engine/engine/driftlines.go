package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/drift"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/memory"
	"edgepdm/shared/modelstore/envelope"
)

const (
	driftDir    = "drift"
	driftFormat = 1
	maxDrift    = 64 << 20
	// maxDriftLines is how many lines are looked at; one that is silent for silentLine is forgotten.
	maxDriftLines = 64
	silentLine    = 7 * 24 * time.Hour
	// leastDriftThings of each line are looked at, however many there are of others.
	leastDriftThings = 10
	// driftAgainEvery is the time after which the last event of a line is told again, for who was away; that a drift is over, for overAgain.
	driftAgainEvery = 10 * time.Minute
	overAgain       = 24 * time.Hour
)

// driftInput is what people call an input of a model.
type driftInput struct {
	sensor string
	envelope.Display
}

// driftFile is a line on disk.
type driftFile struct {
	Format int            `json:"format"`
	Line   string         `json:"line"`
	Model  event.ModelRef `json:"model"`
	Heard  time.Time      `json:"heard"`
	State  drift.State    `json:"state"`
	Told   *event.Drift   `json:"told,omitempty"` // the last event; an older release neither has nor needs it
}

// driftLine is a line in memory.
type driftLine struct {
	*drift.Line
	heard time.Time
	dirty bool // the disk does not have it as it is
}

// driftLines are the lines of the model in use.
type driftLines struct {
	d     *drifts
	model event.ModelRef
	used  *activeModel
	plan  *drift.Plan
	lines map[string]*driftLine
	kept  map[string]driftFile   // of the process before, until the model is known
	told  map[string]event.Drift // the last event of a line
	stay  map[string]bool        // lines whose file could not be removed

	failing bool            // something could not be written, or removed
	retried time.Time       // when that was tried again
	damage  *durable.Damage // of files that the process found
}

// openDriftLines reads what the process before has kept.
func openDriftLines(d *drifts) *driftLines {
	l := &driftLines{d: d, lines: make(map[string]*driftLine), kept: make(map[string]driftFile), told: make(map[string]event.Drift)}
	entries, err := os.ReadDir(filepath.Join(d.rt.WorkDir, driftDir))
	unread, damaged := err, error(nil)
	if errors.Is(err, fs.ErrNotExist) {
		unread = nil
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" || len(l.kept) >= maxDriftLines {
			continue
		}
		file, damage, err := l.file(e.Name()).Open()
		switch {
		case damage != nil || err != nil:
			unread, damaged = errors.Join(unread, err), errors.Join(damaged, damage)
		case fileOf(file.Line) == e.Name():
			l.kept[file.Line] = file
		}
	}
	if unread != nil {
		d.rt.Log.Warn("what was learned of lines cannot be read: it is learned again", "error", unread)
	}
	if damaged != nil {
		l.damage = durable.NewDamage(d.now(), fmt.Sprint("what was learned of lines is lost, and learned again: ", damaged))
	}
	return l
}

// fileOf names the file of a line, whatever the line is called.
func fileOf(line string) string {
	sum := sha256.Sum256([]byte(line))
	return hex.EncodeToString(sum[:12]) + ".json"
}

func (l *driftLines) file(name string) durable.State[driftFile] {
	return durable.State[driftFile]{Path: filepath.Join(l.d.rt.WorkDir, driftDir, name), Format: driftFormat, Limit: maxDrift}
}

// use begins with a model. Drift of the model before is over: nobody knows it of this one.
func (l *driftLines) use(m *activeModel) {
	for _, name := range slices.Sorted(maps.Keys(l.lines)) {
		l.end(name, l.lines[name].Standing(l.d.now()))
	}
	l.lines, l.used, l.model = make(map[string]*driftLine), m, m.ref
	l.plan = drift.NewPlan(m.driftOptions(l.d.config))
	for name, file := range l.kept {
		if file.Model.SHA256 != m.ref.SHA256 {
			continue
		}
		line, err := l.plan.Restore(file.State)
		if err != nil {
			if !errors.Is(err, drift.ErrPlan) {
				l.d.rt.Log.Warn("what was learned of a line cannot be used: it is learned again", "line", name, "error", err)
			}
			continue
		}
		l.lines[name] = &driftLine{Line: line, heard: file.Heard}
		if file.Told != nil {
			l.told[name] = *file.Told
		}
		delete(l.kept, name)
	}
	l.endKept(m.ref)
}

// endKept says that drift of lines of the process before is over, and goes on with a model.
func (l *driftLines) endKept(next event.ModelRef) {
	for _, name := range slices.Sorted(maps.Keys(l.kept)) {
		file := l.kept[name]
		var standing *drift.Report
		if file.State.Drift {
			standing = &drift.Report{Since: file.State.Since}
		}
		l.model = file.Model
		l.end(name, standing)
	}
	l.model, l.kept = next, nil
}

// end says that a drift is over, of which a report stands; nil: there is none.
func (l *driftLines) end(name string, standing *drift.Report) {
	if standing != nil {
		l.tell(name, drift.Report{Since: standing.Since, At: l.d.now()})
	}
	l.remove(name)
}

func (l *driftLines) remove(name string) {
	err := os.Remove(l.file(fileOf(name)).Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if delete(l.stay, name); err != nil {
		if l.stay == nil {
			l.stay = make(map[string]bool)
		}
		l.stay[name] = true
	}
	l.onDisk(err)
}

// onDisk tells of a failure of the disk, until retry finds everything done.
func (l *driftLines) onDisk(err error) {
	if l.failing = l.failing || err != nil; err != nil {
		l.d.rt.Conditions().Set(event.CodeDisk, placeDrift, err)
	}
}

// retry writes and removes what could not be.
func (l *driftLines) retry(now time.Time) {
	if !l.failing || now.Sub(l.retried).Abs() < driftRetryEvery {
		return
	}
	l.failing, l.retried = false, now
	for name := range l.stay {
		if line := l.lines[name]; line != nil { // it is back, and has its file again
			delete(l.stay, name)
			line.dirty = true
			continue
		}
		l.remove(name)
	}
	if l.save(); !l.failing {
		l.d.rt.Conditions().Set(event.CodeDisk, placeDrift, nil)
	}
}

// driftThings is how many things of all lines are looked at: what is usual of one takes 9 kB with 168 sensors while it is learned. What
// comes to the machines of a line shows in some of them.
func driftThings(maxThings int) int {
	if maxThings > memory.ManyThings { // whose memory goes elsewhere
		return 500
	}
	return 1000
}

// add takes a row; false: there are too many lines, or things.
func (l *driftLines) add(row *driftRow) bool {
	line := l.lines[row.line]
	if line == nil {
		if len(l.lines) >= maxDriftLines {
			return false
		}
		line = &driftLine{Line: drift.NewLine(l.plan)}
		l.lines[row.line] = line
	}
	line.heard, line.dirty = row.at, true
	report := line.Add(drift.Row{
		Thing: row.thing, At: row.at, Values: row.values, Probability: row.probability, Faulty: row.faulty, Unknown: row.unknown,
		Full: !line.Has(row.thing) && line.Things() >= leastDriftThings && l.things() >= l.d.things,
	})
	if report != nil {
		l.tell(row.line, *report)
		l.saveLine(row.line, line)
	}
	return line.Has(row.thing)
}

// things is how many things of all lines are looked at.
func (l *driftLines) things() (n int) {
	for _, line := range l.lines {
		n += line.Things()
	}
	return n
}

// forget drops lines of which nothing has been heard for long.
func (l *driftLines) forget(now time.Time) {
	for name, line := range l.lines {
		if now.Sub(line.heard) > silentLine {
			l.end(name, line.Standing(now))
			delete(l.lines, name)
		}
	}
}

// save keeps the lines on disk that have changed.
func (l *driftLines) save() {
	for name, line := range l.lines {
		if line.dirty {
			l.saveLine(name, line)
		}
	}
}

func (l *driftLines) saveLine(name string, line *driftLine) {
	state, err := line.State()
	if err == nil {
		err = os.MkdirAll(filepath.Join(l.d.rt.WorkDir, driftDir), 0o700)
	}
	var told *event.Drift
	if e, ok := l.told[name]; ok {
		told = &e
	}
	if err == nil {
		err = l.file(fileOf(name)).Save(driftFile{driftFormat, name, l.model, line.heard, state, told})
	}
	line.dirty = err != nil
	l.onDisk(err)
}

// tell makes an event of a report.
func (l *driftLines) tell(name string, r drift.Report) {
	l.d.told++
	e := event.Drift{
		V: event.Version, ID: fmt.Sprint(l.d.name, l.d.told), Line: name, Model: l.model, State: event.DriftOver, Since: r.Since.UTC(), TS: r.At.UTC(),
		Rows: r.Rows, More: r.More,
	}
	if r.Drift {
		e.State = event.DriftFound
	}
	for _, sensor := range r.Unknown {
		e.Unknown = append(e.Unknown, event.FitSensor(sensor))
	}
	for _, f := range r.Found {
		e.Found = append(e.Found, l.used.driftFigure(f))
	}
	e = fitDrift(e)
	l.told[name] = e
	l.d.publish(e)
}

// maxDriftBytes is how long an event may be: the shortest way to the cloud takes 4,500 bytes.
const maxDriftBytes = 4000

// fitDrift leaves out names in other languages, from the last figure on, and then figures, until the event is short enough.
func fitDrift(e event.Drift) event.Drift {
	long := func() bool {
		data, err := event.Encode(e)
		return err != nil || len(data) > maxDriftBytes
	}
	for i := len(e.Found) - 1; i >= 0 && long(); i-- {
		e.Found[i].Names = nil
	}
	for len(e.Found) > 1 && long() {
		e.Found, e.More = e.Found[:len(e.Found)-1], e.More+1
	}
	return e
}

// again tells the last event of each line once more, with the same id: an alarm manager that was away has missed it, whoever acknowledged it.
func (l *driftLines) again(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(l.told)) {
		e := l.told[name]
		if e.State == event.DriftOver && now.Sub(e.TS).Abs() > overAgain {
			delete(l.told, name)
			continue
		}
		e.Replayed = true
		l.d.put(e)
	}
}

// describe says how the lines are, and how many sensors were unlike the training.
func (l *driftLines) describe(now time.Time) (text string, unlike uint64) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.lines)) {
		line := l.lines[name]
		fmt.Fprintf(&b, "\ndrift of line %q: %s", cmp.Or(name, "-"), line.Phase())
		if r := line.Standing(now); r != nil {
			fmt.Fprintf(&b, ", DRIFT since %s:", r.Since.Local().Format(time.DateTime))
			for _, f := range r.Found {
				figure := l.used.driftFigure(f)
				fmt.Fprintf(&b, " %s %s;", figure.Kind, cmp.Or(figure.Name, figure.Sensor))
			}
			if len(r.Unknown) > 0 {
				fmt.Fprintf(&b, " unknown sensors %.200q", r.Unknown)
			}
		}
		if n := len(line.Unlike()); n > 0 {
			unlike += uint64(n)
			fmt.Fprintf(&b, "; %d sensors were unlike the training when it was learned", n)
		}
	}
	return b.String(), unlike
}

// driftOptions say what rows of a model are compared with.
func (m *activeModel) driftOptions(config DriftConfig) drift.Options {
	o := drift.Options{Columns: make([]drift.Column, len(m.driftInputs)), Training: config.Reference == ReferenceTraining, Learn: config.Learn}
	if m.usual == nil {
		return o
	}
	for i, h := range m.usual.Features {
		o.Columns[i] = columnOf(h)
	}
	if m.usual.Score != nil {
		o.Score = columnOf(*m.usual.Score)
	}
	return o
}

func columnOf(h envelope.Histogram) drift.Column {
	c := drift.Column{Edges: h.Edges, Counts: h.Counts, Missing: h.Missing, Low: float32(math.NaN()), High: float32(math.NaN())}
	if h.Min != nil && h.Max != nil {
		c.Low, c.High = *h.Min, *h.Max
	}
	return c
}

// driftInputs are what people call the inputs of a model.
func driftInputs(manifest *envelope.Manifest, features int) []driftInput {
	inputs := make([]driftInput, features)
	for i := range inputs {
		name := fmt.Sprintf("f%d", i) // as XGBoost calls it
		if i < len(manifest.Features) {
			name = manifest.Features[i]
		}
		sensor := name
		if manifest.Inputs != nil && i < len(manifest.Inputs.Inputs) {
			sensor = manifest.Inputs.Inputs[i].Sensor
		}
		inputs[i] = driftInput{event.FitSensor(name), manifest.Display[sensor]}
	}
	return inputs
}

// driftFigure names a figure.
func (m *activeModel) driftFigure(f drift.Figure) event.DriftFigure {
	e := event.DriftFigure{Limit: rounded(f.Limit), Usual: figureOf(f.Usual), Now: figureOf(f.Now)}
	switch f.Kind {
	case drift.Sensor, drift.Missing:
		input := m.driftInputs[f.Column]
		e.Kind, e.Sensor, e.Name, e.Names = event.DriftSensor, input.sensor, input.Name, input.Names
		if f.Kind == drift.Missing {
			e.Kind = event.DriftMissing
			return e
		}
		e.Unit = input.Unit
	case drift.Score:
		e.Kind = event.DriftScore
	case drift.FaultRate:
		e.Kind = event.DriftFaultRate
	}
	e.PSI = rounded(f.Value)
	return e
}

// rounded leaves out digits that say nothing.
func rounded(x float64) float64 { return math.Round(x*1e4) / 1e4 }

func figureOf(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	if x != 0 {
		scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
		x = math.Round(x*scale) / scale
	}
	return &x
}
