package gbdt

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

func TestMargin(t *testing.T) {
	type point struct{ a, b float32 }
	cases := []struct {
		name  string
		edits []string
		want  map[point][]float32
	}{
		{"numerical", nil, map[point][]float32{
			{1, 0}: {-0.5}, {1.5, 0}: {2.5}, {2, 0.25}: {4.5}, {2, 0.2499}: {2.5}, {nan, 0}: {-0.5}, {2, nan}: {4.5}, {nan, nan}: {-0.5},
		}},
		{"thresholds at infinity", []string{`[1.5E0,-1E0,2.5E-1,`, `[-Infinity,-1E0,Infinity,`}, map[point][]float32{
			{-math.MaxFloat32, 0}: {2.5}, {nan, 0}: {-0.5}, {0, math.MaxFloat32}: {2.5}, {0, nan}: {4.5},
		}},
		{"base score", []string{`"5E-1"`, `"[7.5E-1]"`}, map[point][]float32{{1, 0}: {0.5986122}}},
		{"base score of the log link", []string{`"5E-1"`, `"1E0"`, `binary:logistic`, `count:poisson`}, map[point][]float32{{1, 0}: {-0.5}}},
		{"categorical", tinyCategorical, map[point][]float32{
			{2, 0}: {2.5}, {5.9, 0}: {2.5}, {3, 0}: {-0.5}, {99, 0}: {-0.5}, {-2, 0}: {-0.5}, {1 << 24, 0}: {-0.5}, {nan, 0}: {-0.5},
		}},
		{"categorical, missing right", append([]string{`"default_left":[1,`, `"default_left":[0,`}, tinyCategorical...), map[point][]float32{
			{nan, 0}: {2.5}, {1 << 24, 0}: {-0.5}, {-1, 0}: {-0.5},
		}},
		{"booleans of 1.0 to 1.5", []string{`"default_left":[1,0,0,0,0]`, `"default_left":[true,false,false,false,false]`}, map[point][]float32{
			{nan, 0}: {-0.5}, {2, nan}: {4.5},
		}},
		{"two targets", []string{
			`"num_target":"1"`, `"num_target":"2"`, `"tree_info":[0,0]`, `"tree_info":[0,1]`, `binary:logistic`, `reg:squarederror`,
			`"5E-1"`, `"[1E0,-1E0]"`,
		}, map[point][]float32{{2, 0}: {3, -0.5}}},
		{"vector leaves of 2.0", tinyVector, map[point][]float32{{0, 0}: {-0.5, 61}, {2, 0}: {2.5, 71}, {2, 1}: {4.5, 91}}},
		{"vector leaves of 3.2", append(slices.Clone(tinyVector),
			`"base_weights":[0,0,-1,10,0,0,2,20,4,40]`, `"base_weights":[],"leaf_weights":[2,20,-1,10,4,40]`,
			`"right_children":[2,-1,4,-1,-1]`, `"right_children":[2,1,4,0,2]`,
			`"base_weights":[5E-1,50]`, `"leaf_weights":[5E-1,50]`,
			`"right_children":[-1]`, `"right_children":[0]`,
		), map[point][]float32{{0, 0}: {-0.5, 61}, {2, 0}: {2.5, 71}, {2, 1}: {4.5, 91}}},
		{"dart until 3.2", []string{
			`"name":"gbtree","model":`, `"name":"dart","weight_drop":[5E-1,2],"gbtree":{"name":"gbtree","model":`, `[0]}]}},`, `[0]}]}}},`,
		}, map[point][]float32{{2, 0}: {2}, {2, 1}: {3}}},
		{"dart since 3.3", []string{`"tree_info":[0,0]`, `"tree_info":[0,0],"weight_drop":[5E-1,2]`}, map[point][]float32{{2, 0}: {2}, {2, 1}: {3}}},
		{"dart with vector leaves", append([]string{`"tree_info":[0,0]`, `"tree_info":[0,0],"weight_drop":[5E-1,2]`}, tinyVector...),
			map[point][]float32{{2, 0}: {2, 111}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := parseTiny(t, c.edits...)
			for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
				for p, want := range c.want {
					got, err := s.Margin(nil, []float32{p.a, p.b})
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %v gives %v, %v; want %v", layout, p, got, err, want)
					}
				}
			}
		})
	}
}

// TestSumOrder makes float32's rounding show whether the base margin comes before or after the trees.
func TestSumOrder(t *testing.T) {
	edits := []string{`binary:logistic`, `reg:squarederror`, `"5E-1"`, `"1.6777216E7"`, `-1E0`, `1E0`, `[5E-1]`, `[1E0]`}
	dart := []string{`"name":"gbtree","model":`, `"name":"dart","weight_drop":[1,1],"gbtree":{"name":"gbtree","model":`, `[0]}]}},`, `[0]}]}}},`}
	for _, c := range []struct {
		version string
		edits   []string
		want    float32
	}{
		{"[1,0,2]", edits, 1<<24 + 2}, {"[1,2,1]", edits, 1<<24 + 2}, {"[1,3,0]", edits, 1 << 24}, {"[3,0,5]", edits, 1 << 24},
		{"[1,3,3]", append(dart, edits...), 1<<24 + 2}, {"[1,4,0]", append(dart, edits...), 1 << 24},
	} {
		m := parseTiny(t, append([]string{`[3,0,5]`, c.version}, c.edits...)...)
		for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
			got, err := s.Margin(nil, []float32{0, 0})
			if err != nil || got[0] != c.want {
				t.Errorf("%s %s, %s: %v, %v; want %v", c.version, m.Booster, layout, got, err, c.want)
			}
		}
	}
}

func TestMarginRefuses(t *testing.T) {
	linear, err := readModel("testdata/3.0.5-gblinear_multi/model.json")
	must.OK(t, err)
	for _, m := range []*Model{parseTiny(t), parseTiny(t, tinyCategorical...), linear} {
		for name, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
			good := make([]float32, m.NumFeature)
			for _, row := range [][]float32{nil, good[1:], append(slices.Clone(good), 0)} {
				if _, err := s.Margin(nil, row); !errors.Is(err, ErrRowLength) {
					t.Errorf("%s, %s: a row of %d values: %v", m.Booster, name, len(row), err)
				}
			}
			for _, v := range []float32{inf, -inf} {
				bad := slices.Clone(good)
				bad[1] = v
				if _, err := s.Margin(nil, bad); !errors.Is(err, ErrRowInfinite) || !strings.Contains(err.Error(), "column 2") {
					t.Errorf("%s, %s: %v in column 2: %v", m.Booster, name, v, err)
				}
			}
			if _, err := s.Margin(nil, good); err != nil {
				t.Errorf("%s, %s: a good row after bad ones: %v", m.Booster, name, err)
			}
		}
	}
}

func TestPredict(t *testing.T) {
	third := float32(1) / 3
	cases := []struct {
		objective      string
		version        [3]int
		margin, expect []float32
	}{
		{"reg:squarederror", [3]int{3, 0, 5}, []float32{-1.5, 2}, []float32{-1.5, 2}},
		{"rank:ndcg", [3]int{3, 0, 5}, []float32{-1.5}, []float32{-1.5}},
		{"binary:logitraw", [3]int{3, 0, 5}, []float32{-1.5}, []float32{-1.5}},
		{"binary:logistic", [3]int{3, 0, 5}, []float32{0, 200}, []float32{0.5, 1}},
		{"binary:logistic", [3]int{1, 5, 2}, []float32{-200}, []float32{0}},
		{"binary:logistic", [3]int{1, 6, 0}, []float32{-200}, []float32{1 / expf(88.7)}},
		{"count:poisson", [3]int{3, 0, 5}, []float32{0, 1}, []float32{1, float32(math.E)}},
		{"binary:hinge", [3]int{3, 0, 5}, []float32{0, 0.1, -1}, []float32{0, 1, 0}},
		{"multi:softprob", [3]int{3, 0, 5}, []float32{5, 5, 5}, []float32{third, third, third}},
		{"multi:softmax", [3]int{3, 0, 5}, []float32{-2, 7, 7}, []float32{1}},
		{"reg:quantileerror", [3]int{3, 3, 0}, []float32{2, 1, 3}, []float32{2, 1, 3}},
		{"reg:quantileerror", [3]int{3, 4, 0}, []float32{2, 1, 3}, []float32{1, 2, 3}},
		{"reg:expectileerror", [3]int{3, 4, 0}, []float32{2}, []float32{2}},
	}
	for _, c := range cases {
		o, err := newObjective(c.objective, c.version, len(c.margin))
		must.OK(t, err)
		s := &Scorer{model: &Model{objective: o}}
		if got := s.Predict(nil, c.margin); !slices.Equal(got, c.expect) {
			t.Errorf("%s of %v: %v gives %v, want %v", c.objective, c.version, c.margin, got, c.expect)
		}
		inPlace := slices.Clone(c.margin)
		if got := s.Predict(inPlace, inPlace); !slices.Equal(got, c.expect) {
			t.Errorf("%s in place: %v gives %v, want %v", c.objective, c.margin, got, c.expect)
		}
	}
}

// TestExpf wants the C library's bits: the arguments are those of the test models where rounding math.Exp gives others.
func TestExpf(t *testing.T) {
	for x, want := range map[float32]float32{
		32.564632: 1.3888015e+14, -63.09946: 3.94686674e-28, // those that need fused products
		-1.3282782: 0.26493305, -1.4257002: 0.24034013, 1.5666752: 4.7906938,
		0: 1, 1: float32(math.E), 88.72283: 3.4027985e+38, 88.72284: inf, -103.97208: 1e-45, -103.9721: 0, inf: inf, -inf: 0,
	} {
		if got := expf(x); got != want {
			t.Errorf("expf(%v) = %v, want %v", x, got, want)
		}
	}
	if got := expf(nan); got == got {
		t.Errorf("expf(NaN) = %v", got)
	}
	for x := float32(-104); x < 89; x += 0.0123 {
		got, near := expf(x), float32(math.Exp(float64(x)))
		if got != near && got != math.Nextafter32(near, inf) && got != math.Nextafter32(near, 0) {
			t.Errorf("expf(%v) = %v, math.Exp gives %v", x, got, near)
		}
	}
}

// TestLogf wants the C library's bits; rounding math.Log gives others for the first six.
func TestLogf(t *testing.T) {
	for x, want := range map[float32]float32{
		5.39104462: 1.68473911, 0.889044166: -0.117608368, 1.03340578: 0.0328599289, 1.09253252: 0.0884984061, 1.03525984: 0.0346524492,
		0.988201082: -0.0118690785,
		1:           0, 2: math.Ln2, 1e-45: -103.27893, math.MaxFloat32: 88.72284, inf: inf, 0: -inf,
	} {
		if got := logf(x); got != want {
			t.Errorf("logf(%v) = %v, want %v", x, got, want)
		}
	}
	if a, b := logf(nan), logf(-1); a == a || b == b {
		t.Errorf("logf(NaN) = %v, logf(-1) = %v", a, b)
	}
	for x := float32(1e-40); x < 1e38; x *= 1.00123 {
		got, near := logf(x), float32(math.Log(float64(x)))
		if got != near && got != math.Nextafter32(near, inf) && got != math.Nextafter32(near, -inf) {
			t.Errorf("logf(%v) = %v, math.Log gives %v", x, got, near)
		}
	}
}

func TestScoringAllocatesNothing(t *testing.T) {
	for _, file := range committedModels(t) {
		m, err := readModel(file)
		must.OK(t, err)
		row := make([]float32, m.NumFeature)
		margin, prediction := make([]float32, m.Outputs), make([]float32, m.Predictions)
		for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
			allocs := testing.AllocsPerRun(100, func() {
				margin, err = s.Margin(margin, row)
				prediction = s.Predict(prediction, margin)
			})
			if allocs != 0 || err != nil {
				t.Errorf("%s, %s: %v allocations a row, %v", file, layout, allocs, err)
			}
		}
	}
}

// TestLayouts makes sure that the fast layout is taken where it should be, as tests of both would pass without it.
func TestLayouts(t *testing.T) {
	for name, want := range map[string]bool{
		"1.2.1-names/model.json": true, "3.0.5-dart_multi/model.ubj": true, "3.0.5-categorical/model.ubj": false,
		"3.0.5-multi_target_vec/model.ubj": false, "3.0.5-gblinear_multi/model.ubj": false,
	} {
		m, err := readModel(filepath.Join("testdata", name))
		must.OK(t, err)
		if got := NewScorer(m).perfect != nil; got != want {
			t.Errorf("%s: fast layout %v, want %v", name, got, want)
		}
	}
}

func readModel(path string) (*Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(data)
}
