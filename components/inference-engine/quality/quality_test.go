package quality_test

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"edgepdm/components/inference-engine/quality"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

var start = time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)

const after = 10 * time.Minute

// machine is a compressor that is judged.
type machine struct {
	*plant.Machine
	judge *quality.Judge
	name  string
	now   time.Time
	every time.Duration
}

func newMachine(judge *quality.Judge, seed uint64, every time.Duration) *machine {
	name := fmt.Sprint("compressor-", seed)
	return &machine{plant.New(seed, name), judge, name, start, every}
}

func newJudge(after time.Duration, baseline map[string]envelope.Histogram) *quality.Judge {
	j := quality.New(after)
	j.Use(plant.SensorCount, plant.Sensors(), baseline)
	return j
}

// run goes on for so long, and returns what is found at the end, and how many rows had something that was found.
func (m *machine) run(length time.Duration) (last *event.Quality, rows int) {
	for end := m.now.Add(length); m.now.Before(end); {
		m.now = m.now.Add(m.every)
		if last = m.judge.Row(m.name, m.Step(m.every).Values, m.now); last != nil {
			rows++
		}
	}
	return last, rows
}

// shipped is what the training of the shipped model saw.
func shipped(t testing.TB) map[string]envelope.Histogram {
	m, err := envelope.DecodeManifest(must.Read(t, "../model/manifest.json"))
	must.OK(t, err)
	baseline := make(map[string]envelope.Histogram)
	for i, name := range m.Features {
		if baseline[name] = m.Baseline.Features[i]; baseline[name].Min == nil {
			t.Fatalf("%s has no min", name)
		}
	}
	return baseline
}

// A plant whose sensors are well has no such alarm, whatever its machines do: they stand at night, and break. SOAK_DAYS makes it
// longer.
func TestAHealthyPlantIsQuiet(t *testing.T) {
	days := 1
	if s := os.Getenv("SOAK_DAYS"); s != "" {
		var err error
		days, err = strconv.Atoi(s)
		must.OK(t, err)
	}
	j := newJudge(after, shipped(t))
	for _, every := range []time.Duration{2 * time.Second, 10 * time.Second, 2 * time.Minute} {
		for seed := range uint64(2) {
			m := newMachine(j, seed, every)
			m.name += every.String()
			if found, rows := m.run(time.Duration(days) * 24 * time.Hour); rows > 0 {
				t.Errorf("every %v, seed %d: %d rows, %+v", every, seed, rows, found)
			}
		}
	}
}

// What a machine's own fault does to its values is no fault of its sensors.
func TestAFaultOfTheMachineIsNoneOfItsSensors(t *testing.T) {
	for _, fault := range []plant.Fault{plant.AirLeak, plant.BearingWear, plant.Overheating} {
		m := newMachine(newJudge(after, shipped(t)), 7, 10*time.Second)
		m.run(6 * time.Hour)
		must.OK(t, m.Inject(fault, time.Hour))
		if found, rows := m.run(6 * time.Hour); rows > 0 {
			t.Errorf("%s: %d rows, %+v", fault, rows, found)
		}
	}
}

// A stuck sensor is found, and those that drop out, and it is over once they are repaired.
func TestStuckAndMissingSensorsAreFound(t *testing.T) {
	for _, fault := range []plant.Fault{plant.SensorStuck, plant.SensorDropout} {
		for seed := range uint64(8) {
			m := newMachine(newJudge(after, shipped(t)), seed, 10*time.Second)
			m.run(2 * time.Hour)
			must.OK(t, m.Inject(fault, 0))
			if _, rows := m.run(after - time.Minute); rows > 0 {
				t.Errorf("%s, seed %d: %d rows before its time", fault, seed, rows)
			}
			found, _ := m.run(3 * time.Minute)
			if found == nil || fault == plant.SensorStuck && found.Frozen == nil || fault == plant.SensorDropout && len(found.Missing)+found.More != 8 {
				t.Errorf("%s, seed %d: %+v", fault, seed, found)
			}
			m.Repair()
			if found, _ := m.run(3 * time.Minute); found != nil {
				t.Errorf("%s, seed %d: after the repair %+v", fault, seed, found)
			}
		}
	}
}

// row is a machine of sensors that are written by hand.
type row struct {
	*testing.T
	judge *quality.Judge
	n     int
	now   time.Time
}

// slices goes on for so many slices of ten rows, with the values that value gives for each row.
func (r *row) slices(n int, value func(i int) []float32) *event.Quality {
	var found *event.Quality
	for range 10 * n {
		r.n++
		r.now = r.now.Add(after / 100)
		found = r.judge.Row("press-1", value(r.n), r.now)
	}
	return found
}

func newRow(t *testing.T, sensors int, baseline map[string]envelope.Histogram) *row {
	j := quality.New(after)
	names := make([]string, sensors)
	for i := range names {
		names[i] = fmt.Sprint("s", i)
	}
	j.Use(sensors, names, baseline)
	return &row{t, j, 0, start}
}

func f(xs ...float64) (out []float32) {
	for _, x := range xs {
		out = append(out, float32(x))
	}
	return out
}

// What is legitimately constant is not frozen: a set point, a counter that seldom moves, a machine that stands, and what is off.
func TestWhatMayStandStillIsNotFrozen(t *testing.T) {
	moving := func(i int) []float64 { return []float64{float64(i), float64(2 * i), float64(i % 7)} }
	steps := []func(i int) []float64{
		func(i int) []float64 { return append(moving(i), 42) },                       // a set point
		func(i int) []float64 { return append(moving(i), float64(i/350)) },           // a counter
		func(i int) []float64 { return append(moving(i), float64(i*max(0, 500-i))) }, // is off
		func(i int) []float64 { return append(moving(min(i, 500)), float64(i)) },     // stands
		func(i int) []float64 { return append(moving(i), 20+float64(min(i, 100))) },  // a set point after it was looked for
	}
	for k, values := range steps {
		r := newRow(t, 4, nil)
		for range 400 {
			if found := r.slices(1, func(i int) []float32 { return f(values(i)...) }); found != nil {
				t.Fatalf("%d: after %d rows: %+v", k, r.n, found)
			}
		}
	}
}

// A sensor that has been frozen once takes longer to be found again, and what seemed frozen and was not is soon left alone.
func TestFalseAlarmsEnd(t *testing.T) {
	r := newRow(t, 4, nil)
	alarms := 0
	for range 40 { // it moves for six hours, and does not for three
		for range 360 {
			r.slices(1, func(i int) []float32 { return f(float64(i), float64(2*i), float64(3*i), float64(i)) })
		}
		still := float64(r.n)
		if r.slices(180, func(i int) []float32 { return f(float64(i), float64(2*i), float64(3*i), still) }) != nil {
			alarms++
		}
	}
	if alarms < 1 || alarms > 3 {
		t.Errorf("%d alarms", alarms)
	}
}

// Values are outside far from what training saw only, and only those that stay there.
func TestOutsideIsFarAndLasts(t *testing.T) {
	ends := f(10, 20, 5)
	baseline := map[string]envelope.Histogram{
		"s0": {Min: &ends[0], Max: &ends[1]},
		"s1": {Min: &ends[0], Max: &ends[1]},
		"s2": {Min: &ends[2], Max: &ends[2]}, // never moved: nothing is known of it
		"s3": {Edges: ends[:2], Counts: []uint64{50, 50, 50}},
	}
	r := newRow(t, 4, baseline)
	if found := r.slices(50, func(i int) []float32 { return f(39.9, -9.9, 1e6, float64(i)) }); found != nil {
		t.Errorf("just inside: %+v", found)
	}
	spike := func(i int) []float32 {
		if i%50 > 0 {
			return f(1000, -1000, 0, float64(i))
		}
		return f(12, 12, 0, float64(i))
	}
	if found := r.slices(50, spike); found != nil {
		t.Errorf("now and then: %+v", found)
	}
	if found := r.slices(11, func(i int) []float32 { return f(40.1, -10.1, 1e6, float64(i)) }); found == nil || !slices.Equal(found.Outside, []string{"s0", "s1"}) {
		t.Errorf("far: %+v", found)
	}
	if found := r.slices(2, func(i int) []float32 { return f(15, 15, 1e6, float64(i)) }); found != nil {
		t.Errorf("back: %+v", found)
	}
}

// A sensor without values is missing if it ever had any.
func TestMissingIsWhatWasThere(t *testing.T) {
	nan := math.NaN()
	r := newRow(t, 3, nil)
	missing := func(i int) []float32 { return f(nan, nan, float64(i)) }
	if found := r.slices(20, missing); found != nil {
		t.Errorf("never there: %+v", found)
	}
	there := func(i int) []float32 { return f(float64(i), 1, float64(i)) }
	if found := r.slices(20, there); found != nil {
		t.Errorf("there: %+v", found)
	}
	if found := r.slices(12, missing); found == nil || !slices.Equal(found.Missing, []string{"s0", "s1"}) {
		t.Errorf("gone: %+v", found)
	}
	if found := r.slices(2, there); found != nil {
		t.Errorf("there again: %+v", found)
	}
}

// What is found outlives a restart, for each sensor until its values say otherwise.
func TestFoundSensorsOutliveARestart(t *testing.T) {
	nan := math.NaN()
	ends := f(10, 20)
	baseline := map[string]envelope.Histogram{"s2": {Min: &ends[0], Max: &ends[1]}}
	r := newRow(t, 5, baseline)
	well := func(i int) []float32 { return f(float64(i), 1, 15, float64(i), float64(2*i)) }
	ill := func(i int) []float32 { return f(7, nan, 99, float64(i), float64(2*i)) }
	r.slices(40, well)
	if _, news := r.judge.News(); news {
		t.Error("news of nothing")
	}
	found := r.slices(12, ill)
	all, news := r.judge.News()
	want := quality.Found{Frozen: []string{"s0"}, Missing: []string{"s1"}, Outside: []string{"s2"}}
	if !news || !reflect.DeepEqual(all, map[string]quality.Found{"press-1": want}) {
		t.Fatalf("%+v, %t", all, news)
	}
	again := newRow(t, 5, baseline)
	again.judge.Resume(all)
	again.now, again.n = r.now, r.n
	for range 30 {
		if now := again.slices(1, ill); !reflect.DeepEqual(now, found) {
			t.Fatalf("%+v, want %+v", now, found)
		}
	}
	if now := again.slices(2, well); now != nil {
		t.Errorf("%+v", now)
	}
	if all, news := again.judge.News(); !news || len(all) != 0 {
		t.Errorf("%+v, %t", all, news)
	}
}

// A machine that sends nothing for hours has no sensor that is frozen for that, and rows at any speed are judged by time.
func TestSilenceIsNotStillness(t *testing.T) {
	r := newRow(t, 2, nil)
	moving := func(i int) []float32 { return f(float64(i), float64(-i)) }
	r.slices(60, moving)
	at := r.n
	for range 9 {
		r.now = r.now.Add(10 * time.Hour)
		if found := r.judge.Row("press-1", f(float64(r.n), float64(at)), r.now); found != nil {
			t.Fatalf("%+v", found)
		}
		r.n++
	}
}

// Sensors beyond the bound are not judged, and room is made of what is silent for long.
func TestMemoryIsBounded(t *testing.T) {
	j := quality.New(after)
	const sensors = 1 << 20
	j.Use(sensors, nil, nil)
	values := make([]float32, sensors)
	for i := range 6 {
		j.Row(fmt.Sprint("m", i), values, start)
	}
	if n := j.Things(); n != 4 {
		t.Errorf("%d things", n)
	}
	j.Row("m0", values, start.Add(2*time.Hour))
	j.Row("m9", values, start.Add(2*time.Hour))
	if n := j.Things(); n != 2 {
		t.Errorf("%d things after the others were silent", n)
	}
}

// Judging allocates nothing.
func BenchmarkRow(b *testing.B) {
	m := plant.New(1, "compressor-1")
	rows := make([][]float32, 64)
	for i := range rows {
		rows[i] = m.Step(time.Second).Values
	}
	j := newJudge(after, shipped(b))
	now := start
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second)
		j.Row("compressor-1", rows[i%len(rows)], now)
	}
}
