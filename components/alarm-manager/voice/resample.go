package voice

import "math"

// zeroCrossings is the half length of the resampling filter, in periods of its cut-off.
const zeroCrossings = 12

// Resampled returns the clip with another number of samples a second: band-limited interpolation with a sinc function under a
// Hann window (J. O. Smith, Digital Audio Resampling). The filter is computed once for each phase that occurs.
func (c Clip) Resampled(rate int) Clip {
	if rate == c.Rate || len(c.Samples) == 0 {
		return Clip{rate, c.Samples}
	}
	divisor := gcd(c.Rate, rate)
	up, down := rate/divisor, c.Rate/divisor // out sample i is at in position i*down/up
	cutoff := min(1, float64(rate)/float64(c.Rate)) * 0.95
	half := int(math.Ceil(zeroCrossings / cutoff))
	phases := make([][]float64, up)
	out := make([]int16, len(c.Samples)*up/down)
	for i := range out {
		center, phase := i*down/up, i*down%up
		if phases[phase] == nil {
			phases[phase] = taps(float64(phase)/float64(up), cutoff, half)
		}
		sum := 0.0
		for j, tap := range phases[phase] {
			if at := center - half + 1 + j; at >= 0 && at < len(c.Samples) {
				sum += tap * float64(c.Samples[at])
			}
		}
		out[i] = sample(sum)
	}
	return Clip{rate, out}
}

// taps are the filter's values at the 2*half samples around a position that is fraction behind a sample.
func taps(fraction, cutoff float64, half int) []float64 {
	values := make([]float64, 2*half)
	total := 0.0
	for j := range values {
		distance := float64(j-half+1) - fraction
		window := 0.5 + 0.5*math.Cos(math.Pi*distance/float64(half))
		x := math.Pi * cutoff * distance
		sinc := 1.0
		if x != 0 {
			sinc = math.Sin(x) / x
		}
		values[j] = sinc * window
		total += values[j]
	}
	for j := range values {
		values[j] /= total
	}
	return values
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
