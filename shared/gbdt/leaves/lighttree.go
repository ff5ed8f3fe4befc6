package leaves

import (
	"bytes"
	"fmt"
	"strconv"

	"edgepdm/shared/gbdt"
)

// lightTree is a tree of LightGBM. A tree without splits has one leaf.
type lightTree struct {
	splits []lightSplit
	leaves []float64
	depth  int
}

// lightSplit goes left where the value is at most the threshold.
type lightSplit struct {
	threshold   float64
	feature     uint32
	decision    uint32 // where missing values go, and which are
	left, right int32  // a split's index, or ^index of a leaf
}

// The bits of decision_type: Tree's kCategoricalMask, kDefaultLeftMask and missing type in include/LightGBM/tree.h.
const (
	decisionCategorical = 1
	decisionDefaultLeft = 2
	decisionZero        = 1 << 2 // NaN and 0 are missing
	decisionNaN         = 2 << 2 // NaN is missing; with neither it counts as 0
)

// readLightTree reads a tree's lines.
func readLightTree(text []byte, numFeature int, limits gbdt.Limits) (t lightTree, err error) {
	fields, err := readFields(text, "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child",
		"leaf_value", "is_linear", "split_gain", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count",
		"shrinkage", "cat_boundaries", "cat_threshold", "leaf_const", "num_features", "leaf_features", "leaf_coeff")
	if err != nil {
		return t, err
	}
	if categories := string(fields["num_cat"]); categories != "0" {
		if n, err := strconv.Atoi(categories); err != nil || n < 0 {
			return t, invalid("num_cat is %.40q", categories)
		}
		return t, unsupported("it has categorical splits")
	}
	if linear, ok := fields["is_linear"]; ok && string(linear) != "0" {
		return t, unsupported("it is a linear tree (linear_tree), whose leaves are no constants")
	}
	numLeaves, err := strconv.Atoi(string(fields["num_leaves"]))
	if err != nil || numLeaves < 1 {
		return t, invalid("num_leaves is %.40q", fields["num_leaves"])
	}
	if numLeaves > limits.Nodes {
		return t, fmt.Errorf("%w: %d leaves, at most %d", gbdt.ErrLimit, numLeaves, limits.Nodes)
	}
	if t.leaves, err = readFloats(fields, "leaf_value", numLeaves); err != nil {
		return t, err
	}
	if err := t.readSplits(fields, numLeaves-1, numFeature); err != nil {
		return t, err
	}
	return t, t.walk(limits.Depth)
}

func (t *lightTree) readSplits(fields map[string][]byte, n, numFeature int) error {
	thresholds, err := readFloats(fields, "threshold", n)
	if err != nil {
		return err
	}
	features, err := readInts(fields, "split_feature", n, 0, numFeature-1)
	if err != nil {
		return err
	}
	decisions, err := readInts(fields, "decision_type", n, 0, decisionDefaultLeft|decisionNaN|decisionCategorical)
	if err != nil {
		return err
	}
	left, err := readInts(fields, "left_child", n, ^n, n-1)
	if err != nil {
		return err
	}
	right, err := readInts(fields, "right_child", n, ^n, n-1)
	if err != nil {
		return err
	}
	t.splits = make([]lightSplit, n)
	for i := range t.splits {
		if decisions[i]&decisionCategorical != 0 {
			return invalid("split %d is categorical, and num_cat is 0", i)
		}
		t.splits[i] = lightSplit{thresholds[i], uint32(features[i]), uint32(decisions[i]), left[i], right[i]}
	}
	return nil
}

// walk follows the splits from the root. There is one split less than leaves, so that a tree in which no split is met twice
// and that has all its leaves is whole.
func (t *lightTree) walk(maxDepth int) error {
	if len(t.splits) == 0 {
		return nil
	}
	type step struct{ split, depth int32 }
	seenSplit, seenLeaf := make([]bool, len(t.splits)), make([]bool, len(t.leaves))
	next := []step{{0, 1}}
	seenSplit[0] = true
	reached := 0
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		if int(at.depth) > maxDepth {
			return fmt.Errorf("%w: a tree is deeper than %d", gbdt.ErrLimit, maxDepth)
		}
		t.depth = max(t.depth, int(at.depth))
		for _, child := range [2]int32{t.splits[at.split].left, t.splits[at.split].right} {
			seen, index := seenSplit, child
			if child < 0 {
				seen, index = seenLeaf, ^child
				reached++
			}
			if seen[index] {
				return invalid("split %d has the child %d, which can be reached in another way", at.split, child)
			}
			seen[index] = true
			if child >= 0 {
				next = append(next, step{child, at.depth + 1})
			}
		}
	}
	if reached != len(t.leaves) {
		return invalid("%d of %d leaves can be reached", reached, len(t.leaves))
	}
	return nil
}

// readInts reads the n numbers of a field, each between lowest and highest.
func readInts(fields map[string][]byte, key string, n, lowest, highest int) ([]int32, error) {
	text, err := expectFields(fields, key, n)
	if err != nil || n == 0 {
		return nil, err
	}
	values := make([]int32, 0, n)
	for field := range bytes.SplitSeq(text, []byte{' '}) {
		v, err := strconv.ParseInt(string(field), 10, 32)
		if err != nil || int(v) < lowest || int(v) > highest {
			return nil, invalid("%s has %.40q, which is no number from %d to %d", key, field, lowest, highest)
		}
		values = append(values, int32(v))
	}
	return values, nil
}

// readFloats reads the n numbers of a field. Only a threshold may be infinite: such a split parts what is missing from all else.
func readFloats(fields map[string][]byte, key string, n int) ([]float64, error) {
	text, err := expectFields(fields, key, n)
	if err != nil || n == 0 {
		return nil, err
	}
	values := make([]float64, 0, n)
	for field := range bytes.SplitSeq(text, []byte{' '}) {
		v, err := strconv.ParseFloat(string(field), 64)
		if err != nil || v != v || !finite(v) && key != "threshold" || bytes.ContainsAny(field, "xXpP_") { // Go's own notations
			return nil, invalid("%s has %.40q, which LightGBM does not write", key, field)
		}
		values = append(values, v)
	}
	return values, nil
}

// expectFields returns a field that holds n values.
func expectFields(fields map[string][]byte, key string, n int) ([]byte, error) {
	text, ok := fields[key]
	if !ok {
		return nil, invalid("it has no %s", key)
	}
	if there := countFields(text); there != n {
		return nil, invalid("%s holds %d values, not %d", key, there, n)
	}
	return text, nil
}
