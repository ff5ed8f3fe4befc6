package soak

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/drift"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

// driftWeeks is the length of a simulated line.
const driftWeeks = 4

// driftColumns are those of the shipped model's baseline.
func driftColumns(t *testing.T) []drift.Column {
	t.Helper()
	data, err := os.ReadFile("../../components/inference-engine/model/manifest.json")
	must.OK(t, err)
	m, err := envelope.DecodeManifest(data)
	must.OK(t, err)
	columns := make([]drift.Column, len(m.Baseline.Features))
	for i, h := range m.Baseline.Features {
		columns[i] = drift.Column{Edges: h.Edges, Counts: h.Counts, Missing: h.Missing, Low: *h.Min, High: *h.Max}
	}
	return columns
}

// normalColumns are those of sensors with a normal distribution.
func normalColumns(t *testing.T) []drift.Column {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	columns := make([]drift.Column, plant.SensorCount)
	for i := range columns {
		c := drift.Column{Low: -5, High: 5, Counts: make([]uint64, 18)}
		for k := 1; k < 18; k++ {
			c.Edges = append(c.Edges, float32(math.Sqrt2*math.Erfinv(2*float64(k)/18-1)))
		}
		for range 96_000 {
			at := 0
			for x := float32(r.NormFloat64()); at < len(c.Edges) && x >= c.Edges[at]; at++ {
			}
			c.Counts[at]++
		}
		columns[i] = c
	}
	return columns
}

// rowsOf gives the values of a thing's next row, a minute after its last.
type rowsOf func(minute int) []float32

// independent rows, and such whose sensors remember half an hour and follow the day, with a level of the machine's own.
func independent(seed uint64, dependent bool) rowsOf {
	r := rand.New(rand.NewPCG(seed, 3))
	values, memory, own, cycle := make([]float32, plant.SensorCount), make([]float64, plant.SensorCount), make([]float64, plant.SensorCount), make([]float64, plant.SensorCount)
	for i := range own {
		own[i], cycle[i] = 0.5*r.NormFloat64(), 0.5*r.Float64()
	}
	keep := math.Exp(-1. / 30)
	return func(minute int) []float32 {
		day := math.Sin(2 * math.Pi * float64(minute) / 1440)
		for i := range values {
			x := r.NormFloat64()
			if dependent {
				memory[i] = keep*memory[i] + math.Sqrt(1-keep*keep)*x
				x = 0.8*memory[i] + own[i] + cycle[i]*day
			}
			values[i] = float32(x)
		}
		return values
	}
}

// TestDrift prints how often drift is found though nothing has changed, on lines of ten things with one row a minute.
func TestDrift(t *testing.T) {
	weeks := driftWeeks
	if text := os.Getenv("SOAK_DRIFT"); text != "" {
		n, err := strconv.Atoi(text)
		must.OK(t, err)
		weeks = max(n, driftWeeks)
	} else {
		t.Skip("SOAK_DRIFT is not set: make soak-drift runs this")
	}
	const things = 10
	for _, kind := range []struct {
		name     string
		training bool
		columns  []drift.Column
		source   func(seed uint64, thing int) rowsOf
		share    int // of the weeks: one in so many
		most     int // false events
	}{
		{"independent, reference training", true, normalColumns(t), func(seed uint64, thing int) rowsOf { return independent(seed<<8+uint64(thing), false) }, 1, 1},
		{"independent, reference auto", false, normalColumns(t), func(seed uint64, thing int) rowsOf { return independent(seed<<8+uint64(thing), false) }, 4, 1},
		{"AR(1) with a daily cycle", false, normalColumns(t), func(seed uint64, thing int) rowsOf { return independent(seed<<8+uint64(thing), true) }, 4, 1},
		{"the simulator's plant", false, driftColumns(t), func(seed uint64, thing int) rowsOf {
			m := plant.New(seed, fmt.Sprint("press-", thing))
			return func(int) []float32 { return m.Step(time.Minute).Values }
		}, 10, math.MaxInt}, // its machines wear, and are serviced
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			plan := drift.Options{Columns: kind.columns, Training: kind.training, Learn: 24 * time.Hour}
			lines, events, figures := max(1, weeks/driftWeeks/kind.share), 0, map[int]int{}
			for line := range lines {
				l := drift.NewLine(drift.NewPlan(plan))
				sources := make([]rowsOf, things)
				for i := range sources {
					sources[i] = kind.source(uint64(line), i)
				}
				r := rand.New(rand.NewPCG(uint64(line), 4))
				stood := false
				for minute := range driftWeeks * 7 * 1440 {
					at := time.Date(2026, 1, 5, 8, minute, 0, 0, time.UTC)
					for i, next := range sources {
						report := l.Add(drift.Row{Thing: strconv.Itoa(i), At: at, Values: next(minute), Probability: 0.01 * r.Float64(), Faulty: r.Float64() < 0.01})
						if report == nil {
							continue
						}
						if report.Drift && !stood {
							events++
							for _, f := range report.Found {
								figures[f.Column]++
							}
						}
						stood = report.Drift
					}
				}
			}
			t.Logf("%-34s %5d weeks  %d events  columns %v", kind.name, lines*driftWeeks, events, figures)
			if events > kind.most {
				t.Errorf("%d false events in %d weeks, want at most %d", events, lines*driftWeeks, kind.most)
			}
		})
	}
}
