package gbdt

import "math"

// maxPerfectDepth bounds the fast layout: it takes 2^depth entries a tree.
const maxPerfectDepth = 8

// perfectForest is the fast layout. Trees are taken in groups of four, each padded to the depth of the group's deepest, so
// that a walk is depth steps without a branch; the four are walked side by side, whose loads overlap. Entry k of a group
// holds entry k of its four trees, so that one slice serves the four; the right and left child of entry k are 2k and 2k+1,
// the root is entry 1, and entry 0 is not used.
type perfectForest struct {
	trees  int
	groups []perfectGroup    // of trees 4i to 4i+3; the last may lack some
	splits [][4]perfectSplit // by group, 2^depth entries
	leaves [][4]float32      // the same
}

type perfectGroup struct {
	first int    // of the group's entries
	depth uint32 // splits on the way to each leaf
}

type perfectSplit struct {
	threshold float32
	slot      uint32 // in a prepared row
}

// newPerfectForest returns nil for a model that does not fit the layout.
func newPerfectForest(m *Model) *perfectForest {
	f := &m.forest
	if m.NumTrees == 0 || m.MaxDepth > maxPerfectDepth || f.vectorSize != 0 || len(f.sets) != 0 {
		return nil
	}
	p := &perfectForest{trees: m.NumTrees, groups: make([]perfectGroup, (m.NumTrees+3)/4)}
	size := 0
	for i := range p.groups {
		depth := uint32(0)
		for _, d := range f.depths[4*i : min(4*i+4, m.NumTrees)] {
			depth = max(depth, uint32(d))
		}
		p.groups[i] = perfectGroup{first: size, depth: depth}
		size += 1 << depth
	}
	// Padding sparse trees would cost more cache than the layout saves, and more memory than the file justifies.
	if size > 1<<14 && size > m.NumNodes {
		return nil
	}
	p.splits, p.leaves = make([][4]perfectSplit, size), make([][4]float32, size)
	for t, root := range f.roots {
		p.fill(f.nodes, root, t, 1)
	}
	return p
}

// fill copies the subtree of a node to entry k of a tree. A leaf above the last level becomes a split with the leaf on both
// sides.
func (p *perfectForest) fill(nodes []node, at uint32, tree, k int) {
	n, g := nodes[at], p.groups[tree/4]
	if width := 1 << g.depth; k >= width {
		p.leaves[g.first+k-width][tree%4] = n.value
		return
	}
	left, right := n.left, n.left+1
	split := perfectSplit{n.value, n.slot}
	if n.left == 0 {
		left, right = at, at
		split = perfectSplit{float32(math.Inf(1)), 0}
	}
	p.splits[g.first+k][tree%4] = split
	p.fill(nodes, left, tree, 2*k+1)
	p.fill(nodes, right, tree, 2*k)
}

// sum returns start plus what each tree gives for a prepared row, added in order: float32 addition is not associative.
func (p *perfectForest) sum(start float32, row []float32) float32 {
	for i := range p.groups {
		v0, v1, v2, v3 := p.walk(i, row)
		start += v0
		if 4*i+4 <= p.trees {
			start += v1
			start += v2
			start += v3
			continue
		}
		for _, v := range []float32{v1, v2, v3}[:p.trees-4*i-1] {
			start += v
		}
	}
	return start
}

// add is sum for several outputs: each tree adds to the output that outputOf names.
func (p *perfectForest) add(dst, row []float32, outputOf []int32) {
	for i := range p.groups {
		v0, v1, v2, v3 := p.walk(i, row)
		for j, output := range outputOf[4*i : min(4*i+4, p.trees)] {
			dst[output] += [4]float32{v0, v1, v2, v3}[j]
		}
	}
}

// walk returns what the four trees of a group give for a prepared row.
func (p *perfectForest) walk(group int, row []float32) (v0, v1, v2, v3 float32) {
	g := p.groups[group]
	width := uint(1) << g.depth
	splits := p.splits[g.first:][:width]
	k0, k1, k2, k3 := uint(1), uint(1), uint(1), uint(1)
	for range g.depth {
		a, b, c, d := &splits[k0][0], &splits[k1][1], &splits[k2][2], &splits[k3][3]
		k0 = 2*k0 + below(row[a.slot], a.threshold)
		k1 = 2*k1 + below(row[b.slot], b.threshold)
		k2 = 2*k2 + below(row[c.slot], c.threshold)
		k3 = 2*k3 + below(row[d.slot], d.threshold)
	}
	leaves := p.leaves[g.first:][:width]
	return leaves[k0-width][0], leaves[k1-width][1], leaves[k2-width][2], leaves[k3-width][3]
}

// below is 1 if v < threshold, otherwise 0; the compiler makes it a comparison without a branch.
func below(v, threshold float32) uint {
	var b uint
	if v < threshold {
		b = 1
	}
	return b
}
