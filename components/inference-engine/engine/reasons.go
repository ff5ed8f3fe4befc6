package engine

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
)

// reasons say what in a row points to a fault, by SHAP values of the margin. What is constant is prepared when a model is loaded.
// Like the model's scorer it belongs to one goroutine at a time.
type reasons struct {
	explainer *gbdt.Explainer
	missing   func(float32) bool // says whether the model takes a value for a missing one
	of        []int32            // by feature: its contributor
	all       []contributor

	contributions []float32 // scratch, by output and feature
	sums          []float64 // scratch, by contributor
}

// contributor is what can point to a fault: a feature, a group of them, or a sensor with its features over time.
type contributor struct {
	constant event.Contributor // its names, unit and usual range
	features []int
	own      int // the feature that has the sensor's value; -1: none does
	group    envelope.Group
}

// newReasons prepares the reasons of a model, of which the manifest may know nothing but the features' names, or not even
// these. The error says why there can be none.
func newReasons(model *scoring.Model, manifest envelope.Manifest) (*reasons, error) {
	explainer, err := model.NewExplainer()
	if err != nil {
		return nil, err
	}
	r := &reasons{explainer: explainer, missing: model.IsMissing, of: make([]int32, model.NumFeature)}
	groups, sensors := make(map[string]int), make(map[string]int) // by feature, by sensor
	for _, g := range manifest.Groups {
		for _, f := range g.Features {
			groups[f] = len(r.all)
		}
		r.add(manifest, g)
	}
	for i := range r.of {
		name := "f" + strconv.Itoa(i) // as XGBoost calls it
		if len(manifest.Features) > 0 {
			name = manifest.Features[i]
		}
		at, grouped := groups[name]
		if !grouped {
			sensor, last := name, true
			if manifest.Inputs != nil {
				input := manifest.Inputs.Inputs[i]
				sensor, last = input.Sensor, input.Stat == window.Last
			}
			var there bool
			if at, there = sensors[sensor]; !there {
				at = r.add(manifest, envelope.Group{Name: sensor})
				sensors[sensor] = at
			}
			if c := &r.all[at]; last {
				c.own = i
				if manifest.Baseline != nil {
					usual := manifest.Baseline.Features[i]
					c.constant.Low, c.constant.High = usual.P5, usual.P95
				}
			}
		}
		r.of[i] = int32(at)
		r.all[at].features = append(r.all[at].features, i)
	}
	r.sums = make([]float64, len(r.all))
	return r, nil
}

// add adds a contributor and returns where it is.
func (r *reasons) add(manifest envelope.Manifest, group envelope.Group) int {
	d := manifest.Display[group.Name]
	r.all = append(r.all, contributor{own: -1, group: group, constant: event.Contributor{
		Sensor: event.FitSensor(group.Name), Name: d.Name, Names: d.Names, Unit: d.Unit, Low: group.P5, High: group.P95,
	}})
	return len(r.all) - 1
}

// contributors returns what in a row points to a fault, most first. row is what was scored.
func (r *reasons) contributors(row []float32) ([]event.Contributor, error) {
	var err error
	if r.contributions, err = r.explainer.Explain(r.contributions, row); err != nil {
		return nil, fmt.Errorf("explain the row: %w", err)
	}
	clear(r.sums)
	for rest := r.contributions; len(rest) > 0; rest = rest[len(row)+1:] { // several of a k-fold model: shares of their mean are those of their sum
		for i, at := range r.of {
			r.sums[at] += float64(rest[i])
		}
	}
	total := 0.0
	most := make([]int, 0, event.MaxContributors)
	for i, sum := range r.sums {
		if !(sum > 0) {
			continue
		}
		total += sum
		at := len(most)
		for at > 0 && sum > r.sums[most[at-1]] {
			at--
		}
		if at < event.MaxContributors {
			most = slices.Insert(most[:min(len(most), event.MaxContributors-1)], at, i)
		}
	}
	var list []event.Contributor
	for _, i := range most {
		share := math.Round(r.sums[i]/total*1e4) / 1e4
		if !(share > 0) { // nobody would look at it
			break
		}
		list = append(list, r.describe(&r.all[i], share, row))
	}
	return list, nil
}

// describe says how a contributor stands in a row.
func (r *reasons) describe(c *contributor, share float64, row []float32) event.Contributor {
	d := c.constant
	d.Share = share
	x, has := r.valueOf(c, row)
	if !has {
		d.Direction = event.DirectionMissing
		return d
	}
	if x != x || math.IsInf(float64(x), 0) { // a group has none, or one that no message can have
		return d
	}
	d.Value = &x
	switch {
	case d.High != nil && x > *d.High:
		d.Direction = event.DirectionAbove
	case d.Low != nil && x < *d.Low:
		d.Direction = event.DirectionBelow
	case d.Low != nil && d.High != nil:
		d.Direction = event.DirectionWithin
	}
	return d
}

// valueOf returns the value of a contributor, NaN without, and whether any of its features has one.
func (r *reasons) valueOf(c *contributor, row []float32) (value float32, has bool) {
	if c.own >= 0 {
		return row[c.own], !r.missing(row[c.own])
	}
	var values []float32
	for _, i := range c.features {
		if x := row[i]; !r.missing(x) {
			values = append(values, x)
		}
	}
	return c.group.Combine(values), len(values) > 0
}
