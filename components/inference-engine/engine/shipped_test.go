package engine_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

// reasonsOf publishes the row that points most to a fault, and returns what its prediction says of the reasons.
func (r *rig) reasonsOf(seq uint64) []event.Contributor {
	r.t.Helper()
	_, rows, margins := golden(r.t)
	worst := slices.Index(margins, slices.Max(margins))
	r.publish(event.TelemetryTopic("press-1"), encode(r.t, telemetry(seq, rows[worst])))
	p := r.prediction()
	if len(p.Contributors) == 0 {
		r.t.Fatalf("no contributors: %+v", p)
	}
	return p.Contributors
}

// The shipped model says what its sensors are called, in which units and ranges they usually are: also where a release that
// shipped it without that has put it into the store.
func TestTheShippedModelNamesItsSensors(t *testing.T) {
	r := newRig(t)
	store, err := modelstore.OpenStore(r.storePath(), modelstore.Options{})
	must.OK(t, err)
	former, err := store.Seed(shippedModel, "", nil)
	must.OK(t, err)
	must.OK(t, store.Close())
	r.start(shippedModel)
	h := r.await("a model", ok)
	if h.Model.SHA256 != former.Ref().SHA256 || h.Model.Version != "1.0.0" {
		t.Errorf("%+v, it was %+v", h.Model, former.Ref())
	}
	m, err := envelope.DecodeManifest(must.Read(t, filepath.Join(filepath.Dir(shippedModel), "manifest.json")))
	must.OK(t, err)
	ranges := 0
	for _, c := range r.reasonsOf(1) {
		if shown := m.Display[c.Sensor]; c.Name == "" || c.Name != shown.Name || c.Names["de"] != shown.Names["de"] || c.Unit != shown.Unit {
			t.Errorf("%+v, want %+v", c, shown)
		}
		if c.Low != nil && c.High != nil {
			ranges++
		}
	}
	if ranges == 0 {
		t.Error("no contributor has a usual range")
	}
}

// A model without a manifest, and one whose manifest is damaged, score all the same, with the features' own names.
func TestAModelWithoutItsManifest(t *testing.T) {
	for name, manifest := range map[string]string{"none": "", "damaged": `{"format":1,`} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(t.TempDir(), "model.ubj")
			data := must.Read(t, shippedModel)
			must.OK(t, os.WriteFile(path, data, 0o600))
			if manifest != "" {
				must.OK(t, os.WriteFile(filepath.Join(filepath.Dir(path), "manifest.json"), []byte(manifest), 0o600))
			}
			r.start(path)
			h := r.await("a model", func(h event.Health) bool { return h.Model != nil && h.State != event.StateStarting })
			if h.Model.Version != envelope.HashOf(data)[:envelope.ShortHash] {
				t.Errorf("%+v", h.Model)
			}
			if told := slices.ContainsFunc(h.Conditions, func(c event.Condition) bool { return strings.Contains(c.Detail, "manifest.json") }); told != (manifest != "") {
				t.Errorf("%+v", h)
			}
			features, _, _ := golden(t)
			for _, c := range r.reasonsOf(1) {
				if c.Name != "" || c.Unit != "" || c.Low != nil || !slices.Contains(features, c.Sensor) {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}
