package envelope_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
)

// How people call what the model sees is checked member by member.
func TestValidateDisplay(t *testing.T) {
	display := func(name string, d envelope.Display) func(*envelope.Manifest) {
		return func(m *envelope.Manifest) { m.Display = map[string]envelope.Display{name: d} }
	}
	group := func(groups ...envelope.Group) func(*envelope.Manifest) {
		return func(m *envelope.Manifest) { m.Groups = groups }
	}
	languages := make(map[string]string)
	for i := range 21 {
		languages[fmt.Sprintf("l%d", i)] = "x"
	}
	low, high, nan, inf := new(float32), new(float32), new(float32), new(float32)
	*low, *high, *nan, *inf = 1, 2, float32(math.NaN()), float32(math.Inf(1))
	usual := func(p5, p95 *float32) func(*envelope.Manifest) {
		return func(m *envelope.Manifest) {
			m.Baseline = baseline([]float32{1}, 1, 1)
			m.Baseline.Features[1].P5, m.Baseline.Features[1].P95 = p5, p95
		}
	}
	tests := []struct {
		change func(m *envelope.Manifest)
		says   string
	}{
		{display("a", envelope.Display{}), ""},
		{display("a", envelope.Display{Name: "oil temperature", Unit: "°C", Names: map[string]string{"de": "Öltemperatur", "pt-BR": "óleo"}}), ""},
		{display("c", envelope.Display{}), `display: "c" is neither`},
		{display("a", envelope.Display{Name: strings.Repeat("n", 129)}), `display: "a": the name`},
		{display("a", envelope.Display{Name: "a\n"}), `display: "a": the name`},
		{display("a", envelope.Display{Name: "\xff"}), `display: "a": the name`},
		{display("a", envelope.Display{Unit: strings.Repeat("u", 16)}), ""},
		{display("a", envelope.Display{Unit: strings.Repeat("u", 17)}), `display: "a": the unit`},
		{display("a", envelope.Display{Unit: "°C\t"}), `display: "a": the unit`},
		{display("a", envelope.Display{Names: languages}), `display: "a": names in 21 languages`},
		{display("a", envelope.Display{Names: map[string]string{"": "x"}}), `display: "a": names: ""`},
		{display("a", envelope.Display{Names: map[string]string{"d e": "x"}}), `display: "a": names: "d e"`},
		{display("a", envelope.Display{Names: map[string]string{strings.Repeat("d", 21): "x"}}), `display: "a": names: "ddd`},
		{display("a", envelope.Display{Names: map[string]string{"de": ""}}), `display: "a": names: de`},
		{display("a", envelope.Display{Names: map[string]string{"de": "x", "DE": "y"}}), `display: "a": names: DE and de differ only`},
		{func(m *envelope.Manifest) {
			modeltest.WithFeatures(m, []string{"T", "t"})
			m.Display = map[string]envelope.Display{"T": {}, "t": {}}
		}, `display: "T" and "t" differ only`},

		{group(envelope.Group{Name: "both", Features: []string{"a", "b"}}), ""},
		{func(m *envelope.Manifest) {
			m.Groups = []envelope.Group{{Name: "both", Features: []string{"a", "b"}, Value: "mean", P5: low, P95: high}}
			m.Display = map[string]envelope.Display{"both": {Name: "both of them"}}
		}, ""},
		{group(envelope.Group{Name: "a b", Features: []string{"a"}}), "groups: the name of number 1"},
		{group(envelope.Group{Features: []string{"a"}}), "groups: the name of number 1"},
		{group(envelope.Group{Name: "b", Features: []string{"a"}}), "groups: b is a sensor's"},
		{group(envelope.Group{Name: "g"}), "groups: g has no features"},
		{group(envelope.Group{Name: "g", Features: []string{"c"}}), `groups: g has "c", which is no feature`},
		{group(envelope.Group{Name: "g", Features: []string{"a"}}, envelope.Group{Name: "g", Features: []string{"b"}}), "groups: g comes twice"},
		{group(envelope.Group{Name: "g", Features: []string{"a"}}, envelope.Group{Name: "h", Features: []string{"b", "a"}}), `groups overlap: "a" is in g and in h`},
		{group(envelope.Group{Name: "g", Features: []string{"a", "a"}}), `groups overlap: "a" is in g and in g`},
		{group(envelope.Group{Name: "g", Features: []string{"a"}, Value: "median"}), "groups: the value of g"},
		{group(envelope.Group{Name: "g", Features: []string{"a"}, P5: low}), "groups: g has p5 or p95, but no value"},
		{group(envelope.Group{Name: "g", Features: []string{"a"}, Value: "sum", P5: high, P95: low}), "groups: g: p5 is 2, above p95, 1"},
		{group(envelope.Group{Name: "g", Features: []string{"a"}, Value: "max", P95: inf}), "groups: g: p5 or p95 is +Inf"},

		{usual(low, high), ""},
		{usual(low, low), ""},
		{usual(nil, low), ""},
		{usual(high, low), "baseline: feature 2: p5 is 2, above p95, 1"},
		{usual(nan, nil), "baseline: feature 2: p5 or p95 is NaN"},
	}
	for _, test := range tests {
		checkChange(t, modeltest.Tiny(t), test.change, test.says)
	}
}

func TestValidateLife(t *testing.T) {
	tests := []struct {
		change func(m *envelope.Manifest)
		says   string
	}{
		{func(*envelope.Manifest) {}, ""},
		{func(m *envelope.Manifest) { m.Threshold = 0.5 }, ""},
		{func(m *envelope.Manifest) { m.Threshold = -1 }, "threshold"},
		{func(m *envelope.Manifest) { m.Format = 1 }, "format: 1, must be from 2"},
		{func(m *envelope.Manifest) { m.Role = "fate" }, `role: "fate"`},
		{func(m *envelope.Manifest) { m.Role = event.RoleFault }, "threshold"},
		{func(m *envelope.Manifest) { m.Role, m.Threshold = event.RoleFault, 0.5 }, "life: only with role life"},
		{func(m *envelope.Manifest) { m.Role, m.Threshold = "", 0.5 }, "life: only with role life"},
		{func(m *envelope.Manifest) { m.Life = nil }, "life: missing"},
		{func(m *envelope.Manifest) { m.Objective = "reg:squarederror" }, "objective"},
		{func(m *envelope.Manifest) { m.Features = nil }, "features: 0"},
		{func(m *envelope.Manifest) { m.Life.Unit = "furlongs" }, "life.unit"},
		{func(m *envelope.Manifest) { m.Life.Cap = 0 }, "life.cap"},
		{func(m *envelope.Manifest) { m.Life.Cap = math.NaN() }, "life.cap"},
		{func(m *envelope.Manifest) { m.Life.Cap = 1e10 }, "life.cap"},
		{func(m *envelope.Manifest) { m.Life.Coverage = 0 }, "life.coverage"},
		{func(m *envelope.Manifest) { m.Life.Coverage = 1 }, "life.coverage"},
		{func(m *envelope.Manifest) { m.Life.Coverage = math.NaN() }, "life.coverage"},
		{func(m *envelope.Manifest) { m.Life.Margin = -3 }, ""},
		{func(m *envelope.Manifest) { m.Life.Margin = math.Inf(1) }, "life.margin"},
		{func(m *envelope.Manifest) { m.Life.Margin = math.NaN() }, "life.margin"},
		{func(m *envelope.Manifest) { m.Inputs.Inputs[1].Rows = 1_000_000_000 }, "inputs: inputs[1].rows is 1000000000"},
		{func(m *envelope.Manifest) { m.Inputs.Inputs[1].Sensor = "boiler" }, `inputs: inputs[1].sensor is "boiler"`},
		{func(m *envelope.Manifest) { m.Inputs.Inputs[1].Rows = 5 }, `features: number 2 is "temp_mean_4", but the inputs give "temp_mean_5"`},
		{func(m *envelope.Manifest) { m.Inputs.Inputs = m.Inputs.Inputs[:2] }, `features: number 3 is "wear_slope_4", but the inputs give ""`},
		{func(m *envelope.Manifest) { m.Inputs = nil }, "schema"},
		{func(m *envelope.Manifest) { m.Inputs, m.Schema = nil, event.SchemaOf(m.Features) }, ""},
		{func(m *envelope.Manifest) { m.Schema = event.SchemaOf(m.Features) }, "schema"},
		{func(m *envelope.Manifest) { m.Display = map[string]envelope.Display{"wear": {Unit: "%"}} }, ""},
		{func(m *envelope.Manifest) { m.Display = map[string]envelope.Display{"temp_mean_4": {}} }, "display: \"temp_mean_4\" is neither"},
		{func(m *envelope.Manifest) { m.Groups = []envelope.Group{{Name: "wear", Features: m.Features[2:]}} }, "groups: wear is a sensor's"},
		{func(m *envelope.Manifest) { m.Groups = []envelope.Group{{Name: "g", Features: []string{"wear"}}} }, `groups: g has "wear", which is no feature`},
		{func(m *envelope.Manifest) { m.Golden[0].Margins = m.Golden[0].Margins[:2] }, "golden: row 1 has 2 margins, a life model needs 3"},
		{func(m *envelope.Manifest) { m.Golden[0].Margins = nil }, "golden: row 1 has 1 margins, a life model needs 3"},
	}
	for _, test := range tests {
		life, _ := lifemodel.Publish(t, "1.2.0", modeltest.Time)
		checkChange(t, life, test.change, test.says)
	}
}

func parse(t *testing.T, data []byte) *gbdt.Model {
	t.Helper()
	model, err := gbdt.Parse(data)
	must.OK(t, err)
	return model
}

// A life model is tested like another: all three margins of a golden row, bit for bit; and is asked for no probability.
func TestCheckLifeModel(t *testing.T) {
	life, _ := lifemodel.Publish(t, "1.2.0", modeltest.Time)
	data, err := os.ReadFile(filepath.Join(lifemodel.Folder(), "model.ubj"))
	must.OK(t, err)
	model := parse(t, data)
	must.OK(t, envelope.CheckModel(life, model))
	for k := range 3 {
		m, _ := lifemodel.Publish(t, "1.2.0", modeltest.Time)
		m.Golden[1].Margins[k] = math.Nextafter32(m.Golden[1].Margins[k], 100)
		modeltest.Wants(t, envelope.CheckModel(m, model), envelope.ErrGolden, "row 2")
	}

	fault := life
	fault.Role, fault.Life, fault.Threshold = "", nil, 0.5
	modeltest.Wants(t, envelope.CheckModel(fault, model), envelope.ErrModel, "it tells the remaining life, if its manifest has the role life")

	alone := modeltest.Tiny(t)
	alone.Role, alone.Life, alone.Objective = event.RoleLife, life.Life, life.Objective
	one := parse(t, []byte(must.Replace(t, modeltest.TinyModel, "binary:logistic", "reg:quantileerror")))
	modeltest.Wants(t, envelope.CheckModel(alone, one), envelope.ErrModel, "it has 1 outputs in 1 models: a life model has three quantiles")

	read, err := envelope.DecodeManifest(must.JSON(t, life))
	must.OK(t, err)
	must.OK(t, envelope.CheckModel(read, model))
}
