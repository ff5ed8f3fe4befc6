package plant

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Every sensor and every group has a name in both languages, and each sensor its unit.
func TestDescription(t *testing.T) {
	d := Description()
	named := make(map[string]string)
	check := func(id, unit string) {
		t.Helper()
		shown := d.Display[id]
		if shown.Name == "" || shown.Names["de"] == "" || shown.Unit != unit {
			t.Errorf("%s: %+v", id, shown)
		}
		for _, name := range []string{shown.Name, shown.Names["de"]} {
			if other, taken := named[name]; taken && other != id {
				t.Errorf("%s and %s are both called %q", id, other, name)
			}
			named[name] = id
		}
	}
	sensors, units := Sensors(), Units()
	for i, sensor := range sensors {
		check(sensor, units[i])
	}
	grouped := 0
	for _, g := range d.Groups {
		unit := ""
		if g.Value != "" {
			unit = units[slices.Index(sensors, g.Features[0])]
		}
		check(g.Name, unit)
		grouped += len(g.Features)
		for _, f := range g.Features {
			if g.Value != "" && units[slices.Index(sensors, f)] != unit {
				t.Errorf("%s has %s in another unit", g.Name, f)
			}
		}
	}
	if len(d.Display) != len(sensors)+len(d.Groups) || len(d.Groups) != 4+bearings+histograms || grouped != 3+3+3+2+bearings*bands+histograms*bins {
		t.Errorf("%d names, %d groups of %d sensors", len(d.Display), len(d.Groups), grouped)
	}
}

// The manifests of the models that were trained on the plant say of the sensors what the plant says, and have a baseline.
func TestManifestsOfTheModels(t *testing.T) {
	for _, dir := range []string{"components/inference-engine/model", "scripts/demo/second-model"} {
		path := filepath.Join(need.Root(t), filepath.FromSlash(dir))
		m, err := envelope.DecodeManifest(must.Read(t, filepath.Join(path, "manifest.json")))
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		if sum := envelope.HashOf(must.Read(t, filepath.Join(path, "model.ubj"))); m.Model.SHA256 != sum {
			t.Errorf("%s: the manifest is that of the model %s, not %s: scripts/train/manifest.sh makes it", dir, m.Model.SHA256, sum)
		}
		groups := slices.Clone(m.Groups)
		for i, g := range groups {
			if (g.P5 != nil) != (g.Value != "") || (g.P95 != nil) != (g.Value != "") {
				t.Errorf("%s: %s: usually %v to %v", dir, g.Name, g.P5, g.P95)
			}
			groups[i].P5, groups[i].P95 = nil, nil
		}
		if d := Description(); !slices.Equal(m.Features, Sensors()) || !reflect.DeepEqual(m.Display, d.Display) || !reflect.DeepEqual(groups, d.Groups) {
			t.Errorf("%s: the manifest describes other sensors: scripts/train/manifest.sh makes it", dir)
		}
		if m.Baseline == nil {
			t.Fatalf("%s: no baseline", dir)
		}
		rows := uint64(0)
		for i, h := range m.Baseline.Features {
			sum := h.Missing
			for _, n := range h.Counts {
				sum += n
			}
			if rows = max(rows, sum); sum != rows || h.P5 == nil || h.P95 == nil {
				t.Errorf("%s: %s: %d rows, usually %v to %v", dir, m.Features[i], sum, h.P5, h.P95)
			}
		}
		if rows < 90_000 {
			t.Errorf("%s: the baseline is of %d rows", dir, rows)
		}
	}
}
