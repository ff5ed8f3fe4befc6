package leaves

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	dmitryikh "github.com/dmitryikh/leaves"

	"edgepdm/shared/gbdt"
)

// lightGBM is a checked LightGBM model: every split and every leaf of a tree is reached from its root in one way.
type lightGBM struct {
	version    string // "v2", …
	outputs    int
	numFeature int
	objective  string
	average    bool // the outputs are the trees' mean, not their sum
	names      []string
	treeSizes  []int // bytes of each tree's text
	trees      []lightTree
	numNodes   int
	depth      int
}

// ParseLightGBM reads a model that LightGBM saved as text (save_model) in version v2, v3 or v4 of its format: gbdt, dart, goss
// and rf models with numerical splits. It keeps no reference to data. Limits are checked before memory is taken, which is
// in proportion to the file.
//
// The format is read to the letter of SaveModelToString in LightGBM's src/boosting/gbdt_model_text.cpp and Tree::ToString
// in src/io/tree.cpp: a key that those do not write, a key twice, or a tree whose text has another length than tree_sizes
// says is refused. The error wraps gbdt.ErrFormat, gbdt.ErrInvalid, gbdt.ErrUnsupported (categorical splits, linear trees,
// other objectives) or gbdt.ErrLimit.
//
// A missing value is what LightGBM takes for one: NaN, or with zero_as_missing also 0. The margin of a random forest is the
// mean of its trees, of which its objective makes the prediction; LightGBM's raw_score gives their sum. Names that
// LightGBM made up (Column_0, …) are left out.
func ParseLightGBM(data []byte, limits gbdt.Limits) (*Model, error) {
	if int64(len(data)) > limits.FileSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", gbdt.ErrLimit, len(data), limits.FileSize)
	}
	if !gbdt.IsLightGBM(data) {
		return nil, fmt.Errorf("%w: it is not a model that LightGBM saved as text", gbdt.ErrFormat)
	}
	parsed := &lightGBM{}
	rest, err := parsed.readHeader(data, limits)
	if err != nil {
		return nil, err
	}
	transform, err := newTransform(parsed.objective, parsed.outputs)
	if err != nil {
		return nil, err
	}
	if err := parsed.readTrees(rest, limits); err != nil {
		return nil, err
	}
	ensemble, err := load(parsed.encode(), dmitryikh.LGEnsembleFromReader, parsed.outputs)
	if err != nil {
		return nil, err
	}
	m := &Model{
		Format: "lightgbm-" + parsed.version, Objective: parsed.objective, NumFeature: parsed.numFeature, FeatureNames: parsed.names,
		Outputs: parsed.outputs, Predictions: parsed.outputs, Probability: parsed.outputs == 1 && transform.kind == sigmoid,
		NumTrees: len(parsed.trees), NumNodes: parsed.numNodes, MaxDepth: parsed.depth,
		ensembles: []*dmitryikh.Ensemble{ensemble}, divisor: 1, transform: transform,
	}
	if parsed.average {
		m.divisor = float64(len(parsed.trees) / parsed.outputs)
	}
	return m, nil
}

// readHeader reads the lines up to the first empty one and returns what follows it.
func (p *lightGBM) readHeader(data []byte, limits gbdt.Limits) ([]byte, error) {
	text, rest, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return nil, invalid("the file ends in its header")
	}
	fields, err := readFields(text[len("tree\n"):], "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx",
		"objective", "average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes")
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	p.version = string(fields["version"])
	if p.version != "v2" && p.version != "v3" && p.version != "v4" {
		return nil, fmt.Errorf("%w: LightGBM's format %.20q; v2, v3 and v4 are known", gbdt.ErrUnsupported, p.version)
	}
	var maxFeature, classes int
	for _, number := range []struct {
		key  string
		into *int
	}{{"num_class", &classes}, {"num_tree_per_iteration", &p.outputs}, {"max_feature_idx", &maxFeature}} {
		if *number.into, err = strconv.Atoi(string(fields[number.key])); err != nil || *number.into < 0 {
			return nil, invalid("%s is %.40q", number.key, fields[number.key])
		}
	}
	p.objective = string(fields["objective"])
	_, p.average = fields["average_output"]
	switch {
	case p.outputs < 1 || p.outputs != classes:
		return nil, invalid("it has %d trees an iteration and %d classes", p.outputs, classes)
	case p.outputs > limits.Outputs:
		return nil, fmt.Errorf("%w: %d outputs, at most %d", gbdt.ErrLimit, p.outputs, limits.Outputs)
	case maxFeature >= limits.Features:
		return nil, fmt.Errorf("%w: %d features, at most %d", gbdt.ErrLimit, maxFeature, limits.Features)
	}
	p.numFeature = maxFeature + 1
	if err := p.readNames(fields["feature_names"]); err != nil {
		return nil, err
	}
	return rest, p.readSizes(fields["tree_sizes"], len(rest), limits)
}

// readNames takes the feature names, unless LightGBM made them up.
func (p *lightGBM) readNames(text []byte) error {
	if n := countFields(text); n != p.numFeature {
		return invalid("%d feature names for %d features", n, p.numFeature)
	}
	p.names = strings.Split(string(text), " ")
	madeUp := true
	for i, name := range p.names {
		if name == "" {
			return invalid("feature %d has no name", i)
		}
		madeUp = madeUp && name == "Column_"+strconv.Itoa(i)
	}
	if madeUp {
		p.names = nil
	}
	return nil
}

// readSizes reads how many bytes of text each tree has; room is how many there are.
func (p *lightGBM) readSizes(text []byte, room int, limits gbdt.Limits) error {
	n := countFields(text)
	switch {
	case n == 0:
		return invalid("it has no trees (tree_sizes is empty)")
	case n > limits.Trees:
		return fmt.Errorf("%w: %d trees, at most %d", gbdt.ErrLimit, n, limits.Trees)
	case n%p.outputs != 0:
		return invalid("%d trees for %d outputs", n, p.outputs)
	}
	p.treeSizes = make([]int, 0, n)
	for field := range bytes.SplitSeq(text, []byte{' '}) {
		size, err := strconv.Atoi(string(field))
		if err != nil || size < len("Tree=0\n\n\n\n") || size > room {
			return invalid("tree_sizes has %.40q with %d bytes left", field, room)
		}
		room -= size
		p.treeSizes = append(p.treeSizes, size)
	}
	return nil
}

// readTrees reads the trees and the line that ends them; what follows it (parameters, importances) says nothing of scores.
func (p *lightGBM) readTrees(rest []byte, limits gbdt.Limits) error {
	for i, size := range p.treeSizes {
		text := rest[:size]
		rest = rest[size:]
		body, ok := bytes.CutPrefix(text, []byte("Tree="+strconv.Itoa(i)+"\n"))
		if !ok {
			return invalid("tree %d does not stand where tree_sizes says", i)
		}
		if body, ok = bytes.CutSuffix(body, []byte("\n\n\n")); !ok {
			return invalid("tree %d does not end where tree_sizes says", i)
		}
		tree, err := readLightTree(body, p.numFeature, limits)
		if err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		p.trees = append(p.trees, tree)
		p.depth = max(p.depth, tree.depth)
		if p.numNodes += len(tree.splits) + len(tree.leaves); p.numNodes > limits.Nodes {
			return fmt.Errorf("%w: more than %d nodes", gbdt.ErrLimit, limits.Nodes)
		}
	}
	// Before 2.2 importances followed at once.
	if !bytes.HasPrefix(rest, []byte("end of trees\n")) && (p.version != "v2" || !bytes.HasPrefix(rest, []byte("\nfeature importances:\n"))) {
		return invalid("it does not end after %d trees", len(p.trees))
	}
	return nil
}

// readFields reads lines of key=value, or a key alone. Keys other than known ones, and a key twice, are errors.
func readFields(text []byte, known ...string) (map[string][]byte, error) {
	fields := make(map[string][]byte, len(known))
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		key, value, _ := bytes.Cut(line, []byte{'='})
		name := ""
		for _, k := range known {
			if k == string(key) {
				name = k
			}
		}
		if name == "" {
			return nil, invalid("LightGBM writes no line %.40q there", line)
		}
		if _, twice := fields[name]; twice {
			return nil, invalid("%s is there twice", name)
		}
		fields[name] = value
	}
	return fields, nil
}

// countFields counts the fields of a line that a space parts.
func countFields(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	return bytes.Count(text, []byte{' '}) + 1
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", gbdt.ErrInvalid, fmt.Sprintf(format, args...))
}
