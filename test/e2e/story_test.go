package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The whole chain under two cuts of the uplink and a kill -9 of every component: nothing that was accepted is lost, the
// fault is alarmed and spoken (promises F1 to F4, F9, F12), a published model takes over, and the tampered one and the one
// with a wrong golden row do not (M2, M6).
func TestStoryWithCutsAndKills(t *testing.T) {
	d := startDemo(t, "-for", "24s", "-cuts", "2", "-kill", "-rate", "5")
	r := d.finish()
	if r.Lost != 0 || r.Alerts < 2 || r.Audio < 1 || r.Delivered < 100 || r.Swaps != 1 || len(r.Models) != 2 {
		t.Errorf("%+v\n%s", r, &d.out)
	}
	// Alarms say why and when.
	points := regexp.MustCompile("Points to it: |together they point to a fault: ") // where no value is outside its usual range
	if r.Explained.Of < 2 || r.Explained.Alerts == 0 || r.Explained.Predictions == 0 || r.Life.Alerts == 0 || r.Life.Rows < 200 ||
		r.Life.Coverage < 0.5 || !points.MatchString(d.out.String()) || !strings.Contains(d.out.String(), "Likely to need maintenance") {
		t.Errorf("%+v, %+v\n%s", r.Explained, r.Life, &d.out)
	}
	if !strings.Contains(strings.Join(r.Refused, "\n"), "golden row mismatch") {
		t.Errorf("refused %q", r.Refused)
	}
	if len(r.Components) != 6 {
		t.Fatalf("%+v", r.Components)
	}
	for _, c := range r.Components {
		if c.Restarts != 1 {
			t.Errorf("%+v", c)
		}
	}
	sounds, err := filepath.Glob(filepath.Join(d.root, "audio", "*.mp3"))
	if err != nil || len(sounds) != r.Audio {
		t.Fatalf("%d sound files, the report has %d: %v", len(sounds), r.Audio, err)
	}
	for _, path := range sounds {
		if info, err := os.Stat(path); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
