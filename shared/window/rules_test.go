package window

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"edgepdm/test/must"
)

// step is a row of one sensor: its outcome, and the statistics that it gives.
type step struct {
	epoch   string
	seq     uint64
	ts      float64
	value   float32
	outcome Outcome
	want    []float32
}

func play(t *testing.T, spec Spec, steps []step) {
	t.Helper()
	w, err := New(spec, 1<<20)
	must.OK(t, err)
	for i, s := range steps {
		got, outcome := w.Add(nil, "p", Row{s.epoch, s.seq, at(s.ts), []float32{s.value}})
		if outcome != s.outcome || !same(got, s.want) {
			t.Errorf("row %d: outcome %d, %v; want %d, %v", i+1, outcome, got, s.outcome, s.want)
		}
	}
}

var countRows = Spec{Sensors: []string{"a"}, Inputs: []Input{
	{Sensor: "a", Stat: Last}, {Sensor: "a", Stat: Count, Rows: 3}, {Sensor: "a", Stat: Max, Rows: 3}, {Sensor: "a", Stat: Count, Time: "10s"},
}}

// A lost row counts as one without values; as many as the window is long empty it. Nothing is stale.
func TestLostRows(t *testing.T) {
	play(t, countRows, []step{
		{"e", 5, 0, 9, Added, []float32{9, 1, 9, 1}},
		{"e", 6, 1, 2, Added, []float32{2, 2, 9, 2}},
		{"e", 8, 2, 3, Added, []float32{3, 2, 3, 3}},
		{"e", 11, 3, 1, Added, []float32{1, 1, 1, 4}},
		{"e", 1 << 63, 4, nan, Added, []float32{nan, 0, nan, 4}},
		{"e", 1<<63 + 1, 5, 4, Added, []float32{4, 1, 4, 5}},
	})
}

// A row that comes again counts once; one that comes late stays missing; neither changes what follows.
func TestRowsThatComeAgainOrLate(t *testing.T) {
	play(t, countRows, []step{
		{"e", 1, 0, 1, Added, []float32{1, 1, 1, 1}},
		{"e", 3, 2, 3, Added, []float32{3, 2, 3, 2}},
		{"e", 3, 2, 3, Repeated, []float32{3, 2, 3, 2}},
		{"e", 2, 1, 8, Late, []float32{8, nan, nan, nan}},
		{"e", 1, 0, 1, Late, []float32{1, nan, nan, nan}},
		{"e", 3, 2.5, 9, Late, []float32{9, nan, nan, nan}}, // another row with the number of the last
		{"e", 4, 3, 4, Added, []float32{4, 2, 4, 3}},
		{"f", 1, 4, 5, Added, []float32{5, 3, 5, 4}},
		{"e", 4, 3, 4, Late, []float32{4, nan, nan, nan}}, // of the epoch before
		{"f", 2, 5, 2, Added, []float32{2, 3, 5, 5}},
		{"e", 6, 6, 7, Added, []float32{7, 2, 7, 6}}, // the epoch before goes on: its row 5 is lost
	})
}

// A producer that starts again goes on, with another epoch or with the same. Rows that it sent before the first that comes
// are lost.
func TestProducerStartsAgain(t *testing.T) {
	play(t, countRows, []step{
		{"e", 70, 0, 1, Added, []float32{1, 1, 1, 1}},
		{"f", 1, 1, 2, Added, []float32{2, 2, 2, 2}},
		{"f", 1, 1, 2, Repeated, []float32{2, 2, 2, 2}},
		{"g", 3, 2, 3, Added, []float32{3, 1, 3, 3}},
		{"g", 4, 3, 4, Added, []float32{4, 2, 4, 4}},
		{"g", 1, 4, 5, Added, []float32{5, 3, 5, 5}}, // a later time: no late row
		{"g", 2, 5, 1, Added, []float32{1, 3, 5, 6}},
	})
}

// A clock that jumps: rows are rows, but what came before a step back is in no window over a time any more, also once the
// clock is where it was.
func TestClockJumps(t *testing.T) {
	play(t, countRows, []step{
		{"e", 1, 0, 1, Added, []float32{1, 1, 1, 1}},
		{"e", 2, 1, 2, Added, []float32{2, 2, 2, 2}},
		{"e", 3, 1e9, 3, Added, []float32{3, 3, 3, 1}}, // set at boot, or wrong
		{"e", 4, 2, 4, Added, []float32{4, 3, 4, 1}},
		{"e", 5, 1e9 + 1, 5, Added, []float32{5, 3, 5, 1}},
		{"e", 6, 1e9 + 2, 6, Added, []float32{6, 3, 6, 2}},
		{"f", 1, -2e9, 7, Added, []float32{7, 3, 7, 1}},
		{"f", 2, -2e9 + 1, 8, Added, []float32{8, 3, 8, 2}},
	})
	gap := countRows
	gap.MaxGap = "5s"
	play(t, gap, []step{
		{"e", 1, 0, 1, Added, []float32{1, 1, 1, 1}},
		{"e", 2, 5, 2, Added, []float32{2, 2, 2, 2}},
		{"e", 3, 10.1, 3, Added, []float32{3, 1, 3, 1}},
		{"e", 4, 9, 4, Added, []float32{4, 2, 4, 1}}, // back, and by less than the gap
		{"e", 5, 2, 5, Added, []float32{5, 1, 5, 1}},
	})
}

// Values that are infinite do not count, and statistics beyond float32 are missing.
func TestExtremeValues(t *testing.T) {
	spec := Spec{Sensors: []string{"a"}, Inputs: []Input{
		{Sensor: "a", Stat: Mean, Rows: 3}, {Sensor: "a", Stat: Std, Rows: 3}, {Sensor: "a", Stat: Slope, Rows: 3}, {Sensor: "a", Stat: Count, Rows: 3},
	}}
	const most = math.MaxFloat32
	play(t, spec, []step{
		{"e", 1, 0, most, Added, []float32{most, nan, nan, 1}},
		{"e", 2, 0, most, Added, []float32{most, 0, 0, 2}},
		{"e", 3, 0, float32(math.Inf(1)), Added, []float32{most, 0, 0, 2}},
		{"e", 4, 0, -most, Added, []float32{0, nan, -most, 2}},
	})
}

// Two rows at one time have no slope over a time, but one over rows.
func TestSlopeAtOneTime(t *testing.T) {
	spec := Spec{Sensors: []string{"a"}, Inputs: []Input{{Sensor: "a", Stat: Slope, Time: "10s"}, {Sensor: "a", Stat: Slope, Rows: 3}}}
	play(t, spec, []step{{"e", 1, 0, 1, Added, []float32{nan, nan}}, {"e", 2, 0, 3, Added, []float32{nan, 2}}})
}

// A window over a time has its last 4,096 rows when there are more.
func TestWindowOverATimeIsBounded(t *testing.T) {
	w, err := New(Spec{Sensors: []string{"a"}, Inputs: []Input{{Sensor: "a", Stat: Count, Time: "1h"}, {Sensor: "a", Stat: Min, Time: "1h"}}}, 1<<20)
	must.OK(t, err)
	var got []float32
	for i := range 5000 {
		got, _ = w.Add(got[:0], "p", Row{"e", uint64(i + 1), at(float64(i) / 1000), []float32{float32(i)}})
		if want := float32(min(i+1, MaxRows)); got[0] != want || got[1] != float32(max(0, i+1-MaxRows)) {
			t.Fatalf("row %d: %v", i+1, got)
		}
	}
	if s := w.Stats(); s.Bytes > w.spec.Bytes() {
		t.Errorf("%+v, and Bytes says %d", s, w.spec.Bytes())
	}
}

// TestAgainstPlainRules compares rings with the rules written down plainly, over whole histories.
func TestAgainstPlainRules(t *testing.T) {
	spec := Spec{Sensors: []string{"a", "b"}, MaxGap: "1m"}
	for _, s := range []Stat{Mean, Min, Max, Std, Slope, Count} {
		spec.Inputs = append(spec.Inputs, Input{"a", s, 7, ""}, Input{"b", s, 33, ""}, Input{"a", s, 0, "9s"}, Input{"b", s, 0, "45s"})
	}
	type known struct {
		place  int
		ts     time.Time
		values []float32
	}
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 3))
		w, err := New(spec, 1<<20)
		must.OK(t, err)
		var rows []known
		place, seq, epoch, now, clock := 0, uint64(0), 0, start, 0
		for i := range 1000 {
			steps := 1
			switch random.IntN(60) {
			case 0:
				steps = 1 + random.IntN(50)
			case 1:
				epoch, seq, steps = epoch+1, 0, 1+random.IntN(3)
			}
			place, seq = place+steps, seq+uint64(steps)
			before := now
			switch random.IntN(100) {
			case 0:
				now = now.Add(time.Duration(random.IntN(70)) * time.Second)
			case 1:
				now = now.Add(-time.Duration(random.IntN(70)) * time.Second)
			default:
				now = now.Add(time.Duration(random.IntN(1500)) * time.Millisecond)
			}
			if now.Sub(before).Abs() > time.Minute && i > 0 {
				rows = nil
			} else if now.Before(before) {
				clock = place
			}
			values := []float32{float32(random.NormFloat64()), float32(1e6 + random.Float64())}
			values[random.IntN(2)] = []float32{nan, 5}[random.IntN(2)]
			rows = append(rows, known{place, now, values})
			var want []float32
			for _, in := range spec.Inputs {
				var x, v []float64
				for _, r := range rows {
					value := float64(r.values[slices.Index(spec.Sensors, in.Sensor)])
					d, _ := time.ParseDuration(in.Time)
					inside := r.place > place-in.Rows
					position := float64(r.place - place)
					if in.Time != "" {
						inside = r.place >= clock && now.Sub(r.ts) < d
						position = float64(r.ts.Sub(now).Microseconds()) / 1e6
					}
					if inside && value == value {
						x, v = append(x, position), append(v, value)
					}
				}
				want = append(want, plain(in.Stat, x, v))
			}
			got, outcome := w.Add(nil, "p", Row{fmt.Sprint("e", epoch), seq, now, values})
			if outcome != Added || !same(got, want) {
				t.Fatalf("seed %d, row %d: outcome %d\n%v\nwant\n%v", seed, i, outcome, got, want)
			}
		}
	}
}

func plain(stat Stat, x, v []float64) float32 {
	n := float64(len(v))
	sum := func(values []float64, f func(i int) float64) (s float64) {
		for i := range values {
			s += f(i)
		}
		return s
	}
	mean := sum(v, func(i int) float64 { return v[i] }) / n
	meanX := sum(x, func(i int) float64 { return x[i] }) / n
	squaresX := sum(x, func(i int) float64 { return float64((x[i] - meanX) * (x[i] - meanX)) })
	switch {
	case stat == Count:
		return float32(n)
	case len(v) == 0:
	case stat == Mean:
		return float32(mean)
	case stat == Min:
		return float32(slices.Min(v))
	case stat == Max:
		return float32(slices.Max(v))
	case stat == Std && len(v) > 1:
		return float32(math.Sqrt(sum(v, func(i int) float64 { return float64((v[i] - mean) * (v[i] - mean)) }) / (n - 1)))
	case stat == Slope && squaresX > 0:
		return float32(sum(v, func(i int) float64 { return float64((x[i] - meanX) * (v[i] - mean)) }) / squaresX)
	}
	return nan
}

// TestSameOnEveryProcessor holds the bits of slopes that are 0 but for what rounding leaves, so that every bit of the work
// shows: training may run on amd64, and the device on arm64, which can multiply and add in one step.
func TestSameOnEveryProcessor(t *testing.T) {
	w, err := New(Spec{Sensors: []string{"a"}, Inputs: []Input{{Sensor: "a", Stat: Slope, Rows: 100}, {Sensor: "a", Stat: Slope, Time: "100s"}}}, 1<<20)
	must.OK(t, err)
	random := rand.New(rand.NewPCG(3, 9))
	hash := sha256.New()
	for i := range 300 {
		places := []int{1, 2 + random.IntN(30), 33 + random.IntN(30)}
		sum := places[0] + places[1] + places[2]
		p, q := random.IntN(100), random.IntN(100)
		d := func(i int) int { return 3*places[i] - sum } // three times the distance from the mean
		values := []int{p * d(2), q * d(2), -p*d(0) - q*d(1)}
		for k, place := range places {
			features, _ := w.Add(nil, fmt.Sprint(i), Row{"e", uint64(place), at(float64(place)), []float32{float32(values[k])}})
			must.OK(t, binary.Write(hash, binary.LittleEndian, features))
			if k == 2 && math.Abs(float64(features[0])) > 1e-9 {
				t.Fatalf("the slope of %v at %v is %v", values, places, features)
			}
		}
	}
	const want = "4ecc97afba3e78f5"
	if got := hex.EncodeToString(hash.Sum(nil)[:8]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
