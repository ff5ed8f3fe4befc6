package leaves

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"edgepdm/shared/gbdt"
)

// transform is the ConvertOutput of a LightGBM objective; formulas are those of src/objective/*.hpp.
type transform struct {
	kind  transformKind
	scale float64 // sigmoid: 1 / (1 + exp(-scale * margin))
}

type transformKind uint8

const (
	identity transformKind = iota
	sigmoid
	exponential
	softmax
	softplus // ln(1 + exp(margin))
	square   // with the margin's sign
)

// newTransform reads the header's objective: a name and its parameters, such as "binary sigmoid:1". It is empty where the
// objective was a function of the user's, whose margins are its predictions.
func newTransform(objective string, outputs int) (transform, error) {
	words := strings.Split(objective, " ")
	name, params := words[0], words[1:]
	t := transform{scale: 1}
	anyOutputs := false
	known := map[string]string{} // the parameters that the objective writes, and their values
	switch name {
	case "":
		anyOutputs = true
	case "regression", "regression_l1", "huber", "fair", "quantile", "mape":
		if slices.Equal(params, []string{"sqrt"}) {
			t.kind, params = square, nil
		}
	case "lambdarank", "rank_xendcg":
	case "poisson", "gamma", "tweedie":
		t.kind = exponential
	case "binary":
		t.kind, known["sigmoid"] = sigmoid, ""
	case "multiclass":
		t.kind, known["num_class"], anyOutputs = softmax, "", true
	case "multiclassova":
		t.kind, known["num_class"], known["sigmoid"], anyOutputs = sigmoid, "", "", true
	case "cross_entropy", "xentropy":
		t.kind = sigmoid
	case "cross_entropy_lambda", "xentlambda":
		t.kind = softplus
	default:
		return t, fmt.Errorf("%w: LightGBM objective %.60q", gbdt.ErrUnsupported, objective)
	}
	if len(params) != len(known) {
		return t, invalid("objective %.60q does not have the parameters that LightGBM writes", objective)
	}
	for _, param := range params {
		key, value, _ := strings.Cut(param, ":")
		if old, ok := known[key]; !ok || old != "" || value == "" {
			return t, invalid("objective %.60q has a parameter that LightGBM does not write", objective)
		}
		known[key] = value
	}
	if text := known["num_class"]; text != "" && text != strconv.Itoa(outputs) || !anyOutputs && outputs != 1 {
		return t, invalid("objective %.60q with %d outputs", objective, outputs)
	}
	if text := known["sigmoid"]; text != "" {
		var err error
		if t.scale, err = strconv.ParseFloat(text, 64); err != nil || !finite(t.scale) || t.scale <= 0 {
			return t, invalid("objective %.60q has no positive sigmoid", objective)
		}
	}
	return t, nil
}

// predict writes the predictions for one row's margins into dst, which has their length and may be margin itself.
func (t transform) predict(dst, margin []float32) {
	if t.kind == softmax {
		predictSoftmax(dst, margin)
		return
	}
	for i, m := range margin {
		x := float64(m)
		switch t.kind {
		case sigmoid:
			x = 1 / (1 + math.Exp(-t.scale*x))
		case exponential:
			x = math.Exp(x)
		case softplus:
			x = math.Log1p(math.Exp(x))
		case square:
			x = math.Copysign(x*x, x)
		case identity, softmax:
		}
		dst[i] = float32(x)
	}
}

func predictSoftmax(dst, margin []float32) {
	top, sum := float64(slices.Max(margin)), 0.0
	for _, x := range margin {
		sum += math.Exp(float64(x) - top)
	}
	for i, x := range margin {
		dst[i] = float32(math.Exp(float64(x)-top) / sum)
	}
}
