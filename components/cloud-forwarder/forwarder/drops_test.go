package forwarder

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// Drops that are on disk are known to the next process, also those of an earlier build, which wrote no number. Damage is told
// and set aside; the file of a newer version stays as it is, whatever is dropped and reported.
func TestDropsOnDisk(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	old := event.Dropped{V: 1, ID: "dropped-1", Since: now, Messages: map[string]uint64{"predictions.age": 3}}
	sealed, err := durable.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file         string
		known        event.Dropped
		wrong        error
		stays, aside bool
	}{
		"none":                {},
		"of an earlier build": {file: string(sealed), known: old},
		"damaged":             {file: strings.Replace(string(sealed), ":3", ":4", 1), wrong: durable.ErrDamaged, aside: true},
		"of a newer version":  {file: string(durable.Seal([]byte(`{"format":2,"drops":[1]}`))), wrong: durable.ErrNewerFormat, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, dropsName)
			if c.file != "" {
				if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := openDrops(dir)
			if !errors.Is(err, c.wrong) || !reflect.DeepEqual(d.report, c.known) {
				t.Fatalf("%+v, %v", d.report, err)
			}
			if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || (len(aside) == 1) != c.aside {
				t.Errorf("aside are %v, %v", aside, err)
			}
			d.add("predictions", "age", 2, now)
			if err := d.keep(now, true); err != nil {
				t.Fatal(err)
			}
			again, err := openDrops(dir)
			switch text, readErr := os.ReadFile(path); {
			case c.stays && (string(text) != c.file || readErr != nil):
				t.Errorf("the newer file became %s, %v", text, readErr)
			case !c.stays && (err != nil || !reflect.DeepEqual(again.report, d.report) || !strings.HasPrefix(string(text), `{"format":1,`)):
				t.Errorf("%+v became %+v from %s, %v", d.report, again.report, text, err)
			}
			if err := d.reported(); err != nil || d.report.Sum() != 0 {
				t.Error(err)
			}
			if _, err := os.Stat(path); (err == nil) != c.stays {
				t.Error(err)
			}
		})
	}
}

// All drops since the first one stay known after they were reported and after a restart, also beside drops that were never reported.
func TestDropTotals(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for round := range uint64(3) {
		d, err := openDrops(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.add("predictions", "operator", 2, now.Add(time.Duration(round)*time.Hour))
		if err := d.keep(now, true); err != nil {
			t.Fatal(err)
		}
		if err := d.reported(); err != nil {
			t.Fatal(err)
		}
		d.add("predictions", "age", 1, now)
		if err := d.keep(now.Add(dropsKeptEvery), false); err != nil {
			t.Fatal(err)
		}
		want := dropTotals{1, now, map[string]uint64{"predictions.operator": 2 * (round + 1), "predictions.age": round + 1}}
		if got, err := totalsFile(dir).Load(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	newer := durable.Seal([]byte(`{"format":2}`))
	if err := os.WriteFile(filepath.Join(dir, totalsName), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDrops(dir)
	if !errors.Is(err, durable.ErrNewerFormat) {
		t.Error(err)
	}
	d.add("predictions", "age", 1, now)
	if err := d.keep(now, true); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, totalsName)); err != nil || string(text) != string(newer) {
		t.Errorf("the newer file became %s, %v", text, err)
	}
}
