package gbdt

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// Sizes of the structures in a legacy binary file.
const (
	legacyLearnerParam = 136 // LearnerModelParam
	legacyBoosterParam = 160 // GBTreeModelParam
	legacyLinearParam  = 136 // GBLinearModelParam
	legacyTreeParam    = 148 // TreeParam
	legacyNode         = 20  // RegTree::Node
	legacyNodeStat     = 16  // RTreeNodeStat
)

const maxLegacyText = 1 << 20 // bytes of a string

var (
	legacyMagic  = []byte("binf")
	configOffset = []byte("CONFIG-offset:")
)

// readLegacy reads XGBoost's first format, which releases until 3.0 write: C structures one after another, little-endian.
// See Learner::Load and GBTree::Load in the releases named: the format has no description but its code.
func readLegacy(data []byte, lim Limits) (*document, error) {
	format := FormatLegacy
	if rest, ok := bytes.CutPrefix(data, legacyMagic); ok { // since 1.1
		format, data = FormatLegacyBinf, rest
	}
	r := &legacyReader{data: data}
	d := &document{format: format, numTrees: -1, forest: forest{limits: lim}}
	h := r.structure(legacyLearnerParam)
	d.baseScore = strconv.FormatFloat(float64(h.float(0)), 'g', -1, 32)
	d.version = [3]int{h.int(5), h.int(6), 0}                                                  // zero before 1.0
	d.numFeature, d.numClass, d.numTargets = r.countIn(h, 1), r.countIn(h, 2), r.countIn(h, 7) // targets since 1.7
	d.objective, d.booster = r.text(), r.text()
	err := r.err
	if major, minor := d.version[0], d.version[1]; err == nil && (major < 0 || major > 3 || minor < 0 || minor > 99 || major == 0 && minor != 0) {
		err = refuse(ErrInvalid, "%d.%d is not an XGBoost version of this format", major, minor)
	}
	if err == nil {
		switch d.booster {
		case "gbtree", "dart":
			err = d.readLegacyTrees(r)
		case "gblinear":
			err = d.readLegacyWeights(r)
		default:
			err = refuse(ErrUnsupported, "booster %.60q", d.booster)
		}
	}
	if err == nil {
		err = d.readLegacyTail(r, h.int(3) != 0, h.int(4) != 0)
	}
	if err != nil {
		return nil, within("legacy binary", err)
	}
	return d, nil
}

func (d *document) readLegacyTrees(r *legacyReader) error {
	h := r.structure(legacyBoosterParam)
	d.numTrees, d.parallel = r.countIn(h, 0), r.countIn(h, 1)
	if r.err != nil {
		return r.err
	}
	// The second field is the number of roots until 1.5, num_parallel_tree since.
	if d.version[0] == 0 || d.version[0] == 1 && d.version[1] < 6 {
		if d.parallel > 1 {
			return refuse(ErrUnsupported, "its trees have %d roots", d.parallel)
		}
		d.parallel = 0
	}
	if pbuffer := binary.LittleEndian.Uint64(h[16:]); pbuffer != 0 {
		return refuse(ErrUnsupported, "it holds a buffer of %d predictions, as releases before 0.6 write", pbuffer)
	}
	switch smallest := legacyTreeParam + legacyNode + legacyNodeStat + 4; {
	case d.numTrees > d.forest.limits.Trees:
		return refuse(ErrLimit, "%d trees, at most %d", d.numTrees, d.forest.limits.Trees)
	case d.numTrees > r.left()/smallest:
		return refuse(ErrInvalid, "%d trees are more than the file holds", d.numTrees)
	}
	for i := range d.numTrees {
		if err := d.readLegacyTree(r); err != nil {
			return within("tree "+strconv.Itoa(i), err)
		}
	}
	d.treeInfo = make([]int32, d.numTrees)
	for i := range d.treeInfo {
		d.treeInfo[i] = int32(r.uint32())
	}
	if d.booster == "dart" && d.numTrees > 0 {
		d.weightDrop = r.floats()
	}
	return r.err
}

// readLegacyTree reads a tree and adds it to the forest.
func (d *document) readLegacyTree(r *legacyReader) error {
	h := r.structure(legacyTreeParam)
	roots, vector := r.countIn(h, 0), r.countIn(h, 5)
	t := fileTree{numNodes: r.countIn(h, 1)}
	if r.err != nil {
		return r.err
	}
	switch n := t.numNodes; {
	case roots > 1:
		return refuse(ErrUnsupported, "it has %d roots", roots)
	case vector > 1, vector == 1 && d.version[0] < 2: // since 2.0 a leaf with one value counts as a vector of one
		return refuse(ErrUnsupported, "its leaves are vectors of %d", vector)
	case n > d.forest.limits.Nodes:
		return refuse(ErrLimit, "%d nodes, at most %d", n, d.forest.limits.Nodes)
	case n > r.left()/(legacyNode+legacyNodeStat):
		return refuse(ErrInvalid, "%d nodes are more than the file holds", n)
	}
	n := t.numNodes
	t.left, t.right, t.feature, t.defaultLeft = make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	t.condition, t.cover = make([]float32, n), make([]float32, n)
	for i := range n {
		node := r.structure(legacyNode) // parent, left, right, feature and default direction, threshold or leaf value
		split := uint32(node.int(3))
		t.left[i], t.right[i] = int32(node.int(1)), int32(node.int(2))
		t.feature[i], t.defaultLeft[i] = int32(split&^(1<<31)), int32(split>>31)
		t.condition[i] = node.float(4)
	}
	for i := range n {
		t.cover[i] = r.structure(legacyNodeStat).float(1) // after the loss change
	}
	return d.forest.add(&t)
}

func (d *document) readLegacyWeights(r *legacyReader) error {
	r.structure(legacyLinearParam) // says again what LearnerModelParam says, or since 1.0 nothing
	d.weights = r.floats()
	return r.err
}

// readLegacyTail reads what follows the booster: the Booster's attributes, a parameter of count:poisson (before 1.0), and
// the names of metrics.
func (d *document) readLegacyTail(r *legacyReader, attributes, metrics bool) error {
	if attributes {
		d.attributes = map[string]string{}
		for range r.count(16) {
			name, value := r.text(), r.text()
			if name == "objective" && d.version[0] > 0 { // its parameters, as JSON; no attribute of the Booster's
				continue
			}
			if len(d.attributes) >= maxAttributes {
				return refuse(ErrLimit, "more than %d attributes", maxAttributes)
			}
			d.attributes[name] = value
		}
	}
	if d.objective == "count:poisson" && d.version[0] == 0 && r.left() > 0 {
		r.text()
	}
	// Releases since 1.0 still say that metrics follow, and write none.
	if metrics && d.version[0] == 0 {
		for range r.count(8) {
			r.text()
		}
	}
	if r.err == nil && r.left() > 0 {
		return invalidf(r.pos, "%d bytes follow the model", r.left())
	}
	return r.err
}

// readConfigOffset reads what Booster serialization gives in 1.0 to 1.2: the length of a legacy binary model, the model,
// and the configuration as JSON.
func readConfigOffset(data []byte, lim Limits) (*document, error) {
	rest := data[len(configOffset):]
	if len(rest) < 8 {
		return nil, truncated(len(data))
	}
	size := binary.LittleEndian.Uint64(rest)
	rest = rest[8:]
	if size > uint64(len(rest)) {
		return nil, refuse(ErrInvalid, "CONFIG-offset: the configuration is at %d of %d bytes", size, len(rest))
	}
	d, err := readLegacy(rest[:size], lim)
	if err != nil {
		return nil, err
	}
	d.format = formatConfigOffset + d.format
	config := &jsonSource{data: rest[size:]}
	if err = d.readConfig(config); err == nil {
		err = config.end()
	}
	if err != nil {
		return nil, within("configuration", err)
	}
	return d, nil
}

// legacyStruct is a C structure; field n is that of the bytes 4n to 4n+3.
type legacyStruct []byte

func (s legacyStruct) int(field int) int {
	return int(int32(binary.LittleEndian.Uint32(s[4*field:])))
}

func (s legacyStruct) float(field int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(s[4*field:]))
}

// legacyReader reads front to back. After its first error everything read is zero or empty.
type legacyReader struct {
	data []byte
	pos  int
	err  error
}

func (r *legacyReader) left() int { return len(r.data) - r.pos }

// bytes reads so many bytes; after an error it returns none.
func (r *legacyReader) bytes(n int) []byte {
	if r.err == nil && n > r.left() {
		r.err = truncated(r.pos)
	}
	if r.err != nil {
		return nil
	}
	b := r.data[r.pos : r.pos+n]
	r.pos += n
	return b
}

// structure reads a structure; after an error one of zeros.
func (r *legacyReader) structure(size int) legacyStruct {
	if b := r.bytes(size); b != nil {
		return b
	}
	return make(legacyStruct, size)
}

func (r *legacyReader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// countIn returns a field that counts something.
func (r *legacyReader) countIn(s legacyStruct, field int) int {
	n := s.int(field)
	if n >= 0 {
		return n
	}
	if r.err == nil {
		r.err = invalidf(r.pos-len(s)+4*field, "%d is not a count", n)
	}
	return 0
}

// count reads how many values follow that take at least so many bytes each.
func (r *legacyReader) count(size int) int {
	b := r.bytes(8)
	if b == nil {
		return 0
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(r.left()/size) {
		r.err = invalidf(r.pos, "a length of %d is more than the file holds", n)
		return 0
	}
	return int(n)
}

func (r *legacyReader) text() string {
	n := r.count(1)
	if n > maxLegacyText {
		r.err = refuse(ErrLimit, "a text of %d bytes, at most %d", n, maxLegacyText)
	}
	return string(r.bytes(n))
}

func (r *legacyReader) floats() []float32 {
	b := r.bytes(4 * r.count(4))
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
