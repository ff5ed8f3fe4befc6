// Package spool_test measures the durable queue beside what else could keep messages, and beside what the disk gives.
package spool_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"edgepdm/shared/durable"
	"edgepdm/shared/spool"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

const (
	size   = 1024 // bytes of a record's payload
	header = 53   // bytes that the queue adds: what the raw files write too
)

// store keeps records. add returns when they would survive a loss of power, but for sqlite's NORMAL.
type store struct {
	add   func(n int) error
	close func() error
}

// contender is a way of keeping records.
type contender struct {
	name string
	open func(b *testing.B, dir string) store
}

// The ones that all others are compared with.
const (
	raw          = "raw file"
	preallocated = "raw file, of zeros before"
)

func contenders() []contender {
	return []contender{
		{raw, func(b *testing.B, dir string) store { return rawFile(b, dir, 0) }},
		{preallocated, func(b *testing.B, dir string) store { return rawFile(b, dir, 64<<20) }},
		{"spool", openSpool},
		{"sqlite, WAL, FULL", func(b *testing.B, dir string) store { return openSQLite(b, dir, "FULL") }},
		{"sqlite, WAL, NORMAL", func(b *testing.B, dir string) store { return openSQLite(b, dir, "NORMAL") }},
		{"bbolt", openBolt},
	}
}

func rawFile(b *testing.B, dir string, zeros int64) store {
	f, err := os.Create(filepath.Join(dir, "raw"))
	must.OK(b, err)
	if zeros > 0 {
		_, err := io.CopyN(f, zero{}, zeros)
		must.OK(b, err)
		must.OK(b, f.Sync())
	}
	off := int64(0)
	all := bytes.Repeat([]byte("x"), 64*(size+header))
	return store{func(n int) error {
		part := all[:n*(size+header)]
		if zeros > 0 && off+int64(len(part)) > zeros {
			off = 0
		}
		if _, err := f.WriteAt(part, off); err != nil {
			return err
		}
		off += int64(len(part))
		return durable.SyncData(f)
	}, f.Close}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func openSpool(b *testing.B, dir string) store {
	q, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	must.OK(b, err)
	batch := make([]spool.Record, 64)
	for i := range batch {
		batch[i] = record()
	}
	return store{func(n int) error { return q.Append(b.Context(), batch[:n]...) }, q.Close}
}

func record() spool.Record {
	return spool.Record{Time: 1, Stream: "predict", ID: "press1", Payload: []byte(strings.Repeat("x", size))}
}

func openSQLite(b *testing.B, dir, synchronous string) store {
	db, err := sql.Open("sqlite", filepath.Join(dir, "db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+synchronous+")")
	must.OK(b, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(b.Context(), "CREATE TABLE queue (seq INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER, id TEXT, payload BLOB)")
	must.OK(b, err)
	insert, err := db.PrepareContext(b.Context(), "INSERT INTO queue (ts, id, payload) VALUES (?, ?, ?)")
	must.OK(b, err)
	r := record()
	return store{func(n int) error {
		tx, err := db.BeginTx(b.Context(), nil)
		if err != nil {
			return err
		}
		for range n {
			if _, err := tx.StmtContext(b.Context(), insert).ExecContext(b.Context(), r.Time, r.ID, r.Payload); err != nil {
				return err
			}
		}
		return tx.Commit()
	}, db.Close}
}

func openBolt(b *testing.B, dir string) store {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, nil)
	must.OK(b, err)
	name := []byte("queue")
	must.OK(b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(name)
		return err
	}))
	r := record()
	return store{func(n int) error {
		return db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(name)
			bucket.FillPercent = 1 // the keys ascend
			for range n {
				seq, err := bucket.NextSequence()
				if err != nil {
					return err
				}
				if err := bucket.Put(binary.BigEndian.AppendUint64(nil, seq), r.Payload); err != nil {
					return err
				}
			}
			return nil
		})
	}, db.Close}
}

// load is one way of adding records.
type load struct {
	name           string
	batch, batches int // records that share a sync, and how many such in a turn
}

// BenchmarkAppend adds records of 1 kB, each with a sync of its own and 64 with one. The ways of keeping them take turns, so that
// a busy disk is one for all; the table has the medians and their ratio to a raw file that grows as the queue's do. The disk is
// that of the temporary folder: set TMPDIR.
func BenchmarkAppend(b *testing.B) {
	loads := []load{{"a sync each", 1, 100}, {"a sync for 64", 64, 30}}
	const turns = 12
	rates := make(map[string][]float64)
	key := func(l load, c contender) string { return l.name + "/" + c.name }
	for _, l := range loads {
		var open []store
		for _, c := range contenders() {
			open = append(open, c.open(b, b.TempDir()))
		}
		for turn := range turns {
			for place := range open {
				i := (turn + place) % len(open) // none is always first
				c := contenders()[i]
				began := time.Now()
				for range l.batches {
					must.OK(b, open[i].add(l.batch))
				}
				rates[key(l, c)] = append(rates[key(l, c)], float64(l.batch*l.batches)/time.Since(began).Seconds())
			}
		}
		for _, s := range open {
			must.OK(b, s.close())
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, l := range loads {
		limit := median(rates[key(l, contender{name: raw})])
		_, _ = fmt.Fprintf(w, "\n%s\trecords/s\tof a raw file\t\n", l.name)
		for _, c := range contenders() {
			rate := median(rates[key(l, c)])
			_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.2f\t\n", c.name, rate, rate/limit)
			b.Run(key(l, c), func(b *testing.B) {
				b.ReportMetric(0, "ns/op") // nothing runs here: the figures are the medians of the turns
				b.ReportMetric(rate, "rec/s")
				b.ReportMetric(rate/limit, "of-raw")
			})
		}
	}
	must.OK(b, w.Flush())
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkStart opens a queue of a million records, 1 GB, in a process of its own that then drains it: how long it takes until
// the first record is there, and the most memory that the process has.
func BenchmarkStart(b *testing.B) {
	const records = 1_000_000
	dir := filepath.Join(b.TempDir(), "spool")
	program := filepath.Join(b.TempDir(), "reader")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./test/bench/spool/reader")
	build.Dir, build.Env = need.Root(b), append(os.Environ(), "CGO_ENABLED=0") // as the components are built
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	batch := make([]spool.Record, 500)
	for i := range batch {
		batch[i] = record()
	}
	for b.Loop() {
		q, err := spool.Open(dir, spool.Options{})
		must.OK(b, err)
		for range records / len(batch) {
			must.OK(b, q.Append(b.Context(), batch...))
		}
		must.OK(b, q.Close())
		out, err := exec.CommandContext(b.Context(), program, dir).Output()
		must.OK(b, err)
		var r struct {
			Open    float64 `json:"open_ms"`
			OpenMiB float64 `json:"open_mib"`
			Records int
			MiB     float64
		}
		must.OK(b, json.Unmarshal(out, &r))
		if r.Records != records {
			b.Fatalf("%d records came back, want %d", r.Records, records)
		}
		b.ReportMetric(r.Open, "open-ms")
		b.ReportMetric(r.OpenMiB, "open-MiB")
		b.ReportMetric(r.MiB, "drain-MiB")
	}
}
