package gbdt

import "slices"

// newFolds makes one model of those of a k-fold training. SageMaker's endpoint averages their predictions, or lets them
// vote where a prediction is a class (sagemaker_xgboost_container/algorithm_mode/serve_utils.py, predict).
func newFolds(folds []*Model, lim Limits) (*Model, error) {
	first := folds[0]
	m := &Model{
		Format: first.Format, Version: first.Version, Booster: first.Booster, Objective: first.Objective,
		NumFeature: first.NumFeature, FeatureNames: first.FeatureNames, Predictions: first.Predictions,
		Attributes: map[string]string{}, BaseScore: first.BaseScore, Folds: folds,
		Wrapper: first.Wrapper, Missing: first.Missing, objective: first.objective,
	}
	for i, f := range folds {
		if f.Format != first.Format || f.Version != first.Version || f.Booster != first.Booster || f.Objective != first.Objective ||
			f.NumFeature != first.NumFeature || f.Outputs != first.Outputs || !slices.Equal(f.FeatureNames, first.FeatureNames) {
			return nil, refuse(ErrInvalid, "fold %d is of another kind than fold 0 (%s, %s, %s, %d features, %d outputs)",
				i, f.Format, f.Objective, f.Booster, f.NumFeature, f.Outputs)
		}
	}
	if n := len(folds) * first.Outputs; n > lim.Outputs {
		return nil, refuse(ErrLimit, "%d outputs of all folds, at most %d", n, lim.Outputs)
	}
	m.sumFolds()
	return m, nil
}

// sumFolds fills what is counted over all folds.
func (m *Model) sumFolds() {
	m.Outputs, m.NumTrees, m.NumNodes, m.MaxDepth, m.Iterations, m.BaseMargin = 0, 0, 0, 0, 0, nil
	for _, f := range m.Folds {
		m.Outputs += f.Outputs
		m.NumTrees += f.NumTrees
		m.NumNodes += f.NumNodes
		m.MaxDepth = max(m.MaxDepth, f.MaxDepth)
		m.Iterations += f.Iterations
		m.BaseMargin = append(m.BaseMargin, f.BaseMargin...)
	}
}

// cutFolds cuts each fold.
func (m *Model) cutFolds(which Iterations) (*Model, error) {
	cut := *m
	cut.Folds = make([]*Model, len(m.Folds))
	for i, f := range m.Folds {
		var err error
		if cut.Folds[i], err = f.Cut(which); err != nil {
			return nil, err
		}
	}
	cut.sumFolds()
	return &cut, nil
}

// foldScorer scores with each model of a k-fold training.
type foldScorer struct {
	scorers     []*Scorer
	predictions []float32 // scratch, by fold
}

func newFoldScorer(m *Model, newScorer func(*Model) *Scorer) *foldScorer {
	s := &foldScorer{}
	for _, f := range m.Folds {
		s.scorers = append(s.scorers, newScorer(f))
	}
	s.predictions = make([]float32, len(m.Folds)*m.Predictions)
	return s
}

// margin writes the margins of each fold to dst, one fold after another.
func (s *foldScorer) margin(dst, row []float32) error {
	n := len(dst) / len(s.scorers)
	for i, f := range s.scorers {
		if _, err := f.Margin(dst[i*n:i*n:(i+1)*n], row); err != nil {
			return err
		}
	}
	return nil
}

// predict combines the folds' predictions: numpy's mean over the folds, which sums float32 in order, or scipy's mode, the
// smallest of the values that come most often.
func (s *foldScorer) predict(dst, margin []float32) {
	n, width := len(dst), len(margin)/len(s.scorers)
	for i, f := range s.scorers {
		f.model.objective.predict(s.predictions[i*n:(i+1)*n], margin[i*width:(i+1)*width])
	}
	for k := range dst {
		switch s.scorers[0].model.objective.transform {
		case transformSoftmax, transformHinge:
			dst[k] = s.mode(k, n)
		default:
			dst[k] = 0
			for i := range s.scorers {
				dst[k] += s.predictions[i*n+k]
			}
			dst[k] /= float32(len(s.scorers))
		}
	}
}

// mode returns the most frequent prediction k of all folds; of several the smallest.
func (s *foldScorer) mode(k, n int) float32 {
	best, most := float32(0), 0
	for i := range s.scorers {
		value, votes := s.predictions[i*n+k], 0
		for j := range s.scorers {
			if s.predictions[j*n+k] == value {
				votes++
			}
		}
		if votes > most || votes == most && value < best {
			best, most = value, votes
		}
	}
	return best
}
