package candidate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"edgepdm/shared/event"
)

var start = time.Date(2026, 11, 28, 9, 30, 0, 0, time.UTC)

func testPair() Pair {
	return Pair{
		Active: event.ModelRef{Version: "1.0.0", SHA256: "aa"}, Candidate: event.ModelRef{Version: "1.1.0", SHA256: "bb"}, Threshold: [2]float64{0.5, 0.5}, Held: start,
	}
}

func testLimits() Limits {
	return Limits{Rows: 2000, Time: 24 * time.Hour, Agreement: 0.95, PSI: 0.2, FaultRatio: 2, Latency: 1.2, CostMissed: 500, CostFalse: 10}
}

// rowOf makes the i-th row: of five things, one row a minute each, with such probabilities.
func rowOf(i int, active, candidate float32) Row {
	at := start.Add(time.Duration(i) * time.Minute)
	return Row{
		Thing: fmt.Sprintf("press-%d", i%5), Epoch: "e1", Seq: uint64(i/5 + 1), TS: at, At: at, Probability: [2]float32{active, candidate},
		Faulty: [2]bool{active >= 0.5, candidate >= 0.5}, Took: [2]time.Duration{10 * time.Microsecond, 10 * time.Microsecond},
	}
}

// someRows makes rows of which one in a hundred differs.
func someRows(seed uint64, n int) []Row {
	draw := rand.New(rand.NewPCG(seed, 1))
	rows := make([]Row, n)
	for i := range rows {
		p := draw.Float32() * 0.4
		if draw.IntN(20) == 0 {
			p = 0.9
		}
		q := min(p+draw.Float32()*0.02, 1)
		if draw.IntN(100) == 0 {
			q = 1 - p
		}
		rows[i] = rowOf(i, p, q)
		for j := range rows[i].Took {
			rows[i].Took[j] = time.Duration(8000+draw.IntN(8000)) * time.Nanosecond
		}
	}
	return rows
}
