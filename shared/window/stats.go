package window

import "math"

// features writes the statistics of the windows that end with the last row. starts is room for the first row of each window.
func (r *ring) features(p *plan, features []float32, starts []int) {
	for i, w := range p.windows {
		starts[i] = r.start(w)
	}
	for i := range p.groups {
		g := &p.groups[i]
		r.group(g, p.windows[g.window].time > 0, starts[g.window], features)
	}
}

// group computes one group of inputs. All is in float64, around the means, from the oldest row to the newest; a product is
// rounded before it is added (the conversions say so), so that processors which multiply and add in one step give the same.
func (r *ring) group(g *group, overTime bool, start int, features []float32) {
	room := len(r.places)
	column := r.values[g.column*room:][:room]
	count, sum, sumX := 0.0, 0.0, 0.0
	least, most := math.Inf(1), math.Inf(-1)
	slot := r.slot(start)
	for range r.n - start {
		if v := float64(column[slot]); isValue(v) {
			count++
			sum += v
			least, most = min(least, v), max(most, v)
			if g.spread {
				sumX += r.x(slot, overTime)
			}
		}
		if slot++; slot == room {
			slot = 0
		}
	}
	mean, meanX := sum/count, sumX/count
	var squares, squaresX, products float64
	if g.spread && count >= 2 {
		slot = r.slot(start)
		for range r.n - start {
			if v := float64(column[slot]); isValue(v) {
				dv, dx := v-mean, r.x(slot, overTime)-meanX
				squares += float64(dv * dv)
				squaresX += float64(dx * dx)
				products += float64(dx * dv)
			}
			if slot++; slot == room {
				slot = 0
			}
		}
	}
	for _, o := range g.outputs {
		v := math.NaN()
		switch {
		case o.stat == Count:
			v = count
		case count == 0:
		case o.stat == Mean:
			v = mean
		case o.stat == Min:
			v = least
		case o.stat == Max:
			v = most
		case o.stat == Std && count >= 2:
			v = math.Sqrt(squares / (count - 1))
		case o.stat == Slope && squaresX > 0:
			v = products / squaresX
		}
		if !(math.Abs(v) <= math.MaxFloat32) {
			v = math.NaN() // too large for a value is none
		}
		features[o.at] = float32(v)
	}
}

// x returns a row's distance from the last row: in rows, or in seconds.
func (r *ring) x(slot int, overTime bool) float64 {
	if overTime {
		return float64(r.times[slot]-r.ts) / 1e6
	}
	return float64(r.places[slot] - r.place)
}

// isValue says whether a value counts: NaN and the infinite do not.
func isValue(v float64) bool { return v-v == 0 }
