package plant

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// at returns the position of a sensor.
func at(t *testing.T, name string) int {
	t.Helper()
	i := slices.Index(Sensors(), name)
	if i < 0 {
		t.Fatalf("there is no sensor %q", name)
	}
	return i
}

func equalBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func TestSensorNames(t *testing.T) {
	names := Sensors()
	if len(names) != SensorCount || len(Units()) != SensorCount {
		t.Fatalf("%d sensors, %d units, want %d", len(names), len(Units()), SensorCount)
	}
	form := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] || !form.MatchString(name) {
			t.Errorf("name %q is taken or malformed", name)
		}
		seen[name] = true
	}
	for _, name := range []string{"bearing_de_vib_band03", "oil_temp", "line_pressure_2", "motor_current_l1", "vib_hist_09"} {
		at(t, name)
	}
	// Models know sensors by name and position: whoever changes either has to train a new one.
	for i, name := range map[int]string{0: "motor_current_l1", 32: "oil_temp", 56: "bearing_de_vib_band01", 127: "bearing_gear_temp", 167: "vib_hist_09"} {
		if names[i] != name {
			t.Errorf("sensor %d is %s, models expect %s", i, names[i], name)
		}
	}
}

func TestEqualSeedsGiveEqualRows(t *testing.T) {
	run := func(seed uint64, thing string) []Row {
		m := New(seed, thing)
		m.SetMeanTimeBetweenFaults(3 * time.Hour)
		var rows []Row
		for range 300 {
			rows = append(rows, m.Step(5*time.Minute))
		}
		return rows
	}
	first, again := run(7, "press-1"), run(7, "press-1")
	for i := range first {
		a, b := first[i], again[i]
		if !equalBits(a.Values, b.Values) || a.State != b.State || a.Fault != b.Fault || a.Severity != b.Severity {
			t.Fatalf("row %d differs between two runs", i)
		}
	}
	for what, other := range map[string][]Row{"name": run(7, "press-2"), "seed": run(8, "press-1")} {
		same := 0
		for i := range first {
			if equalBits(first[i].Values, other[i].Values) {
				same++
			}
		}
		if same > 0 {
			t.Errorf("another %s gives %d equal rows", what, same)
		}
	}
}

func TestValuesBelongToTheCaller(t *testing.T) {
	a, b := New(1, "m"), New(1, "m")
	row := a.Step(time.Second)
	b.Step(time.Second)
	for i := range row.Values {
		row.Values[i] = -1
	}
	if !equalBits(a.Step(time.Second).Values, b.Step(time.Second).Values) {
		t.Error("what a caller does to a row reaches the machine")
	}
}

// A message with a row has to pass the smallest transport beside its other fields.
func TestRowsAreSmall(t *testing.T) {
	longest := 0
	for _, f := range append(Faults(), None) {
		m := New(11, "m"+string(f))
		if f != None {
			must.OK(t, m.Inject(f, time.Hour))
		}
		for range 300 {
			row := m.Step(5 * time.Minute)
			values := make([]any, len(row.Values)) // nil is null, as on the wire
			for i, v := range row.Values {
				if !isMissing(v) {
					values[i] = v
				}
			}
			text, err := json.Marshal(values)
			must.OK(t, err)
			longest = max(longest, len(text))
		}
	}
	if t.Logf("longest row: %d bytes", longest); longest >= 2000 {
		t.Errorf("a row takes %d bytes, want fewer than 2000", longest)
	}
}

func TestReadingsAreFiniteRoundedAndOftenThere(t *testing.T) {
	table := sensorTable()
	gaps, rows := make([]int, len(table)), 0
	for _, thing := range []string{"a", "b", "c", "d"} {
		m := New(3, thing)
		for range 1500 {
			rows++
			for i, v := range m.Step(20 * time.Second).Values {
				if isMissing(v) {
					gaps[i]++
					continue
				}
				if math.Abs(float64(v)) > 4000 || (v < 0 && !table[i].below) {
					t.Fatalf("%s reads %v", table[i].name, v)
				}
				if n := float64(v) / table[i].step; math.Abs(n-math.Round(n)) > 0.02 {
					t.Fatalf("%s reads %v, its resolution is %v", table[i].name, v, table[i].step)
				}
			}
		}
	}
	total := 0
	for i, n := range gaps {
		total += n
		if share := float64(n) / float64(rows); math.Abs(share-table[i].gap) > 0.002+0.3*table[i].gap {
			t.Errorf("%s misses %.4f of its readings, want about %.4f", table[i].name, share, table[i].gap)
		}
	}
	if share := float64(total) / float64(rows*len(table)); share < 0.002 || share > 0.006 {
		t.Errorf("%.4f of all readings are missing, want 0.002 to 0.006", share)
	}
}

func TestStatesFollowTheDuty(t *testing.T) {
	speed, power, receiver := at(t, "motor_speed"), at(t, "motor_power"), at(t, "receiver_pressure")
	m := New(5, "m")
	count, rows := map[string]int{}, map[string][]float32{}
	for range 3 * 24 * 60 { // three days
		row := m.Step(time.Minute)
		count[row.State]++
		rows[row.State] = append(rows[row.State], row.Values...)
		if p := row.Values[receiver]; p < 6 || p > 7.6 {
			t.Fatalf("receiver at %v bar", p)
		}
	}
	for _, c := range []struct {
		state           string
		rpmLow, rpmHigh float64
		kWLow, kWHigh   float64
	}{
		{StateStopped, 0, 150, 0, 5}, // it has just been switched off in some rows
		{StateIdle, 2900, 3000, 20, 45},
		{StateLoaded, 2900, 3000, 70, 90},
	} {
		if v := mean(rows[c.state], speed); v < c.rpmLow || v > c.rpmHigh {
			t.Errorf("%s: %.0f rpm", c.state, v)
		}
		if v := mean(rows[c.state], power); v < c.kWLow || v > c.kWHigh {
			t.Errorf("%s: %.1f kW", c.state, v)
		}
	}
	total := 3 * 24 * 60
	for state, least := range map[string]float64{StateStopped: 0.02, StateStarting: 0.0005, StateIdle: 0.05, StateLoaded: 0.3, StateUnloading: 0.03} {
		if share := float64(count[state]) / float64(total); share < least {
			t.Errorf("%s for %.4f of the time, want at least %v", state, share, least)
		}
		delete(count, state)
	}
	if len(count) > 0 {
		t.Errorf("states nobody documents: %v", count)
	}
}

func TestDaysAreWarmerThanNights(t *testing.T) {
	ambient, day, night := at(t, "ambient_temp"), float32(0), float32(0)
	m := New(2, "m")
	for range 6 { // days, from 08:00
		m.Step(7 * time.Hour)
		day += m.Step(0).Values[ambient]
		m.Step(12 * time.Hour)
		night += m.Step(0).Values[ambient]
		m.Step(5 * time.Hour)
	}
	if day-night < 6*5 {
		t.Errorf("15:00 is %.1f °C warmer than 03:00", (day-night)/6)
	}
}

func TestQuantitiesGoTogether(t *testing.T) {
	m := New(4, "m")
	var loaded, idle []float32
	for range 600 {
		switch row := m.Step(time.Minute); row.State {
		case StateLoaded:
			loaded = append(loaded, row.Values...)
		case StateIdle:
			idle = append(idle, row.Values...)
		}
	}
	for _, name := range []string{"motor_power", "motor_torque", "air_flow", "airend_temp_1", "inlet_filter_dp", "bearing_de_vib_rms"} {
		if l, i := mean(loaded, at(t, name)), mean(idle, at(t, name)); l <= i*1.05 {
			t.Errorf("%s is %.2f loaded and %.2f idle", name, l, i)
		}
	}
}

// mean averages one sensor over rows that are laid end to end.
func mean(rows []float32, sensor int) float64 {
	sum, n := 0., 0.
	for i := sensor; i < len(rows); i += SensorCount {
		if !isMissing(rows[i]) {
			sum, n = sum+float64(rows[i]), n+1
		}
	}
	return sum / n
}

func TestWearGrowsUntilService(t *testing.T) {
	m := New(6, "m")
	m.wear = 0.3
	m.Step(400 * time.Hour)
	if math.Abs(m.wear-0.4) > 1e-6 {
		t.Errorf("wear after a tenth of the service life went from 0.3 to %v", m.wear)
	}
	m.Step(2500 * time.Hour)
	if m.wear > 0.1 {
		t.Errorf("wear is %v after the planned service", m.wear)
	}
}

func TestStepsOfAnySize(t *testing.T) {
	for _, dt := range []time.Duration{-time.Second, 0, time.Nanosecond, time.Second, time.Hour, 48 * time.Hour, 9000 * time.Hour} {
		m := New(9, "m")
		for range 3 {
			for i, v := range m.Step(dt).Values {
				if math.IsInf(float64(v), 0) || math.Abs(float64(v)) > 4000 {
					t.Fatalf("step of %v: %s reads %v", dt, Sensors()[i], v)
				}
			}
		}
		if want := 3 * max(0, dt.Seconds()); math.Abs(m.elapsed-want) > 1e-6*want {
			t.Errorf("three steps of %v took %v s", dt, m.elapsed)
		}
	}
}

func TestNamesAreNotTooLongForAMessage(t *testing.T) {
	if n := len(strings.Join(Sensors(), ",")); n > 3200 {
		t.Errorf("all names together take %d bytes", n)
	}
}
