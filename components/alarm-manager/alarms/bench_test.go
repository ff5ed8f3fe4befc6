package alarms

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

const (
	benchThings = 10_000
	benchActive = 1000
)

// benchPlant has 10,000 machines on 100 lines, of which 1,000 have an alarm.
func benchPlant(b *testing.B, measure func(r *run, row func(i int, probability float64))) {
	b.Helper()
	withRun(b, func(r *run) {
		r.config.MaxThings = benchThings
		r.ledger = ledger.Begin(filepath.Join(r.rt.WorkDir, ledgerName), benchThings)
		defer func() { _ = r.ledger.Close() }()
		things, lines, seq := make([]string, benchThings), make([]string, benchThings), make([]uint64, benchThings)
		for i := range things {
			things[i], lines[i] = fmt.Sprintf("press-%d", i), fmt.Sprintf("line-%d", i%100)
		}
		row := func(i int, probability float64) {
			seq[i]++
			r.predicted(&event.Prediction{
				V: 1, Thing: things[i], Line: lines[i], Epoch: "e", Seq: seq[i], TS: time.Now(), Probability: probability, Threshold: 0.5,
			}, time.Now())
			r.record()
		}
		for i := range things {
			for range 3 {
				p := 0.01
				if i < benchActive {
					p = 0.9
				}
				row(i, p)
			}
		}
		if err := r.save(); err != nil {
			b.Fatal(err)
		}
		if n := len(r.list.system.List()); n != benchActive {
			b.Fatalf("%d alarms", n)
		}
		measure(r, row)
	})
}

// A row of a machine that works, in a plant with 1,000 alarms; and the memory of the process.
func BenchmarkRow(b *testing.B) {
	benchPlant(b, func(r *run, row func(int, float64)) {
		i := 0
		for b.Loop() {
			row(benchActive+i%(benchThings-benchActive), 0.01)
			i++
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-heap")
	})
}

// A message with as many predictions as it carries, of machines that work, in a plant with 1,000 alarms.
func BenchmarkBatch(b *testing.B) {
	benchPlant(b, func(r *run, _ func(int, float64)) {
		const things = 1000 // 10 predictions a message: 100 messages to a round
		seq := uint64(3)
		var batches [][]byte
		for b.Loop() {
			b.StopTimer()
			if len(batches) == 0 {
				seq++
				batches = benchBatches(b, things, seq)
			}
			batch := batches[0]
			batches = batches[1:]
			b.StartTimer()
			if err := r.predictions(batch, time.Now()); err != nil {
				b.Fatal(err)
			}
			r.settle()
		}
	})
}

// benchBatches are messages with the next prediction of each of so many machines.
func benchBatches(b *testing.B, things int, seq uint64) (batches [][]byte) {
	var left [][]byte
	for i := range things {
		thing := fmt.Sprintf("press-%d", benchActive+i)
		payload, err := event.Encode(event.Prediction{
			V: 1, ID: fmt.Sprintf("%s-e-%d", thing, seq), Thing: thing, Line: fmt.Sprintf("line-%d", i%100), Epoch: "e", Seq: seq, TS: time.Now().UTC(),
			Model: event.ModelRef{Version: "1.0.0", SHA256: strings.Repeat("ab", 32)}, Probability: 0.0123456789, Label: event.LabelNotFaulty, Threshold: 0.5,
			LatencyUS: 250, Platform: "linux/amd64", Text: event.PredictionText(event.LabelNotFaulty, 250*time.Microsecond, "linux/amd64"),
		})
		if err != nil {
			b.Fatal(err)
		}
		left = append(left, payload)
	}
	for len(left) > 0 {
		batch, taken := event.JoinPredictions(left)
		batches, left = append(batches, batch), left[taken:]
	}
	return batches
}

// A row of a machine whose alarm stands.
func BenchmarkFaultyRow(b *testing.B) {
	benchPlant(b, func(_ *run, row func(int, float64)) {
		i := 0
		for b.Loop() {
			row(i%benchActive, 0.9)
			i++
		}
	})
}

// A tick, in which nothing is due.
func BenchmarkTick(b *testing.B) {
	benchPlant(b, func(r *run, _ func(int, float64)) {
		for b.Loop() {
			r.tick(time.Now(), tickTime)
		}
	})
}

// An alarm that comes, with its alert, is put on disk.
func BenchmarkSave(b *testing.B) {
	benchPlant(b, func(r *run, row func(int, float64)) {
		i := 0
		for b.Loop() {
			for range 3 {
				row(benchActive+i%(benchThings-benchActive), 0.9)
			}
			i++
			if err := r.save(); err != nil {
				b.Fatal(err)
			}
		}
		info, err := os.Stat(filepath.Join(r.rt.WorkDir, listName))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/(1<<20), "MB-file")
	})
}

// The whole list is written as a new file, with 1,000 alarms.
func BenchmarkSnapshot(b *testing.B) {
	benchPlant(b, func(r *run, _ func(int, float64)) {
		for b.Loop() {
			r.list.journal.abandon()
			r.list.dirty = true
			if err := r.save(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
