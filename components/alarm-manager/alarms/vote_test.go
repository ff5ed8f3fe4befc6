package alarms

import "testing"

func TestVote(t *testing.T) {
	const raise, clear = 0.5, 0.2
	for _, c := range []struct {
		name          string
		votes, window int
		rows          []float64
		changes       []int // indexes of the rows at which the alarm changes
	}{
		{"one row is enough for 1 of 1", 1, 1, []float64{0.5, 0.5, 0.2}, []int{0, 2}},
		{"three of five raise", 3, 5, []float64{0.9, 0.1, 0.9, 0.1, 0.9}, []int{4}},
		{"two of five do not", 3, 5, []float64{0.9, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9}, nil},
		{"hysteresis: rows between the levels end nothing", 2, 3, []float64{0.9, 0.9, 0.3, 0.3, 0.3, 0.3, 0.1, 0.3, 0.1}, []int{1, 8}},
		{"the votes of the rise do not count again", 2, 3, []float64{0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.9}, []int{2, 4, 6}},
		{"the longest window", 64, 64, append(make([]float64, 0), repeat(0.9, 64)...), []int{63}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v vote
			var changes []int
			for i, p := range c.rows {
				before := v.raised
				changed := v.add(p, raise, clear, c.votes, c.window)
				if changed != (v.raised != before) {
					t.Errorf("row %d: changed %v, raised %v → %v", i, changed, before, v.raised)
				}
				if changed {
					changes = append(changes, i)
				}
			}
			if len(changes) != len(c.changes) {
				t.Fatalf("changes at %v, want %v", changes, c.changes)
			}
			for i := range changes {
				if changes[i] != c.changes[i] {
					t.Errorf("changes at %v, want %v", changes, c.changes)
				}
			}
		})
	}
}

func repeat(p float64, n int) []float64 {
	rows := make([]float64, n)
	for i := range rows {
		rows[i] = p
	}
	return rows
}
