package gbdt

import "math"

// The SHAP value of feature i is the sum, over the leaves of all trees, of
//
//	v (o_i - z_i) ∫₀¹ ∏_{j≠i} (z_j (1-t) + o_j t) dt
//
// where v is the leaf's value, j runs over the features on the way to it, z_j is the share of the training rows that pass all
// splits on j on this way (cover of child by cover of parent, multiplied), and o_j is 1 if the row passes them, otherwise 0.
// For D features the integrand has degree D-1, so that Gauss-Legendre quadrature with ⌈D/2⌉ points is exact (arXiv 2605.04497;
// XGBoost since 3.3 takes eight points: src/predictor/interpretability/shap.cc).
//
// At one point t, with u = 1-t, a split multiplies what lies behind the child that the row takes (hot) by z_h u + t and what
// lies behind the other (cold) by z_c u. Let P be the product of these factors from the root to a split, and S the sum of v
// times the factors from the split to its leaves. One pass from the root gives each P, one back gives each S:
//
//	e = (1-z_h) S_h - z_c S_c     S = S_h - u e     and the split adds P e to the contribution of its feature.
//
// A split on a feature that was tested above changes a factor that is in P already. If the row was cold there, it is cold behind
// both children, which differ in z alone. If it was hot, with share z_a and factor f = 1-(1-z_a) u, the two new factors are
// those of the shares z_a z_h and z_a z_c, divided by f; and what the split above counted for the leaves behind is taken back.

// lanes are points of the quadrature, or a value at each of them. A tree with more than eight features on a way is passed
// several times.
type lanes [4]float64

// rule is a Gauss-Legendre quadrature on [0, 1]: the points 1-t and their weights.
type rule struct{ u, weight []lanes }

// newRule makes a rule of 4 x passes points by Newton's method on the Legendre polynomial.
func newRule(passes int) rule {
	r := rule{make([]lanes, passes), make([]lanes, passes)}
	n := 4 * passes
	for i := range n {
		x, slope := math.Cos(math.Pi*(float64(i)+0.75)/(float64(n)+0.5)), 0.0
		for range 10 { // it converges from 1e-3 by squares
			before, p := 1.0, x
			for k := 2.0; k <= float64(n); k++ {
				before, p = p, ((2*k-1)*x*p-(k-1)*before)/k
			}
			slope = float64(n) * (x*p - before) / (x*x - 1)
			x -= p / slope
		}
		r.u[i/4][i%4] = (1 - x) / 2
		r.weight[i/4][i%4] = 1 / ((1 - x*x) * slope * slope)
	}
	return r
}

// shapTables is a forest laid out for Explain. The places of a tree are its inner splits, breadth-first, then its bottom
// splits, then leaves below inner splits. A bottom split has two leaves, and its feature is not tested above it.
type shapTables struct {
	trees   []shapTree
	splits  []shapSplit  // inner and bottom splits, tree by tree
	repeats []shapRepeat // [0] is not used
	leaves  []shapLeaf   // below inner splits, tree by tree
	values  []float32    // of all leaves, stride each
	stride  int
	rules   []rule    // by passes - 1; empty where no tree needs it
	bias    []float64 // by output
	places  int       // of the largest tree
}

type shapTree struct {
	first, firstLeaf      uint32 // in splits and leaves
	inner, bottom, leaves uint32 // how many
	passes                uint32 // of four points
	output                int32  // that it adds to; 0 for vector leaves
}

type shapSplit struct {
	share   [2]float64 // of the cover that goes left and right
	value   float32    // see node, as for slot and set
	slot    uint32
	set     uint32
	feature uint32
	child   [2]uint32 // inner: places of the children; bottom: the leaves in values
	repeat  uint32    // index in repeats if its feature is tested above, otherwise 0
}

// shapRepeat says of a split where its feature was tested last on the way to it.
type shapRepeat struct {
	from  uint32  // the place to which that split leads
	share float64 // of the cover that passes all splits on the feature so far
}

type shapLeaf struct{ place, value uint32 }

// shapScratch is what Explain writes to.
type shapScratch struct {
	phi     []float64 // by output and feature, and the bias
	right   []uint8   // by place of a split: 1 where the row goes right
	hot     []bool    // by place: the row passes all splits on the way on the feature of the split above
	prefix  []lanes   // by place: P; of a repeated split divided by f
	inverse []lanes   // by place of a repeated split: 1/f
	suffix  []lanes   // by place: S
}

func newShapScratch(t *shapTables, m *Model) shapScratch {
	return shapScratch{
		phi:     make([]float64, m.Outputs*(m.NumFeature+1)),
		right:   make([]uint8, t.places),
		hot:     make([]bool, t.places),
		prefix:  make([]lanes, t.places),
		inverse: make([]lanes, t.places),
		suffix:  make([]lanes, t.places),
	}
}

// addTrees explains a prepared row in e.phi, all but the bias.
func (e *shapScratch) addTrees(t *shapTables, sets [][]int32, row []float32) {
	clear(e.phi)
	width := len(row)/2 + 1
	for i := range t.trees {
		tree := &t.trees[i]
		splits := t.splits[tree.first:][:tree.inner+tree.bottom]
		if len(splits) == 0 {
			continue
		}
		leaves := t.leaves[tree.firstLeaf:][:tree.leaves]
		e.decide(splits, sets, row)
		r := &t.rules[tree.passes-1]
		for pass := range r.u {
			u := &r.u[pass]
			e.prefix[0] = r.weight[pass]
			e.down(splits[:tree.inner], t.repeats, u)
			for k := range t.stride {
				phi := e.phi[(int(tree.output)+k)*width:][:width]
				values := t.values[k:]
				for _, leaf := range leaves {
					v := float64(values[int(leaf.value)*t.stride])
					e.suffix[leaf.place] = lanes{v, v, v, v}
				}
				e.bottom(splits[tree.inner:], int(tree.inner), values, t.stride, phi, u)
				e.up(splits[:tree.inner], t.repeats, phi, u)
			}
		}
	}
}

// decide finds where the row goes at each split.
func (e *shapScratch) decide(splits []shapSplit, sets [][]int32, row []float32) {
	right := e.right[:len(splits)]
	for i := range splits {
		s := &splits[i]
		v := row[s.slot]
		right[i] = uint8(1 - below(v, s.value))
		if s.set != 0 {
			right[i] = 0
			if goesRight(v, sets[s.set-1]) {
				right[i] = 1
			}
		}
	}
}

// certain stands for u below a repeated split at which the row is cold: with it and the share 1, its formula is that of a mean.
var certain = lanes{1, 1, 1, 1}

// down passes the inner splits from the root.
func (e *shapScratch) down(splits []shapSplit, repeats []shapRepeat, points *lanes) {
	for i := range splits {
		s := &splits[i]
		d := e.right[i] & 1
		hot, cold := s.child[d], s.child[d^1]
		zh, zc := s.share[d], s.share[d^1]
		p, h, c, u := &e.prefix[i], &e.prefix[hot], &e.prefix[cold], points
		warm := true
		if s.repeat != 0 {
			before := &repeats[s.repeat]
			share := before.share
			if warm = e.hot[before.from]; !warm {
				share, u = 1, &certain
			}
			inv, rest := &e.inverse[i], 1-share
			inv[0], inv[1], inv[2], inv[3] = 1/(1-rest*u[0]), 1/(1-rest*u[1]), 1/(1-rest*u[2]), 1/(1-rest*u[3])
			p[0], p[1], p[2], p[3] = p[0]*inv[0], p[1]*inv[1], p[2]*inv[2], p[3]*inv[3]
			zh, zc = zh*share, zc*share
		}
		e.hot[hot], e.hot[cold] = warm, false
		y := 1 - zh
		q0, q1, q2, q3 := p[0]*u[0], p[1]*u[1], p[2]*u[2], p[3]*u[3]
		h[0], h[1], h[2], h[3] = p[0]-y*q0, p[1]-y*q1, p[2]-y*q2, p[3]-y*q3
		c[0], c[1], c[2], c[3] = zc*q0, zc*q1, zc*q2, zc*q3
	}
}

// bottom passes the bottom splits, whose first place is given.
func (e *shapScratch) bottom(splits []shapSplit, first int, values []float32, stride int, phi []float64, u *lanes) {
	right, prefix, suffix := e.right[first:][:len(splits)], e.prefix[first:][:len(splits)], e.suffix[first:][:len(splits)]
	for i := range splits {
		s := &splits[i]
		d := right[i] & 1
		vh, vc := float64(values[int(s.child[d])*stride]), float64(values[int(s.child[d^1])*stride])
		delta := (1-s.share[d])*vh - s.share[d^1]*vc
		p, out := &prefix[i], &suffix[i]
		phi[s.feature] += delta * (p[0] + p[1] + p[2] + p[3])
		out[0], out[1], out[2], out[3] = vh-u[0]*delta, vh-u[1]*delta, vh-u[2]*delta, vh-u[3]*delta
	}
}

// up passes the inner splits back to the root.
func (e *shapScratch) up(splits []shapSplit, repeats []shapRepeat, phi []float64, u *lanes) {
	for i := len(splits) - 1; i >= 0; i-- {
		s := &splits[i]
		d := e.right[i] & 1
		zh, zc := s.share[d], s.share[d^1]
		p, out, h, c := &e.prefix[i], &e.suffix[i], &e.suffix[s.child[d]], &e.suffix[s.child[d^1]]
		if s.repeat != 0 {
			phi[s.feature] += e.upRepeated(i, zh, zc, &repeats[s.repeat], h, c, u)
			continue
		}
		y := 1 - zh
		d0, d1, d2, d3 := y*h[0]-zc*c[0], y*h[1]-zc*c[1], y*h[2]-zc*c[2], y*h[3]-zc*c[3]
		phi[s.feature] += p[0]*d0 + p[1]*d1 + p[2]*d2 + p[3]*d3
		out[0], out[1], out[2], out[3] = h[0]-u[0]*d0, h[1]-u[1]*d1, h[2]-u[2]*d2, h[3]-u[3]*d3
	}
}

// upRepeated passes a split whose feature is tested above, and returns what it adds to the contribution of its feature.
func (e *shapScratch) upRepeated(i int, zh, zc float64, before *shapRepeat, h, c, u *lanes) float64 {
	share, adds := before.share, 1.0
	if !e.hot[before.from] {
		share, u, adds = 1, &certain, 0
	}
	p, out, inv := &e.prefix[i], &e.suffix[i], &e.inverse[i]
	y, z, above := 1-zh*share, zc*share, 1-share
	d0, d1, d2, d3 := y*h[0]-z*c[0], y*h[1]-z*c[1], y*h[2]-z*c[2], y*h[3]-z*c[3]
	o0, o1, o2, o3 := (h[0]-u[0]*d0)*inv[0], (h[1]-u[1]*d1)*inv[1], (h[2]-u[2]*d2)*inv[2], (h[3]-u[3]*d3)*inv[3]
	out[0], out[1], out[2], out[3] = o0, o1, o2, o3
	return adds * (p[0]*(d0-above*o0) + p[1]*(d1-above*o1) + p[2]*(d2-above*o2) + p[3]*(d3-above*o3))
}
