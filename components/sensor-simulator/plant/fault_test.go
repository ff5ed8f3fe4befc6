package plant

import (
	"math"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// twins returns rows of a machine with f and of the same machine without, in the same weather and under the same noise.
func twins(t *testing.T, f Fault, thing string, grow time.Duration, rows int) (ill, sound []Row, where episode) {
	t.Helper()
	a, b := New(21, thing), New(21, thing)
	must.OK(t, a.Inject(f, grow))
	for range rows {
		ill, sound = append(ill, a.Step(time.Minute)), append(sound, b.Step(time.Minute))
	}
	return ill, sound, *a.episode
}

// change returns how much higher a sensor reads on the average in the ill machine, in its unit.
func change(t *testing.T, ill, sound []Row, name string) float64 {
	t.Helper()
	i, sum, n := at(t, name), 0., 0.
	for k := range ill {
		if a, b := ill[k].Values[i], sound[k].Values[i]; !isMissing(a) && !isMissing(b) {
			sum, n = sum+float64(a)-float64(b), n+1
		}
	}
	return sum / n
}

func TestFaultsShowWhereTheyPhysicallyWould(t *testing.T) {
	bearing := [bearings]string{"de", "nde", "male", "female", "thrust", "gear"}
	type effect struct {
		sensor string
		least  float64 // change in the sensor's unit; negative: at least that much lower
	}
	tests := map[Fault]func(episode) []effect{
		AirLeak: func(e episode) []effect {
			return []effect{
				{numbered("line_flow", e.line), 2.5}, {numbered("leak_noise", e.line), 6}, {numbered("line_pressure", e.line), -0.1},
				{"power_hist_08", 5}, {"air_flow", 1.5},
			}
		},
		BearingWear: func(e episode) []effect {
			name := "bearing_" + bearing[e.bearing]
			return []effect{
				{name + "_vib_band06", 0.15}, {name + "_vib_rms", 0.2}, {name + "_vib_kurtosis", 1}, {name + "_temp", 10},
				{"oil_particles", 250}, {"motor_power", 0.5},
			}
		},
		Overheating: func(episode) []effect {
			return []effect{
				{"oil_temp", 8}, {"airend_temp_1", 8}, {"winding_temp_u", 10}, {"cabinet_temp", 10}, {"fan_speed", 20},
				{"dew_point", 1}, {"aftercooler_temp", 3}, {"oil_pressure", -0.2},
			}
		},
	}
	untouched := []string{"ambient_temp", "ambient_pressure", "humidity", "motor_voltage_l1"}
	for fault, effects := range tests {
		t.Run(string(fault), func(t *testing.T) {
			for _, thing := range []string{"x", "y", "z", "u", "v"} {
				ill, sound, e := twins(t, fault, thing, 0, 240)
				for _, want := range effects(e) {
					got := change(t, ill, sound, want.sensor)
					if got*math.Copysign(1, want.least) < math.Abs(want.least) {
						t.Errorf("%s: %s changes by %.2f, want at least %.2f", thing, want.sensor, got, want.least)
					}
				}
				for _, name := range untouched {
					if got := change(t, ill, sound, name); got != 0 {
						t.Errorf("%s: %s changes by %v, and has no part in the fault", thing, name, got)
					}
				}
			}
		})
	}
}

func TestSlightFaultsHide(t *testing.T) {
	for f, sensor := range map[Fault]string{AirLeak: "leak_noise_1", Overheating: "oil_temp", BearingWear: "oil_particles"} {
		ill, sound, _ := twins(t, f, "x", 1000*time.Hour, 120) // at most 0.002 severe
		if got := change(t, ill, sound, sensor); math.Abs(got) > 0.05 {
			t.Errorf("%s: %s changes by %v at the very start", f, sensor, got)
		}
	}
}

func TestSensorFaultsTouchOneCardOnly(t *testing.T) {
	for _, f := range []Fault{SensorStuck, SensorDropout} {
		for _, thing := range []string{"x", "y", "z"} {
			ill, sound, e := twins(t, f, thing, time.Hour, 120)
			for k := range ill {
				for i := range ill[k].Values {
					a, b := ill[k].Values[i], sound[k].Values[i]
					if i/cardSize != e.card && math.Float32bits(a) != math.Float32bits(b) {
						t.Fatalf("%s changes sensor %d, off card %d", f, i, e.card)
					}
				}
			}
			first := e.card * cardSize
			for k := 61; k < 120; k++ { // at full severity
				for i := first; i < first+cardSize; i++ {
					v := ill[k].Values[i]
					if f == SensorDropout && !isMissing(v) {
						t.Fatalf("row %d: sensor %d reads %v", k, i, v)
					}
					if f == SensorStuck && v != ill[k-1].Values[i] {
						t.Fatalf("row %d: sensor %d moves from %v to %v", k, i, ill[k-1].Values[i], v)
					}
				}
			}
		}
	}
}

func TestDropoutGrows(t *testing.T) {
	ill, _, e := twins(t, SensorDropout, "x", 1000*time.Minute, 1000)
	count := func(from, to int) (n int) {
		for _, row := range ill[from:to] {
			for _, v := range row.Values[e.card*cardSize : (e.card+1)*cardSize] {
				if isMissing(v) {
					n++
				}
			}
		}
		return n
	}
	if early, late := count(0, 200), count(800, 1000); early > 300 || late < 1300 {
		t.Errorf("%d of 1600 readings missing early, %d late", early, late)
	}
}

func TestLabels(t *testing.T) {
	for _, f := range Faults() {
		m := New(1, "m")
		if row := m.Step(time.Minute); row.Fault != None || row.Severity != 0 || row.Faulty {
			t.Fatalf("a new machine has %q at %v", row.Fault, row.Severity)
		}
		must.OK(t, m.Inject(f, 100*time.Minute))
		for i := 1; i <= 120; i++ {
			row := m.Step(time.Minute)
			if want := min(1, float64(i)/100); row.Fault != f || math.Abs(row.Severity-want) > 1e-6 {
				t.Fatalf("%s after %d min: %q at %v, want %v", f, i, row.Fault, row.Severity, want)
			}
			if want := f.OfMachine() && row.Severity >= FaultyFrom; row.Faulty != want {
				t.Fatalf("%s at %v: faulty is %v", f, row.Severity, row.Faulty)
			}
		}
		m.Repair()
		if row := m.Step(time.Minute); row.Fault != None || row.Severity != 0 || row.Faulty {
			t.Errorf("after the repair of %s: %q at %v", f, row.Fault, row.Severity)
		}
	}
}

func TestRepairBringsTheMachineBack(t *testing.T) {
	m, sound := New(1, "m"), New(1, "m")
	must.OK(t, m.Inject(Overheating, 0))
	m.Step(3 * time.Hour)
	must.OK(t, m.Inject(BearingWear, 0)) // takes the other's place
	m.Step(3 * time.Hour)
	m.Repair()
	m.Repair() // nothing left to do
	if m.process.oil != sound.process.oil || m.wear != 0 {
		t.Errorf("oil at %.1f °C, wear %v; before the faults %.1f °C", m.process.oil, m.wear, sound.process.oil)
	}
}

func TestInjectRefuses(t *testing.T) {
	m := New(1, "m")
	for _, c := range []struct {
		fault Fault
		grow  time.Duration
		want  string
	}{
		{None, time.Hour, "air-leak"}, // the message lists what there is
		{"fire", time.Hour, `"fire"`},
		{AirLeak, -1, "negative"},
	} {
		if err := m.Inject(c.fault, c.grow); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q over %v: %v, want something about %s", c.fault, c.grow, err, c.want)
		}
	}
	if row := m.Step(time.Minute); row.Fault != None {
		t.Errorf("a refused fault is under way: %q", row.Fault)
	}
}

func TestParseFault(t *testing.T) {
	for _, f := range Faults() {
		if got, err := ParseFault(string(f)); got != f || err != nil {
			t.Errorf("%s: %q, %v", f, got, err)
		}
	}
	if _, err := ParseFault("Air-Leak"); err == nil {
		t.Error("names are exact")
	}
}

func TestSpontaneousFaults(t *testing.T) {
	const mean = 6 * time.Hour
	m := New(12, "m")
	m.SetMeanTimeBetweenFaults(mean)
	kinds, episodes, before := map[Fault]int{}, 0, None
	const steps = 30 * 24 * 2
	for range steps {
		row := m.Step(30 * time.Minute)
		if row.Fault != None && row.Fault != before {
			episodes++
			kinds[row.Fault]++
		}
		before = row.Fault
	}
	if episodes < 50 || episodes > 90 { // each takes some 4 hours itself
		t.Errorf("%d faults in 30 days with %v between them", episodes, mean)
	}
	if len(kinds) != len(Faults()) {
		t.Errorf("only these faults came: %v", kinds)
	}

	m = New(12, "m")
	m.SetMeanTimeBetweenFaults(mean)
	m.SetMeanTimeBetweenFaults(0)
	for range steps / 10 {
		if row := m.Step(30 * time.Minute); row.Fault != None {
			t.Fatalf("%s came by itself", row.Fault)
		}
	}
}

func TestInjectedFaultStays(t *testing.T) {
	m := New(12, "m")
	m.SetMeanTimeBetweenFaults(time.Hour)
	must.OK(t, m.Inject(AirLeak, 0))
	for range 40 {
		if row := m.Step(time.Hour); row.Fault != AirLeak {
			t.Fatalf("the leak has become %q", row.Fault)
		}
	}
}
