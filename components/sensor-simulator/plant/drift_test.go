package plant

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// driftTwins returns rows of machines with a drift and of the same machines without, over days, in the same weather and under the
// same noise.
func driftTwins(t *testing.T, c Change) (drifted, usual []Row) {
	t.Helper()
	for _, thing := range []string{"x", "y", "z", "u", "v", "w"} {
		a, b := New(21, thing), New(21, thing)
		_, err := a.Drift(c, 0)
		must.OK(t, err)
		a.Step(2 * time.Hour)
		b.Step(2 * time.Hour)
		for range 200 {
			drifted, usual = append(drifted, a.Step(13*time.Minute)), append(usual, b.Step(13*time.Minute))
		}
	}
	return drifted, usual
}

// moved returns by how many standard deviations of its usual values a sensor reads higher on the average.
func moved(t *testing.T, drifted, usual []Row, name string) float64 {
	t.Helper()
	return change(t, drifted, usual, name) / usualValues()[at(t, name)].deviation
}

// The sizes are those of the table in the README.
func TestDriftsChangeWhatTheyPhysicallyWould(t *testing.T) {
	for _, test := range []struct {
		change Change
		sigmas map[string]float64
		never  []string // beginnings of names: not one bit changes
	}{
		{
			Change{Drift: NewOil, Size: 1},
			map[string]float64{
				"oil_particles": -1.2, "oil_filter_dp": 1.0, "oil_carryover": -0.65, "bearing_de_temp": 0.55, "oil_temp": 0.3,
				"fan_speed": 0.35, "oil_pressure": 0.15, "motor_power": 0.05, "winding_temp_u": 0.1, "bearing_de_vib_band08": -0.2,
			},
			[]string{
				"ambient_", "humidity", "motor_voltage", "receiver_pressure", "line_", "leak_noise", "air_flow", "pressure_hist", "motor_starts", "load_cycles",
				"inlet_valve_pos", "vessel_pressure", "motor_speed",
			},
		},
		{
			Change{Drift: NewOil, Size: -1},
			map[string]float64{"oil_filter_dp": -0.75, "oil_particles": -1.2, "bearing_de_temp": -0.4},
			[]string{"ambient_", "line_"},
		},
		{
			Change{Drift: LoadProfile, Size: 1},
			map[string]float64{"line_flow_4": 2.1, "leak_noise_4": 1.0, "line_flow_3": 0.8, "line_pressure_4": -0.5, "motor_starts": -0.75, "motor_power": 0.3},
			[]string{"ambient_", "humidity", "motor_voltage", "bearing_de_vib_kurtosis", "oil_particles"},
		},
		{Change{Drift: Recalibrated, Sensor: "oil_temp", Size: 1}, map[string]float64{"oil_temp": 1}, nil},
		{Change{Drift: Recalibrated, Sensor: "ambient_pressure", Size: -0.5}, map[string]float64{"ambient_pressure": -0.5}, nil},
	} {
		drifted, usual := driftTwins(t, test.change)
		for name, want := range test.sigmas {
			got := moved(t, drifted, usual, name)
			t.Logf("%v: %s %+.2f", test.change, name, got)
			if math.Abs(got-want) > max(0.03, 0.25*math.Abs(want)) {
				t.Errorf("%v: %s moves by %+.2f standard deviations, want %+.2f", test.change, name, got, want)
			}
		}
		for i, name := range Sensors() {
			reached := test.change.Sensor == name
			if test.change.Sensor == "" {
				reached = !slices.ContainsFunc(test.never, func(begin string) bool { return strings.HasPrefix(name, begin) })
			}
			for k := range drifted {
				if a, b := drifted[k].Values[i], usual[k].Values[i]; !reached && math.Float32bits(a) != math.Float32bits(b) {
					t.Errorf("%v changes %s from %v to %v", test.change, name, b, a)
					break
				}
			}
		}
		for k := range drifted {
			if a, b := drifted[k], usual[k]; a.Fault != b.Fault || a.Severity != b.Severity || a.Faulty != b.Faulty {
				t.Fatalf("%v is a fault: %+v", test.change, a)
			}
		}
	}
}

// The gain is about the mean: at twice the distance from it, the deviation is twice as large.
func TestRecalibrationHasOffsetAndGain(t *testing.T) {
	i := at(t, "oil_temp")
	u := usualValues()[i]
	m := New(1, "m")
	_, err := m.Drift(Change{Drift: Recalibrated, Sensor: "oil_temp", Size: 2}, 0)
	must.OK(t, err)
	for _, distance := range []float64{-5, 0, 10} {
		want := u.mean + 2*u.deviation + (1+2*recalibratedGain)*distance
		if got := m.recalibrated(i, u.mean+distance); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v from the mean it shows %v, want %v", distance, got, want)
		}
	}
	if got := m.recalibrated(i+1, 7); got != 7 {
		t.Errorf("another sensor shows %v", got)
	}
}

// A drift grows, adds to others, outlasts a repair, and is over when it is ended.
func TestADriftGrowsAndEnds(t *testing.T) {
	m := New(1, "m")
	end, err := m.Drift(Change{Drift: NewOil, Size: 2}, 10*time.Hour)
	must.OK(t, err)
	m.Step(5 * time.Hour)
	if a := m.altered(); math.Abs(a.newOil-1) > 1e-9 || a.newLoad != 0 {
		t.Errorf("half way %+v", a)
	}
	_, err = m.Drift(Change{Drift: LoadProfile, Size: 0.5}, 0)
	must.OK(t, err)
	must.OK(t, m.Inject(Overheating, 0))
	m.Step(10 * time.Hour)
	m.Repair()
	if a := m.altered(); a != (altered{newOil: 2, newLoad: 0.5}) {
		t.Errorf("at the end %+v", a)
	}
	end()
	end() // nothing left to do
	if a := m.altered(); a != (altered{newLoad: 0.5}) {
		t.Errorf("afterwards %+v", a)
	}
}

func TestParseChange(t *testing.T) {
	for text, want := range map[string]Change{
		"new-oil":                    {Drift: NewOil, Size: 1},
		"load-profile=-0.5":          {Drift: LoadProfile, Size: -0.5},
		"recalibrated:oil_temp":      {Drift: Recalibrated, Sensor: "oil_temp", Size: 1},
		"recalibrated:oil_temp=0.25": {Drift: Recalibrated, Sensor: "oil_temp", Size: 0.25},
	} {
		if got, err := ParseChange(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "drift:", "rust": "new-oil, recalibrated, load-profile", "recalibrated": "sensor:", "recalibrated:x": "sensor:", "new-oil:oil_temp": "sensor:",
		"new-oil=": "size:", "new-oil=x": "size:", "new-oil=0": "size:", "new-oil=3.1": "size:", "new-oil=NaN": "size:", "new-oil=-Inf": "size:",
	} {
		if _, err := ParseChange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %s", text, err, want)
		}
	}
	var all Changes
	must.OK(t, all.Set("new-oil,recalibrated:oil_temp=2"))
	must.OK(t, all.Set("load-profile"))
	if got := all.String(); got != "new-oil=1,recalibrated:oil_temp=2,load-profile=1" {
		t.Errorf("%s", got)
	}
	if _, err := New(1, "m").Drift(Change{Drift: NewOil, Size: 1}, -1); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("%v", err)
	}
	if _, err := New(1, "m").Drift(Change{Drift: NewOil}, 0); err == nil {
		t.Error("a drift of no size")
	}
}
