package plant

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// Maintenance is due at the severity from which a fault counts: the hours to it fall with the clock, and reach zero there.
func TestRemainingLifeIsTheTimeUntilAFaultCounts(t *testing.T) {
	for i := range 8 {
		m := New(4, fmt.Sprintf("m-%d", i))
		m.Age()
		before, repairs, ranOn := m.Step(0), 0, 0
		for range 4 * 7 * 24 { // a week
			row := m.Step(15 * time.Minute)
			if row.Faulty != (row.Severity >= FaultyFrom) || row.Faulty != (row.Remaining == 0) || row.Fault == None {
				t.Fatalf("%v h remain at severity %v, faulty %v", row.Remaining, row.Severity, row.Faulty)
			}
			switch want := max(0, before.Remaining-0.25); {
			case row.Remaining > before.Remaining:
				if !before.Faulty || row.Remaining < 0.4*minLife.Hours() || row.Remaining > 2.5*maxLife.Hours() {
					t.Errorf("after %v h (faulty: %v) a new part has %v", before.Remaining, before.Faulty, row.Remaining)
				}
				repairs++
				ranOn = 0
			case math.Abs(row.Remaining-want) > 1e-6:
				t.Fatalf("%v h remain after %v", row.Remaining, before.Remaining)
			case row.Faulty:
				if ranOn++; time.Duration(ranOn) > maxRunOn/(15*time.Minute)+1 {
					t.Fatal("nobody repairs the machine")
				}
			}
			before = row
		}
		if repairs < 1 || repairs > 6 {
			t.Errorf("%d repairs in a week", repairs)
		}
	}
}

// The sensors of the part that wears show it long before, and the more the nearer it is.
func TestWearShowsLongBeforeMaintenanceIsDue(t *testing.T) {
	for fault, sensors := range map[Fault][]string{
		BearingWear: {"oil_particles"},
		Overheating: {"oil_return_temp", "cabinet_temp"},
	} {
		for _, thing := range []string{"x", "y", "z"} {
			rows := func(remaining time.Duration) (worn, sound []Row) {
				a, b := New(21, thing), New(21, thing)
				must.OK(t, a.AgeFrom(fault, remaining))
				for range 5 * 60 {
					worn, sound = append(worn, a.Step(time.Minute)), append(sound, b.Step(time.Minute))
				}
				return worn, sound
			}
			far, sound := rows(15 * time.Hour)
			near, _ := rows(5 * time.Hour)
			if first, last := near[0].Remaining, near[299].Remaining; math.Abs(first-5+1./60) > 1e-6 || last > 1e-6 {
				t.Errorf("%s: from %v to %v h remain, want 5 to 0", fault, first, last)
			}
			for _, name := range sensors {
				early, late := change(t, far, sound, name), change(t, near, sound, name)
				if early <= 0.1 || late < 1.3*early {
					t.Errorf("%s of %s: %s is %.2f higher with 15 to 10 h to go, and %.2f at the end", fault, thing, name, early, late)
				}
			}
			if got := change(t, near, sound, "ambient_temp"); got != 0 {
				t.Errorf("%s changes the weather by %v", fault, got)
			}
		}
	}
}

// A fault beside wear ends the life when it counts, and its repair leaves the worn part as it is.
func TestAFaultBesideWearShortensTheLife(t *testing.T) {
	m := New(3, "m")
	must.OK(t, m.AgeFrom(BearingWear, 30*time.Hour))
	must.OK(t, m.Inject(SensorDropout, time.Hour))
	if row := m.Step(time.Hour); math.Abs(row.Remaining-29) > 1e-6 || row.Faulty {
		t.Errorf("%v h remain beside a loose plug", row.Remaining)
	}
	must.OK(t, m.Inject(AirLeak, 10*time.Hour))
	if row := m.Step(time.Hour); math.Abs(row.Remaining-3) > 1e-6 || row.Fault != AirLeak {
		t.Errorf("%v h remain with a leak that counts in 3 h", row.Remaining)
	}
	if row := m.Step(4 * time.Hour); row.Remaining != 0 || !row.Faulty {
		t.Errorf("%v h remain with a leak that counts", row.Remaining)
	}
	m.Repair()
	if row := m.Step(time.Hour); math.Abs(row.Remaining-23) > 1e-6 || row.Fault != BearingWear || row.Faulty {
		t.Errorf("after the leak's repair %v h remain, by %s", row.Remaining, row.Fault)
	}
}

func TestAMachineThatDoesNotAge(t *testing.T) {
	m := New(1, "m")
	must.OK(t, m.Inject(AirLeak, time.Hour))
	if row := m.Step(time.Minute); !math.IsNaN(row.Remaining) {
		t.Errorf("%v h remain", row.Remaining)
	}
}

func TestAgeFromRefuses(t *testing.T) {
	for _, c := range []struct {
		fault     Fault
		remaining time.Duration
		want      string
	}{
		{AirLeak, time.Hour, "fault: "}, {SensorStuck, time.Hour, "fault: "}, {None, time.Hour, "fault: "},
		{BearingWear, -time.Second, "remaining: "}, {Overheating, maxRemaining + 1, "remaining: "},
	} {
		m := New(1, "m")
		if err := m.AgeFrom(c.fault, c.remaining); err == nil || !strings.Contains(err.Error(), c.want) || m.aging != nil {
			t.Errorf("%q, %v: %v", c.fault, c.remaining, err)
		}
	}
	m := New(1, "m")
	must.OK(t, m.AgeFrom(BearingWear, maxRemaining))
	if row := m.Step(0); math.Abs(row.Remaining-maxRemaining.Hours()) > 1e-6 {
		t.Errorf("%v h remain", row.Remaining)
	}
}
