package modelcli

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"

	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
)

const (
	mostBins     = 20
	baselineText = 256 << 10 // bytes of a manifest that the histograms may take, about
	binText      = 20        // bytes of an edge and a count
)

// counted says of which rows a baseline is.
type counted struct {
	sound, faulty uint64
	labelled      bool
}

// leftOut says which rows a baseline is not of.
func (c counted) leftOut() string {
	if !c.labelled {
		return "no column says which are faulty"
	}
	return fmt.Sprintf("%d faulty ones are left out", c.faulty)
}

// addBaseline gives the manifest the histogram and the usual range of each feature, and the usual range of each group that
// has a value, and the histogram of the model's own probabilities, of the rows in a training table that are not faulty, and the
// extremes of all rows. The table is read twice, in constant memory: for the quantiles (see sketch), and then for the counts,
// which are exact.
func addBaseline(ctx context.Context, m *envelope.Manifest, model, path, label string, screen io.Writer) (counted, error) {
	score, err := scoreWith(model)
	if err != nil {
		return counted{}, err
	}
	f, size, err := openTable(path)
	if err != nil {
		return counted{}, err
	}
	defer func() { _ = f.Close() }()
	table := training{path: path, label: label, features: m.Features}
	b := newBaseline(m, score)
	note := newBar(f, 2*size, screen)
	defer note.wipe()
	faulty, err := table.each(ctx, note, b.sample)
	if err != nil {
		return counted{}, err
	}
	if b.rows == 0 {
		return counted{}, fmt.Errorf("%s: it has no rows, or none that is not faulty", path)
	}
	b.divide(m)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return counted{}, err
	}
	if _, err := table.each(ctx, note, b.count); err != nil {
		return counted{}, err
	}
	if b.again != b.rows {
		return counted{}, fmt.Errorf("%s: it changed while it was read", path)
	}
	m.Baseline = b.result
	return counted{b.rows, faulty, table.labelAt >= 0}, nil
}

// baseline counts the rows of a table.
type baseline struct {
	rows, again uint64
	columns     []sketch                    // of the features, then of the groups
	score       func(row []float32) float32 // nil of a model that gives no probability
	scores      *sketch
	groups      []envelope.Group
	members     [][]int // of the groups: places of their features
	values      []float32
	bins        int
	result      *envelope.Baseline
}

func newBaseline(m *envelope.Manifest, score func([]float32) float32) *baseline {
	b := &baseline{
		columns: newSketches(len(m.Features) + len(m.Groups)), groups: m.Groups, score: score, scores: &newSketches(1)[0],
		bins:   max(4, min(mostBins, baselineText/binText/len(m.Features))),
		result: &envelope.Baseline{Features: make([]envelope.Histogram, len(m.Features))},
	}
	if score != nil {
		b.result.Score = new(envelope.Histogram)
	}
	at := make(map[string]int, len(m.Features))
	for i, f := range m.Features {
		at[f] = i
	}
	for _, g := range m.Groups {
		var members []int
		for _, f := range g.Features {
			members = append(members, at[f])
		}
		b.members = append(b.members, members)
	}
	return b
}

// sample takes a row in the first reading.
func (b *baseline) sample(row []float32, faulty bool) {
	if faulty {
		return
	}
	b.rows++
	for i, v := range row {
		if v == v {
			b.columns[i].add(v)
		}
	}
	if b.score != nil {
		if v := b.score(row); v == v {
			b.scores.add(v)
		}
	}
	for i, g := range b.groups {
		b.values = b.values[:0]
		for _, at := range b.members[i] {
			b.values = append(b.values, row[at])
		}
		if v := g.Combine(b.values); v == v {
			b.columns[len(row)+i].add(v)
		}
	}
}

// divide makes the bins, and tells the usual ranges.
func (b *baseline) divide(m *envelope.Manifest) {
	for i := range b.result.Features {
		b.columns[i].into(&b.result.Features[i], b.bins)
	}
	if b.score != nil {
		b.scores.into(b.result.Score, mostBins)
	}
	for i := range m.Groups {
		m.Groups[i].P5, m.Groups[i].P95 = b.columns[len(m.Features)+i].usual()
	}
}

// count takes a row in the second reading. The extremes are those of all rows: what a fault does was seen in training, too.
func (b *baseline) count(row []float32, faulty bool) {
	if !faulty {
		b.again++
	}
	for i, v := range row {
		countIn(&b.result.Features[i], v, faulty)
	}
	if b.score != nil {
		countIn(b.result.Score, b.score(row), faulty)
	}
}

// into gives a histogram its bins and its usual range.
func (s *sketch) into(h *envelope.Histogram, bins int) {
	h.Edges = s.edges(bins)
	h.Counts = make([]uint64, len(h.Edges)+1)
	h.P5, h.P95 = s.usual()
}

// countIn counts a value.
func countIn(h *envelope.Histogram, v float32, faulty bool) {
	if v == v {
		h.Min, h.Max = extreme(h.Min, v, -1), extreme(h.Max, v, 1)
	}
	switch {
	case faulty:
	case v != v:
		h.Missing++
	default:
		h.Counts[sort.Search(len(h.Edges), func(k int) bool { return h.Edges[k] > v })]++
	}
}

// scoreWith returns the function that scores a row as a device does; nil for a model that gives no probability. It gives NaN
// for a row that cannot be scored, and for one without any value.
func scoreWith(path string) (func(row []float32) float32, error) {
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, err
	}
	if !model.Probability() {
		return nil, nil
	}
	if model, err = model.Cut(gbdt.AutoIterations); err != nil {
		return nil, err
	}
	scorer, missing := gbdt.NewScorer(model), float32(math.NaN())
	var margin, prediction []float32
	return func(row []float32) float32 {
		if !slices.ContainsFunc(row, func(v float32) bool { return v == v }) {
			return missing
		}
		var err error
		if margin, err = scorer.Margin(margin, row); err != nil {
			return missing
		}
		prediction = scorer.Predict(prediction, margin)
		return prediction[0]
	}, nil
}

// extreme is the higher one of a value and another, or with the sign -1 the lower one.
func extreme(known *float32, v, sign float32) *float32 {
	if known == nil {
		return &v
	}
	if sign*v > sign**known {
		*known = v
	}
	return known
}

// newBar shows on a terminal how far a file is read; elsewhere it is silent.
func newBar(f *os.File, total int64, out io.Writer) *bar {
	b := &bar{ReadCloser: f, total: total}
	if screen := terminal(out); screen != nil {
		b.out = screen
	}
	return b
}

// readStrict reads a JSON file that goes into a manifest.
func readStrict(path string, into any) error {
	data, err := readLimited(path, envelope.MaxManifest)
	if err != nil {
		return err
	}
	if err := envelope.DecodeStrict(data, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
