package candidate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The figures are those that counting the rows gives.
func TestFigures(t *testing.T) {
	rows := someRows(5, 5000)
	e := New(testPair())
	agree, faulty := 0.0, [2]float64{}
	var differences []float64
	var took []time.Duration
	for _, r := range rows {
		e.Add(r)
		if r.Faulty[0] == r.Faulty[1] {
			agree++
		}
		for i := range faulty {
			if r.Faulty[i] {
				faulty[i]++
			}
		}
		differences = append(differences, logOdds(r.Probability[1])-logOdds(r.Probability[0]))
		took = append(took, r.Took[1])
	}
	n := float64(len(rows))
	mean, square := 0.0, 0.0
	for _, d := range differences {
		mean += d / n
	}
	for _, d := range differences {
		square += (d - mean) * (d - mean) / n
	}
	got := e.Compare(testLimits(), start)
	near := func(what string, have, want, within float64) {
		t.Helper()
		if math.Abs(have-want) > within {
			t.Errorf("%s: %v, want %v", what, have, want)
		}
	}
	near("agreement", got.Agreement, agree/n, 1e-12)
	near("faulty rows of the active model", got.Faulty[0], faulty[0]/n, 1e-12)
	near("faulty rows of the candidate", got.Faulty[1], faulty[1]/n, 1e-12)
	near("margin", got.Margin, mean, 1e-9)
	near("spread", got.Spread, math.Sqrt(square), 1e-9)
	slices.Sort(took)
	for q, have := range map[float64]float64{0.5: got.P50[1], 0.99: got.P99[1]} {
		want := float64(took[int(q*n)]) / 1000
		near("latency", have, want, want*0.1)
	}
	if got.Rows != uint64(len(rows)) || !got.Since.Equal(rows[0].TS) || e.Windows[0].Rows != 60 || len(e.Windows) != maxWindows {
		t.Errorf("%+v, %d windows", got, len(e.Windows))
	}
	if err := e.check(); err != nil {
		t.Error(err)
	}
}

// The bounds hold the true quantile nearly always, and the bins are a tenth wide.
func TestLatencyBounds(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	outside := 0
	for range 400 {
		var l latencies
		for range 3000 {
			l.add(time.Duration(1000 * draw.ExpFloat64() * float64(time.Microsecond)))
		}
		low, high := l.bounds(0.99)
		want := time.Duration(1000 * math.Log(100) * float64(time.Microsecond))
		if low > want || high < want {
			outside++
		}
		if high < low {
			t.Fatalf("%v to %v", low, high)
		}
	}
	if outside > 40 { // 10 % at the most: the bins make them wider
		t.Errorf("%d of 400 outside", outside)
	}
	for i := 1; i < latencyBins; i++ {
		if w := latencyEdges[i] / latencyEdges[i-1]; w > 1.1001 {
			t.Errorf("bin %d: %v", i, w)
		}
	}
}

// Every row that differs is in the sample with the same probability, and the sample is bounded.
func TestSample(t *testing.T) {
	const rows, runs = 640, 200
	seen := make([]int, rows)
	for run := range runs {
		pair := testPair()
		pair.Held = start.Add(time.Duration(run))
		e := New(pair)
		for i := range rows {
			e.Add(rowOf(i, 0.1, 0.9))
		}
		if len(e.Sample) != maxSample || e.Differ != rows {
			t.Fatalf("%d of %d", len(e.Sample), e.Differ)
		}
		for _, s := range e.Sample {
			seen[(s.Seq-1)*5+uint64(s.Thing[6]-'0')]++
		}
	}
	first, last := 0, 0
	for i, n := range seen {
		if i < rows/2 {
			first += n
		} else {
			last += n
		}
	}
	if d := math.Abs(float64(first-last)) / float64(first+last); d > 0.05 {
		t.Errorf("%d of the first half, %d of the second", first, last)
	}
}

// Memory is bounded however long it goes on, with labels that all differ.
func TestEvidenceIsBounded(t *testing.T) {
	e := New(testPair())
	for i := range 20_000 {
		r := rowOf(i, 0.1, 0.9)
		r.Seq *= 2 // no runs
		e.Add(r)
	}
	if len(e.Runs) != maxRuns || len(e.Windows) != maxWindows || len(e.Sample) != maxSample {
		t.Errorf("%d runs, %d windows, %d rows", len(e.Runs), len(e.Windows), len(e.Sample))
	}
	if err := e.check(); err != nil {
		t.Error(err)
	}
}
