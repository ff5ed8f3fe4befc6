package plant

import (
	"fmt"
	"math"
)

const (
	histograms = 4
	bins       = 10
)

// histogram is the share of the last hour or so that a quantity spent in each bin, 0…1: older time fades out, so that a
// share neither grows without end nor forgets a machine that has just been stopped.
type histogram [bins]float64

// histogramAxis describes one histogram: what its name is and which range its bins divide. Values outside count in the
// outermost bins.
type histogramAxis struct {
	name      string
	low, high float64
	en, de    string // what the histogram is of
}

func axis(h int) histogramAxis {
	return [histograms]histogramAxis{
		{"pressure_hist", 5.6, 7.6, "receiver pressure", "Behälterdruck"}, // bar(g)
		{"oil_temp_hist", 50, 100, "oil temperature", "Öltemperatur"},     // °C
		{"power_hist", 0, 100, "motor power", "Motorleistung"},            // kW
		{"vib_hist", 0, 4, "worst vibration", "stärkste Schwingung"},      // worst bearing's overall level, mm/s
	}[h]
}

// add records that the quantity had value v for dt seconds.
func (h *histogram) add(a histogramAxis, v, dt float64) {
	keep := math.Exp(-dt / memory)
	for i := range h {
		h[i] *= keep
	}
	i := int(clamp(bins*(v-a.low)/(a.high-a.low), 0, bins-1))
	h[i] += 1 - keep
}

// record brings the histograms up to date.
func (p *process) record(dt float64, c conditions) {
	worst := 0.
	for _, level := range p.vibration(c) {
		worst = max(worst, rms(level))
	}
	for h, v := range [histograms]float64{p.receiver, p.oil, p.power(c), worst} {
		p.histograms[h].add(axis(h), v, dt)
	}
}

// histogramSensors are the bins of one histogram, in percent.
func histogramSensors(h int) []sensor {
	var s []sensor
	for i := range bins {
		s = append(s, sensor{
			name: fmt.Sprintf("%s_%02d", axis(h).name, i), group: axis(h).name,
			en: fmt.Sprintf("share of time, %s in bin %d", axis(h).en, i), de: fmt.Sprintf("Zeitanteil, %s in Klasse %d", axis(h).de, i),
			unit: "%", step: 0.1, gap: 0.001,
			value: func(o *observation) float64 { return 100 * o.histograms[h][i] },
		})
	}
	return s
}
