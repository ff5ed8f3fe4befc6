package gbdt

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"edgepdm/test/must"
)

// legacySpec is a legacy binary file in parts. Its zero value is completed by encode.
type legacySpec struct {
	magic     string
	learner   [legacyLearnerParam / 4]uint32
	objective string
	booster   string
	model     [legacyBoosterParam / 4]uint32
	trees     []legacySpecTree
	info      []int32
	rest      []byte // what follows tree_info
}

type legacySpecTree struct {
	param [legacyTreeParam / 4]uint32
	nodes []legacySpecNode
}

type legacySpecNode struct {
	parent, left, right int32
	split               uint32
	value               float32
}

// tinyLegacy is the tiny model, as XGBoost major.minor writes it.
func tinyLegacy(major, minor uint32) *legacySpec {
	s := &legacySpec{objective: "binary:logistic", booster: "gbtree", info: []int32{0, 0}}
	s.learner[0], s.learner[1], s.learner[5], s.learner[6] = math.Float32bits(0.5), 2, major, minor
	if major == 0 {
		s.learner[0] = 0 // the margin
	}
	s.model[0], s.model[1] = 2, 1
	s.trees = []legacySpecTree{{nodes: []legacySpecNode{
		{-1, 1, 2, 0 | 1<<31, 1.5}, {0, -1, -1, 0, -1}, {0, 3, 4, 1, 0.25}, {2, -1, -1, 0, 2}, {2, -1, -1, 0, 4},
	}}, {nodes: []legacySpecNode{{-1, -1, -1, 0, 0.5}}}}
	for i := range s.trees {
		s.trees[i].param[0], s.trees[i].param[1] = 1, uint32(len(s.trees[i].nodes))
	}
	return s
}

func (s *legacySpec) encode(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	write := func(v any) {
		must.OK(t, binary.Write(&out, binary.LittleEndian, v))
	}
	out.WriteString(s.magic)
	write(s.learner)
	out.Write(legacyText(s.objective))
	out.Write(legacyText(s.booster))
	write(s.model)
	for _, tree := range s.trees {
		write(tree.param)
		for _, n := range tree.nodes {
			write([]int32{n.parent, n.left, n.right})
			write(n.split)
			write(n.value)
		}
		out.Write(make([]byte, legacyNodeStat*len(tree.nodes)))
	}
	write(s.info)
	out.Write(s.rest)
	return out.Bytes()
}

func legacyText(s string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
}

// legacyAttributes writes names and values.
func legacyAttributes(pairs ...string) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(pairs)/2))
	for _, s := range pairs {
		out = append(out, legacyText(s)...)
	}
	return out
}

// TestLegacy wants the same margins of the tiny model as its JSON gives.
func TestLegacy(t *testing.T) {
	for name, c := range map[string]struct {
		spec    *legacySpec
		change  func(s *legacySpec)
		format  string
		release string
	}{
		"before 1.0": {tinyLegacy(0, 0), func(*legacySpec) {}, "legacy", "unknown"},
		"1.0":        {tinyLegacy(1, 0), func(*legacySpec) {}, "legacy", "1.0.x"},
		"1.7":        {tinyLegacy(1, 7), func(s *legacySpec) { s.magic = "binf" }, "legacy-binf", "1.7.x"},
		"a GPU's":    {tinyLegacy(0, 0), func(s *legacySpec) { s.objective = "gpu:binary:logistic" }, "legacy", "unknown"},
		"3.0's leaf": {tinyLegacy(3, 0), func(s *legacySpec) { s.magic, s.trees[1].param[5] = "binf", 1 }, "legacy-binf", "3.0.x"},
		"attributes": {tinyLegacy(1, 2), func(s *legacySpec) { s.learner[3], s.rest = 1, legacyAttributes("a", "b", "objective", "{}") }, "legacy", "1.2.x"},
		"metrics": {tinyLegacy(0, 0), func(s *legacySpec) {
			s.learner[4], s.rest = 1, append(legacyAttributes("auc", "")[:8:8], legacyText("auc")...)
		}, "legacy", "unknown"},
		"metrics since 1.0": {tinyLegacy(1, 2), func(s *legacySpec) { s.learner[4] = 1 }, "legacy", "1.2.x"},
		"poisson's":         {tinyLegacy(0, 0), func(s *legacySpec) { s.objective, s.rest = "count:poisson", legacyText("0.7") }, "legacy", "unknown"},
		"deleted nodes":     {tinyLegacy(1, 7), func(s *legacySpec) { s.deleteNodes() }, "legacy", "1.7.x"},
		"dart, weights 1": {tinyLegacy(1, 7), func(s *legacySpec) {
			s.booster, s.rest = "dart", []byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x80\x3f")
		}, "legacy", "1.7.x"},
		"one target, said": {tinyLegacy(1, 7), func(s *legacySpec) { s.learner[7] = 1 }, "legacy", "1.7.x"},
	} {
		t.Run(name, func(t *testing.T) {
			c.change(c.spec)
			m, err := Parse(c.spec.encode(t))
			must.OK(t, err)
			if m.Format != c.format || m.Release() != c.release || m.NumTrees != 2 || m.NumNodes != 6 || m.NumFeature != 2 {
				t.Errorf("%s, release %s: %+v", m.Format, m.Release(), m)
			}
			want, attributed := map[string]string{"a": "b"}, name == "attributes"
			if attributed && (len(m.Attributes) != 1 || m.Attributes["a"] != want["a"]) {
				t.Errorf("attributes %v, want %v", m.Attributes, want)
			}
			for row, want := range map[[2]float32]float32{{1, 0}: -0.5, {1.5, 0}: 2.5, {2, 0.25}: 4.5} {
				for _, s := range []*Scorer{NewScorer(m), newPlainScorer(m)} {
					if got, err := s.Margin(nil, row[:]); err != nil || !slices.Equal(got, []float32{want}) {
						t.Errorf("%v: %v, %v; want %v", row, got, err, want)
					}
				}
			}
		})
	}
}

// deleteNodes puts nodes that are not reached between the others, as pruning leaves them.
func (s *legacySpec) deleteNodes() {
	tree := &s.trees[0]
	garbage := legacySpecNode{-7, 1 << 30, -9, math.MaxUint32, float32(math.NaN())}
	n := tree.nodes
	tree.nodes = []legacySpecNode{{-1, 2, 4, 1 << 31, 1.5}, garbage, n[1], garbage, {0, 5, 6, 1, 0.25}, n[3], n[4], garbage}
	tree.param[1], tree.param[2] = uint32(len(tree.nodes)), 3
}

func TestLegacyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *legacySpec)
		want   error
		text   string
	}{
		"version":           {func(s *legacySpec) { s.learner[5] = 9 }, ErrInvalid, "9.7 is not"},
		"booster":           {func(s *legacySpec) { s.booster = "forest" }, ErrUnsupported, `"forest"`},
		"objective":         {func(s *legacySpec) { s.objective = "my:loss" }, ErrUnsupported, `"my:loss"`},
		"classes":           {func(s *legacySpec) { s.learner[2] = math.MaxUint32 }, ErrInvalid, "-1 is not a count"},
		"many classes":      {func(s *legacySpec) { s.learner[2] = 1 << 20 }, ErrLimit, "1048576 outputs"},
		"features":          {func(s *legacySpec) { s.learner[1] = 1 << 24 }, ErrLimit, "features"},
		"targets":           {func(s *legacySpec) { s.learner[7] = 1 << 20 }, ErrLimit, "outputs"},
		"base score":        {func(s *legacySpec) { s.learner[0] = math.Float32bits(nan) }, ErrInvalid, "base_score"},
		"roots":             {func(s *legacySpec) { s.trees[1].param[0] = 2 }, ErrUnsupported, "tree 1: it has 2 roots"},
		"roots of all":      {func(s *legacySpec) { s.learner[6], s.model[1] = 5, 2 }, ErrUnsupported, "2 roots"},
		"leaf vectors":      {func(s *legacySpec) { s.trees[0].param[5] = 3 }, ErrUnsupported, "vectors of 3"},
		"leaf vectors of 1": {func(s *legacySpec) { s.trees[0].param[5] = 1 }, ErrUnsupported, "vectors of 1"},
		"pbuffer":           {func(s *legacySpec) { s.model[4] = 5 }, ErrUnsupported, "buffer of 5"},
		"trees":             {func(s *legacySpec) { s.model[0] = 1 << 30 }, ErrLimit, "1073741824 trees"},
		"more trees":        {func(s *legacySpec) { s.model[0] = 1000 }, ErrInvalid, "1000 trees are more"},
		"negative trees":    {func(s *legacySpec) { s.model[0] = math.MaxUint32 }, ErrInvalid, "not a count"},
		"nodes":             {func(s *legacySpec) { s.trees[0].param[1] = 1 << 30 }, ErrLimit, "nodes"},
		"more nodes":        {func(s *legacySpec) { s.trees[0].param[1] = 1 << 20 }, ErrInvalid, "nodes are more"},
		"no nodes":          {func(s *legacySpec) { s.trees[1].param[1], s.trees[1].nodes = 0, nil }, ErrInvalid, "no nodes"},
		"child":             {func(s *legacySpec) { s.trees[0].nodes[0].right = 7 }, ErrInvalid, "children 1 and 7"},
		"cycle":             {func(s *legacySpec) { s.trees[0].nodes[2].left = 0 }, ErrInvalid, "two ways"},
		"feature":           {func(s *legacySpec) { s.trees[0].nodes[2].split = 2 }, ErrInvalid, "feature 2 of 2"},
		"leaf":              {func(s *legacySpec) { s.trees[0].nodes[3].value = inf }, ErrInvalid, "+Inf"},
		"tree_info":         {func(s *legacySpec) { s.info[1] = 1 }, ErrInvalid, "output 1 of 1"},
		"weights":           {func(s *legacySpec) { s.booster, s.rest = "dart", legacyAttributes() }, ErrInvalid, "weight_drop"},
		"many weights":      {func(s *legacySpec) { s.booster, s.rest = "dart", bytes.Repeat([]byte{255}, 8) }, ErrInvalid, "more than the file holds"},
		"attributes":        {func(s *legacySpec) { s.learner[3], s.rest = 1, bytes.Repeat([]byte{127}, 8) }, ErrInvalid, "more than the file holds"},
		"no attributes":     {func(s *legacySpec) { s.learner[3] = 1 }, ErrInvalid, "ends in the middle"},
		"long attribute": {func(s *legacySpec) {
			s.learner[3], s.rest = 1, legacyAttributes("a", string(make([]byte, maxLegacyText+1)))
		}, ErrLimit, "text"},
		"trailing":          {func(s *legacySpec) { s.rest = []byte("x") }, ErrInvalid, "1 bytes follow"},
		"gblinear of trees": {func(s *legacySpec) { s.booster = "gblinear" }, ErrInvalid, "legacy binary"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tinyLegacy(1, 7)
			c.change(s)
			wantRefusal(t, s.encode(t), c.want, c.text)
		})
	}
}

func TestConfigOffset(t *testing.T) {
	model := tinyLegacy(1, 2).encode(t)
	snapshot := func(offset int, config string) []byte {
		out := binary.LittleEndian.AppendUint64([]byte("CONFIG-offset:"), uint64(offset))
		return append(append(out, model...), config...)
	}
	config := `{"learner":{"gradient_booster":{"gbtree":{"gbtree_train_param":{"num_parallel_tree":"2"}}}},"version":[1,2,1]}`
	m, err := Parse(snapshot(len(model), config))
	if err != nil || m.Format != "config-offset+legacy" || m.Release() != "1.2.1" || m.Iterations != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	for name, c := range map[string]struct {
		data []byte
		want error
		text string
	}{
		"cut short":     {[]byte("CONFIG-offset:\x00\x00"), ErrInvalid, "ends in the middle"},
		"offset beyond": {snapshot(1<<40, config), ErrInvalid, "the configuration is at"},
		"offset short":  {snapshot(len(model)-4, config), ErrInvalid, "legacy binary"},
		"offset long":   {snapshot(len(model)+1, config), ErrInvalid, "follow the model"},
		"configuration": {snapshot(len(model), config[:20]), ErrInvalid, "configuration: learner"},
		"two of them":   {snapshot(len(model), config+config), ErrInvalid, "configuration: byte"},
		"odd number":    {snapshot(len(model), `{"learner":{"gradient_booster":{"gbtree_train_param":{"num_parallel_tree":"x"}}}}`), ErrInvalid, "num_parallel_tree"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, c.data, c.want, c.text) })
	}
}

// TestHugeClaims overwrites every place near the front of a file of each format with large numbers, as if it counted
// something, and wants memory to stay in proportion to the file.
func TestHugeClaims(t *testing.T) {
	for _, file := range committedModels(t) {
		data := must.Read(t, file)
		if len(data) > 10<<10 || data[0] == 0x1f {
			continue
		}
		for at := 0; at < min(400, len(data)-8); at += 2 {
			for _, claim := range []uint32{1 << 16, 1<<24 - 1, 1<<31 - 1} {
				for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
					changed := bytes.Clone(data)
					order.PutUint32(changed[at:], claim)
					before := allocated()
					_, _ = Parse(changed) // whatever comes of it
					if used := allocated() - before; used > allocationBase+maxBytesPerByte*uint64(len(data)) {
						t.Errorf("%s: %d at byte %d makes it allocate %d bytes for %d", file, claim, at, used, len(data))
					}
				}
			}
		}
	}
}
