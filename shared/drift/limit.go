package drift

import "math"

const (
	// chance is how likely a window of rows of a sensor is beyond its limit though nothing has changed. In 1,000 weeks of a line with ten
	// things and one row a minute there are 4 million blocks, and at each about 170 columns are judged in two windows, of which the next ones
	// have most of the rows, too. Chernoff's bound is ten times what it bounds.
	chance = 1e-9
	// dayChance is the same of a window of a day, of which there are 56 a week.
	dayChance = 1e-8
	// unlikePSI is the PSI from which a column is unlike the training.
	unlikePSI = 0.1
	// leastPSI and leastDay are the least limits, of windows of rows and of a day, however surely a difference is not chance: less is not
	// worth telling.
	leastPSI, leastDay = 0.1, 0.25
	// leastFew is the least limit of a column with few groups, whose values are all about an edge: little moves many of them.
	leastFew, fewGroups = 0.25, 3
	// independent is how much more than by chance windows of rows differ that hardly depend on each other.
	independent = 1.3
	// beyondLearned is how much more than the most that was learned a figure must be, and beyondDays of a window of a day, of which few were.
	beyondLearned, beyondDays = 1.5, 2
)

// smoothing is a share that is added to that of each group. Without it a group that happens to be empty, or that was, counts more than
// all others, and limits would have to be twice as high.
const smoothing = 0.02

// smoothed returns the share of one of k groups that is compared.
func smoothed(share float64, k int) float64 { return (share + smoothing) / (1 + smoothing*float64(k)) }

// chanceLimit returns a PSI that n independent rows, of groups that have the shares p, pass by chance with at most the probability of
// exp(-l). It is Chernoff's bound, the least (ln E exp(t PSI) + l) / t of all t, with the exact expectation over multinomial counts:
// those are Poisson counts with their sum given, and E exp(t PSI) is a coefficient of a product of polynomials. The chi-square
// distribution, which the PSI has for many rows, has too light a tail.
func chanceLimit(p []float64, n int, l float64) float64 {
	k := len(p)
	if k < 2 {
		return math.Inf(1)
	}
	base, gain := make([][]float64, k), make([][]float64, k)
	for j, share := range p {
		usual, rate := smoothed(share, k), share*float64(n)
		base[j], gain[j] = make([]float64, n+1), make([]float64, n+1)
		for i := range n + 1 {
			base[j][i] = logPoisson(i, rate)
			now := smoothed(float64(i)/float64(n), k)
			gain[j][i] = (now - usual) * math.Log(now/usual)
		}
	}
	given := logPoisson(n, float64(n))
	bound := func(t float64) float64 { return (logCoefficient(base, gain, n, t) - given + l) / t }
	low, high := 0.02*float64(n), 2*float64(n)
	const golden = 0.618033988749895
	for range 16 { // the bound has one minimum
		if a, b := high-golden*(high-low), low+golden*(high-low); bound(a) < bound(b) || math.IsInf(bound(b), 1) {
			high = b
		} else {
			low = a
		}
	}
	return bound((low + high) / 2)
}

func logPoisson(i int, rate float64) float64 {
	lgamma, _ := math.Lgamma(float64(i) + 1)
	return float64(i)*math.Log(rate) - lgamma - rate
}

// logCoefficient returns the logarithm of the n-th coefficient of the product of the polynomials with the coefficients
// exp(base + t gain).
func logCoefficient(base, gain [][]float64, n int, t float64) float64 {
	product, next, factor, scale := make([]float64, n+1), make([]float64, n+1), make([]float64, n+1), 0.
	product[0] = 1
	for j := range base {
		most := math.Inf(-1)
		for i, b := range base[j] {
			most = max(most, b+t*gain[j][i])
		}
		scale += most
		last := 0
		for i, b := range base[j] {
			if factor[i] = math.Exp(b + t*gain[j][i] - most); factor[i] > 1e-30 {
				last = i
			}
		}
		clear(next)
		for a, x := range product {
			if x < 1e-250 {
				continue
			}
			for i, y := range factor[:min(last, n-a)+1] {
				next[a+i] += x * y
			}
		}
		product, next = next, product
	}
	if product[n] < 1e-290 { // its digits are lost: the expectation is too large to tell a limit
		return math.Inf(1)
	}
	return scale + math.Log(product[n])
}

// learnedLimit is what a figure with the mean and variance passes with the normal tail beyond z, if it is distributed like a sum of
// squares: a chi-square distribution of the same mean and variance (Satterthwaite), by Wilson and Hilferty's approximation, which is
// too high rather than too low with few degrees of freedom.
func learnedLimit(mean, variance, z float64) float64 {
	if mean <= 0 {
		return 0
	}
	df := max(0.5, 2*mean*mean/max(variance, 1e-12))
	return mean * math.Pow(1-2/(9*df)+z*math.Sqrt(2/(9*df)), 3)
}

// normalTail returns z of the normal distribution's upper tail, for small probabilities (Abramowitz and Stegun 26.2.23).
func normalTail(probability float64) float64 {
	t := math.Sqrt(-2 * math.Log(probability))
	return t - (2.515517+0.802853*t+0.010328*t*t)/(1+1.432788*t+0.189269*t*t+0.001308*t*t*t)
}

// shareLimit returns the share of n rows that is passed with at most the probability exp(-l) if the share is p (Chernoff).
func shareLimit(p float64, n int, l float64) float64 {
	low, high := p, 1.
	for range 40 {
		x := (low + high) / 2
		d := x * math.Log(x/p)
		if x < 1 {
			d += (1 - x) * math.Log((1-x)/(1-p))
		}
		if float64(n)*d < l {
			low = x
		} else {
			high = x
		}
	}
	return high
}

// moments are the mean and the variance of figures, and the highest.
type moments struct {
	N, Mean, Sum2, Max float32
}

func (m *moments) add(x float64) {
	m.N++
	d := float32(x) - m.Mean
	m.Mean += d / m.N
	m.Sum2 += d * (float32(x) - m.Mean)
	m.Max = max(m.Max, float32(x))
}

func (m *moments) variance() float64 {
	if m.N < 2 {
		return 0
	}
	return float64(m.Sum2 / (m.N - 1))
}

// rare is what a column needs that nearly always has one value, since it says nothing of how long another one lasts when it comes:
// the share of the rows of a window that have another value.
var rare = [windows]float64{0.5, 0.5, 0.1}

// rareLimit returns the PSI of groups of which one has nearly all values, when a share of them goes to others.
func rareLimit(p []float64, share float64) float64 {
	most := 0
	for g := range p {
		if p[g] > p[most] {
			most = g
		}
	}
	if 1-p[most] >= leastGroup {
		return 0
	}
	k, psi := len(p), 0.
	for g := range p {
		now := p[g] * (1 - share)
		if g != most {
			now += share / float64(k-1)
		}
		q, usual := smoothed(now, k), smoothed(p[g], k)
		psi += (q - usual) * math.Log(q/usual)
	}
	return psi
}
