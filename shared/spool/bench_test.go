package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// Measure: go test -run '^$' -bench . -benchmem ./shared/spool. The disk is that of the temporary folder: set TMPDIR.

func benchRecord() Record {
	return Record{Time: 1, Stream: "telemetry", ID: "press-1-5f3a-1", Payload: []byte(strings.Repeat("x", 1024))}
}

// BenchmarkAppend appends records of 1 KiB: one by one, each synced; in batches, each synced; and one by one with
// AppendAsync, up to 64 under way, so that they share syncs.
func BenchmarkAppend(b *testing.B) {
	r := benchRecord()
	b.Run("raw write and sync", func(b *testing.B) { // what the disk gives
		f, err := osFiles{}.Open(filepath.Join(b.TempDir(), "raw"), os.O_RDWR|os.O_CREATE)
		must.OK(b, err)
		defer func() { _ = f.Close() }()
		record, off := appendRecord(nil, &r), int64(0)
		for b.Loop() {
			if _, err := f.WriteAt(record, off); err != nil {
				b.Fatal(err)
			}
			must.OK(b, f.Sync())
			off += int64(len(record))
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rec/s")
	})
	b.Run("sync each", func(b *testing.B) {
		q := open(b, b.TempDir(), Options{files: newFaults()})
		for b.Loop() {
			must.OK(b, q.Append(b.Context(), r))
		}
		perSecond(b, q)
	})
	b.Run("batch 64", func(b *testing.B) {
		q := open(b, b.TempDir(), Options{files: newFaults()})
		batch := make([]Record, 64)
		for i := range batch {
			batch[i] = r
		}
		for b.Loop() {
			must.OK(b, q.Append(b.Context(), batch...))
		}
		perSecond(b, q)
	})
	b.Run("async 64", func(b *testing.B) {
		q := open(b, b.TempDir(), Options{files: newFaults()})
		var window []*Receipt
		for b.Loop() {
			receipt, err := q.AppendAsync(b.Context(), r)
			must.OK(b, err)
			if window = append(window, receipt); len(window) < 64 {
				continue
			}
			must.OK(b, window[0].Err())
			window = window[1:]
		}
		for _, receipt := range window {
			must.OK(b, receipt.Err())
		}
		perSecond(b, q)
	})
}

func perSecond(b *testing.B, q *Queue) {
	b.ReportMetric(float64(q.last)/b.Elapsed().Seconds(), "rec/s")
	b.ReportMetric(float64(q.o.files.(*faults).count("sync"))/float64(q.last), "syncs/rec")
}

// BenchmarkDrain peeks and acknowledges records of 1 KiB, so many at once.
func BenchmarkDrain(b *testing.B) {
	const n = 20_000
	batch := make([]Record, 200)
	for i := range batch {
		batch[i] = benchRecord()
	}
	for _, size := range []int{1, 64, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q := open(b, b.TempDir(), Options{})
			drained := 0
			for b.Loop() {
				if q.Stats().Depth == 0 {
					b.StopTimer()
					for range n / len(batch) {
						must.OK(b, q.Append(b.Context(), batch...))
					}
					b.StartTimer()
				}
				records, err := q.Peek(size, 1<<20)
				if err != nil || len(records) == 0 {
					b.Fatalf("%d records, %v", len(records), err)
				}
				must.OK(b, q.Ack(records[len(records)-1].Seq))
				drained += len(records)
			}
			b.ReportMetric(float64(drained)/b.Elapsed().Seconds(), "rec/s")
		})
	}
}

// BenchmarkOpen opens a queue with a backlog (F9).
func BenchmarkOpen(b *testing.B) {
	batch := make([]Record, 200)
	for i := range batch {
		batch[i] = benchRecord()
	}
	for _, n := range []int{1_000, 50_000, 200_000} {
		b.Run(fmt.Sprintf("%d records", n), func(b *testing.B) {
			dir := b.TempDir()
			q := open(b, dir, Options{})
			for range n / len(batch) {
				must.OK(b, q.Append(b.Context(), batch...))
			}
			closeQueue(b, q)
			for b.Loop() {
				q, err := Open(dir, Options{})
				must.OK(b, err)
				must.OK(b, q.Close())
			}
		})
	}
}
