package drift_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/drift"
)

const sensors = 168

var begin = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// normalColumn is what training saw of values with a normal distribution, in 18 bins.
func normalColumn(r *rand.Rand, rows int) drift.Column {
	c := drift.Column{Low: -5, High: 5}
	for i := 1; i < 18; i++ {
		c.Edges = append(c.Edges, float32(quantile(float64(i)/18)))
	}
	c.Counts = make([]uint64, 18)
	for range rows {
		i, _ := slices.BinarySearch(c.Edges, float32(r.NormFloat64()))
		c.Counts[i]++
	}
	return c
}

// quantile returns that of the normal distribution.
func quantile(p float64) float64 {
	low, high := -9., 9.
	for range 60 {
		if x := (low + high) / 2; 0.5*math.Erfc(-x/math.Sqrt2) < p {
			low = x
		} else {
			high = x
		}
	}
	return low
}

// plant gives rows of a line, one of each thing a minute.
type plant struct {
	r        *rand.Rand
	things   int
	row      drift.Row
	n        int
	skip     int // things that have no rows
	offsets  []float32
	change   func(row *drift.Row)
	reported []drift.Report
}

func newPlant(seed uint64, things int) *plant {
	return &plant{r: rand.New(rand.NewPCG(seed, 2)), things: things, row: drift.Row{Values: make([]float32, sensors)}, offsets: make([]float32, things), change: func(*drift.Row) {}}
}

func (p *plant) columns() drift.Options {
	o := drift.Options{Learn: 24 * time.Hour}
	for range sensors {
		o.Columns = append(o.Columns, normalColumn(p.r, 96_000))
	}
	return o
}

// run adds rows until there is a report that wanted takes, and returns how many those were; -1: none came.
func (p *plant) run(l *drift.Line, rows int, wanted func(drift.Report) bool) int {
	for i := range rows {
		thing := p.n % p.things
		minute := p.n / p.things
		p.n++
		if thing < p.skip {
			continue
		}
		p.row.Thing, p.row.At = fmt.Sprintf("press-%d", thing), begin.Add(time.Duration(minute)*time.Minute)
		for c := range p.row.Values {
			p.row.Values[c] = p.offsets[thing] + float32(p.r.NormFloat64())
		}
		p.row.Probability, p.row.Faulty, p.row.Unknown = 0.02*p.r.Float64(), p.r.Float64() < 0.01, nil
		p.change(&p.row)
		if r := l.Add(p.row); r != nil {
			p.reported = append(p.reported, *r)
			if wanted != nil && wanted(*r) {
				return i + 1
			}
		}
	}
	return -1
}

func found(kind drift.Kind) func(drift.Report) bool {
	return func(r drift.Report) bool {
		return r.Drift && slices.ContainsFunc(r.Found, func(f drift.Figure) bool { return f.Kind == kind })
	}
}

func over(r drift.Report) bool { return !r.Drift }

// learned returns a line that has learned what is usual, of rows that do not depend on each other.
func learned(t *testing.T, p *plant, o drift.Options) *drift.Line {
	t.Helper()
	l := drift.NewLine(drift.NewPlan(o))
	if p.run(l, 3*1440*p.things, nil); len(p.reported) > 0 {
		t.Fatalf("while nothing changed: %+v", p.reported)
	}
	return l
}

func TestAShiftOfOneSensorIsFoundInFewRows(t *testing.T) {
	for _, training := range []bool{true, false} {
		p := newPlant(1, 10)
		o := p.columns()
		o.Training = training
		state, err := learned(t, p, o).State()
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			sd   float32
			most int
		}{{0.5, 500}, {1, 200}} {
			var delays []int
			for i := range 20 {
				l, err := drift.NewPlan(o).Restore(state)
				if err != nil {
					t.Fatal(err)
				}
				p := newPlant(uint64(100+i), 10)
				p.n = 3 * 1440 * 10
				p.change = func(row *drift.Row) { row.Values[17] += test.sd }
				delays = append(delays, p.run(l, 3000, found(drift.Sensor)))
				r := p.reported[len(p.reported)-1]
				if f := r.Found[0]; f.Column != 17 || len(r.Found) != 1 || !(f.Value > f.Limit) || !(f.Now-f.Usual > 0.2) {
					t.Errorf("told: %+v", r)
				}
			}
			slices.Sort(delays)
			if at := delays[len(delays)*9/10]; delays[0] < 0 || at > test.most {
				t.Errorf("training %v: %v standard deviations are found after %v rows, 90 %% should be within %d", training, test.sd, delays, test.most)
			}
		}
	}
}

func TestEachKindIsFoundAndIsOver(t *testing.T) {
	for name, test := range map[string]struct {
		change func(p *plant, row *drift.Row)
		check  func(drift.Report) bool
	}{
		"sensor":     {func(_ *plant, row *drift.Row) { row.Values[3] = 0.5 * row.Values[3] }, found(drift.Sensor)},
		"missing":    {func(p *plant, row *drift.Row) { row.Values[4] = hole(p, row.Values[4], 0.2) }, found(drift.Missing)},
		"score":      {func(_ *plant, row *drift.Row) { row.Probability *= 5 }, found(drift.Score)},
		"fault rate": {func(p *plant, row *drift.Row) { row.Faulty = p.r.Float64() < 0.1 }, found(drift.FaultRate)},
		"unknown":    {func(_ *plant, row *drift.Row) { row.Unknown = []string{"oil_temp_2"} }, func(r drift.Report) bool { return slices.Equal(r.Unknown, []string{"oil_temp_2"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(3, 10)
			l := learned(t, p, p.columns())
			p.change = func(row *drift.Row) { test.change(p, row) }
			rows := p.run(l, 5000, test.check)
			if rows < 0 || rows > 1500 {
				t.Fatalf("found after %d rows; reported: %+v", rows, p.reported)
			}
			if r := l.Standing(p.row.At); r == nil || !test.check(*r) || !r.Since.Before(r.At) {
				t.Errorf("standing: %+v", r)
			}
			p.change = func(*drift.Row) {}
			if rows = p.run(l, 1440*10*2, over); rows < 600 {
				t.Errorf("over after %d rows", rows)
			}
			if r := l.Standing(p.row.At); r != nil {
				t.Errorf("standing when it is over: %+v", r)
			}
			if more := p.run(l, 5000, func(drift.Report) bool { return true }); more >= 0 {
				t.Errorf("told again: %+v", p.reported[len(p.reported)-1])
			}
		})
	}
}

func hole(p *plant, x float32, share float64) float32 {
	if p.r.Float64() < share {
		return float32(math.NaN())
	}
	return x
}

// Machines differ from each other; one that has no rows changes what the line's rows look like.
func TestAMachineThatHasNoRowsIsNoDrift(t *testing.T) {
	p := newPlant(4, 3)
	p.offsets = []float32{-2, 0, 2}
	l := learned(t, p, p.columns())
	if len(l.Unlike()) != sensors {
		t.Errorf("%d sensors are unlike the training", len(l.Unlike()))
	}
	for _, p.skip = range []int{1, 2, 0} {
		if p.run(l, 3*1440*3, nil); len(p.reported) > 0 {
			t.Fatalf("without %d machines: %+v", p.skip, p.reported)
		}
	}
	p.change = func(row *drift.Row) { row.Values[9]++ }
	if rows := p.run(l, 1500, found(drift.Sensor)); rows < 0 || rows > 500 {
		t.Errorf("a drift is found after %d rows", rows)
	}
}

// A machine that is new is learned before its rows count.
func TestAMachineThatIsNewIsNoDrift(t *testing.T) {
	p := newPlant(5, 4)
	p.offsets, p.skip = []float32{4, 0, 0, 0}, 1
	l := learned(t, p, p.columns())
	if p.skip = 0; p.run(l, 5*1440*4, nil) >= 0 || len(p.reported) > 0 {
		t.Fatalf("reported: %+v", p.reported)
	}
}

func TestARestartNeitherRepeatsNorForgets(t *testing.T) {
	again := func(l *drift.Line, o drift.Options) *drift.Line {
		s, err := l.State()
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var read drift.State
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		l, err = drift.NewPlan(o).Restore(read)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, training := range []bool{false, true} {
		plain, restarted := newPlant(6, 10), newPlant(6, 10)
		o := plain.columns()
		restarted.columns() // as many random numbers
		o.Training = training
		a, b := drift.NewLine(drift.NewPlan(o)), drift.NewLine(drift.NewPlan(o))
		shift := func(row *drift.Row) {
			if day := row.At.Sub(begin).Hours() / 24; day > 3 && day < 3.5 {
				row.Values[1]++
			}
		}
		plain.change, restarted.change = shift, shift
		for range 50 {
			plain.run(a, 1017, nil)
			restarted.run(b, 1017, nil)
			b = again(b, o)
		}
		if len(plain.reported) == 0 || told(plain.reported) != told(restarted.reported) {
			t.Errorf("without restarts %+v,\nwith restarts %+v", plain.reported, restarted.reported)
		}
	}
	o := newPlant(6, 10).columns()
	s, err := drift.NewLine(drift.NewPlan(o)).State()
	if err != nil {
		t.Fatal(err)
	}
	o.Learn++
	if _, err = drift.NewPlan(o).Restore(s); !errors.Is(err, drift.ErrPlan) {
		t.Errorf("another plan takes it over: %v", err)
	}
}

// told is what reports say, but for figures: a line that was restored mixes what is usual of its things at other times.
func told(reports []drift.Report) string {
	text := ""
	for _, r := range reports {
		text += fmt.Sprintln(r.Drift, r.Since, r.At, r.Rows, r.More, r.Unknown)
		for _, f := range r.Found {
			text += fmt.Sprintln(f.Kind, f.Column)
		}
	}
	return text
}

func TestAModelWithoutBaselineIsComparedWithTheLine(t *testing.T) {
	p := newPlant(7, 10)
	l := learned(t, p, drift.Options{Columns: make([]drift.Column, sensors), Training: true, Learn: 12 * time.Hour})
	p.change = func(row *drift.Row) { row.Values[5]++ }
	if rows := p.run(l, 1000, found(drift.Sensor)); rows < 0 || rows > 250 {
		t.Errorf("found after %d rows", rows)
	}
}

// A state on disk that is damaged, or forged, makes no panic.
func TestAStateThatIsWrongIsRefused(t *testing.T) {
	p := newPlant(8, 3)
	o := p.columns()
	plan := drift.NewPlan(o)
	good, err := learned(t, p, o).State()
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(*drift.State){
		"phase": func(s *drift.State) { s.Phase = 9 }, "next": func(s *drift.State) { s.Next = 99 }, "filled": func(s *drift.State) { s.Filled = -1 },
		"things": func(s *drift.State) { s.Things = s.Things[:1] }, "twice": func(s *drift.State) { s.Things = append(slices.Clone(s.Things), s.Things[0]) },
		"data": func(s *drift.State) { s.Data = s.Data[:len(s.Data)/2] }, "none": func(s *drift.State) { s.Data = nil },
		"blocks": func(s *drift.State) { s.Blocks = nil }, "unlike": func(s *drift.State) { s.Unlike = []int{1000} },
		"day": func(s *drift.State) { s.Day.Rows = nil }, "faulty": func(s *drift.State) { s.Faults.K = 1000 },
	} {
		s := good
		if damage(&s); name == "" {
			continue
		}
		if _, err := plan.Restore(s); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := plan.Restore(good); err != nil {
		t.Error(err)
	}
}

func TestARowAllocatesNothing(t *testing.T) {
	p := newPlant(9, 10)
	l := learned(t, p, p.columns())
	row := p.row
	at, i := p.row.At, 0
	names := []string{"press-0", "press-1", "press-2", "press-3"}
	if n := testing.AllocsPerRun(2000, func() {
		i++
		row.Thing, row.At = names[i%len(names)], at.Add(time.Duration(i)*time.Second)
		l.Add(row)
	}); n > 0.01 {
		t.Errorf("%v allocations a row", n)
	}
}

func BenchmarkRow(b *testing.B) {
	for _, things := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("things=", things), func(b *testing.B) {
			p := newPlant(10, things)
			l := drift.NewLine(drift.NewPlan(p.columns()))
			p.run(l, 3*1440*things, nil)
			rows := make([]drift.Row, 1000)
			for i := range rows {
				rows[i] = drift.Row{Thing: fmt.Sprintf("press-%d", i%things), Values: make([]float32, sensors), Probability: 0.01}
				for c := range rows[i].Values {
					rows[i].Values[c] = float32(p.r.NormFloat64())
				}
			}
			at := p.row.At
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				row := rows[i%len(rows)]
				row.At = at.Add(time.Duration(i/things) * time.Minute)
				l.Add(row)
			}
		})
	}
}
