package gbdt

import (
	"math"
	"slices"
	"strings"
)

// objective is what a model's objective means for scoring: how base_score becomes a margin and a margin a prediction.
// Names and formulas are those of src/objective/*.cu in XGBoost, with what changed between its releases.
type objective struct {
	name      string
	link      link
	transform transform
	clampBase bool // base_score 0 and 1 are taken for 1e-6 and 1 - 1e-6
	clampExp  bool // the sigmoid's exponential is held below overflow
}

// link is an objective's ProbToMargin.
type link uint8

const (
	linkIdentity link = iota
	linkLogit         // -ln(1/p - 1)
	linkLog
)

// transform is an objective's PredTransform.
type transform uint8

const (
	transformIdentity transform = iota
	transformSigmoid
	transformExp
	transformHinge // 1 where the margin is positive, otherwise 0
	transformSoftprob
	transformSoftmax // the index of the largest margin
	transformSort    // rising: quantiles must not cross
)

// newObjective looks an objective up by name. version is that of the XGBoost that wrote the model.
func newObjective(name string, version [3]int, outputs int) (objective, error) {
	since := func(major, minor int) bool {
		return version[0] > major || version[0] == major && version[1] >= minor
	}
	o := objective{name: name}
	if version[0] == 0 { // objectives of the CPU's and the GPU's own, with the same formulas
		name = strings.TrimPrefix(name, "gpu:")
	}
	switch name {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
		"rank:pairwise", "rank:ndcg", "rank:map":
	case "binary:logitraw":
		if !since(1, 3) {
			o.link = linkLogit
		}
	case "binary:logistic", "reg:logistic":
		o.link, o.transform = linkLogit, transformSigmoid
		o.clampBase, o.clampExp = since(3, 2), since(1, 6)
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		o.link, o.transform = linkLog, transformExp
	case "binary:hinge":
		o.transform = transformHinge
	case "multi:softprob":
		o.transform = transformSoftprob
	case "multi:softmax":
		o.transform = transformSoftmax
	case "reg:quantileerror":
		if since(3, 4) {
			o.transform = transformSort
		}
	case "reg:expectileerror":
		if outputs > 1 {
			return o, refuse(ErrUnsupported, "reg:expectileerror with several alphas")
		}
	default:
		return o, refuse(ErrUnsupported, "objective %.60q", name)
	}
	if version[0] == 0 { // the file holds the margin: LearnerImpl::LazyInitModel in src/learner.cc of 0.90
		o.link = linkIdentity
	}
	return o, nil
}

// predictions returns how many values predict writes for a row.
func (o objective) predictions(outputs int) int {
	if o.transform == transformSoftmax {
		return 1
	}
	return outputs
}

// margin takes a base_score to the margin's space. A base_score that the objective has no margin for gives one that is
// not finite.
func (o objective) margin(score float32) float32 {
	switch o.link {
	case linkLogit:
		if score < 0 || score > 1 {
			return float32(math.NaN())
		}
		if o.clampBase {
			const eps = float32(1e-6) // kRtEps
			score = min(max(score, eps), 1-eps)
		}
		odds := 1/score - 1
		return -logf(odds)
	case linkLog:
		return logf(score)
	default:
		return score
	}
}

// predict writes the predictions for one row's margins into dst, which has room for them and may be margin itself.
func (o objective) predict(dst, margin []float32) {
	switch o.transform {
	case transformSigmoid:
		for i, x := range margin {
			dst[i] = o.sigmoid(x)
		}
	case transformExp:
		for i, x := range margin {
			dst[i] = expf(x)
		}
	case transformHinge:
		for i, x := range margin {
			dst[i] = 0
			if x > 0 {
				dst[i] = 1
			}
		}
	case transformSoftprob:
		softmax(dst, margin)
	case transformSoftmax:
		best := 0
		for i, x := range margin {
			if x > margin[best] {
				best = i
			}
		}
		dst[0] = float32(best)
	default:
		copy(dst, margin)
		if o.transform == transformSort {
			slices.Sort(dst)
		}
	}
}

// sigmoid is common::Sigmoid(float) in src/common/math.h.
func (o objective) sigmoid(x float32) float32 {
	x = -x
	if o.clampExp {
		x = min(x, 88.7)
	}
	return 1 / (expf(x) + 1)
}

// softmax is common::Softmax in src/common/math.h: float32 terms, their sum in float64.
func softmax(dst, margin []float32) {
	if len(margin) == 0 {
		return
	}
	top, sum := slices.Max(margin), 0.0
	for i, x := range margin {
		dst[i] = expf(x - top)
		sum += float64(dst[i])
	}
	for i := range dst {
		dst[i] /= float32(sum)
	}
}
