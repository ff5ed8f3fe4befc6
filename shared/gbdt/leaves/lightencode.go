package leaves

import (
	"bytes"
	"strconv"
	"strings"
)

// encode writes the model as text again: version v3 of the format, which is the newest that leaves knows, and only what
// leaves reads. leaves takes the number of trees from the number of sizes and does not look at these.
func (p *lightGBM) encode() []byte {
	var w bytes.Buffer
	line := func(key, value string) { w.WriteString(key + "=" + value + "\n") }
	number := func(key string, value int) { line(key, strconv.Itoa(value)) }
	w.WriteString("tree\nversion=v3\n")
	number("num_class", p.outputs)
	number("num_tree_per_iteration", p.outputs)
	number("max_feature_idx", p.numFeature-1)
	line("tree_sizes", strings.TrimSuffix(strings.Repeat("0 ", len(p.trees)), " "))
	for i := range p.trees {
		t := &p.trees[i]
		w.WriteByte('\n')
		number("num_leaves", len(t.leaves))
		number("num_cat", 0)
		writeList(&w, "leaf_value", t.leaves, appendFloat)
		if len(t.splits) == 0 {
			continue
		}
		writeList(&w, "split_feature", t.splits, func(b []byte, s lightSplit) []byte { return strconv.AppendUint(b, uint64(s.feature), 10) })
		writeList(&w, "threshold", t.splits, func(b []byte, s lightSplit) []byte { return appendFloat(b, s.threshold) })
		writeList(&w, "decision_type", t.splits, func(b []byte, s lightSplit) []byte { return strconv.AppendUint(b, uint64(s.decision), 10) })
		writeList(&w, "left_child", t.splits, func(b []byte, s lightSplit) []byte { return strconv.AppendInt(b, int64(s.left), 10) })
		writeList(&w, "right_child", t.splits, func(b []byte, s lightSplit) []byte { return strconv.AppendInt(b, int64(s.right), 10) })
	}
	return w.Bytes()
}

func writeList[T any](w *bytes.Buffer, key string, values []T, appendValue func([]byte, T) []byte) {
	w.WriteString(key)
	separator := byte('=')
	for _, v := range values {
		w.WriteByte(separator)
		w.Write(appendValue(w.AvailableBuffer(), v))
		separator = ' '
	}
	w.WriteByte('\n')
}

// appendFloat writes the shortest text that reads as the same float64.
func appendFloat(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) }
