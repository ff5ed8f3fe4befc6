package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// BenchmarkScore has the real program score ten million rows of six columns, and a million of 168, from a pipe into a pipe, and
// prints the rows a second, the processor's time a row, and the program's memory.
func BenchmarkScore(b *testing.B) {
	program := coretest.Build(b)
	for _, c := range []struct {
		name, model, rows string
		n                 int
	}{
		{"6 columns", "../../shared/gbdt/testdata/3.0.5-names/model.ubj", "../../shared/gbdt/testdata/3.0.5-names/X.csv", 10_000_000},
		{"168 columns", "model/model.ubj", "model/golden.csv", 1_000_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			lines := strings.SplitAfter(strings.TrimSpace(string(must.Read(b, c.rows)))+"\n", "\n")
			lines = lines[:len(lines)-1]
			if strings.HasPrefix(lines[0], "margin") {
				lines = lines[1:]
				for i := range lines {
					_, lines[i], _ = strings.Cut(lines[i], ",")
				}
			}
			const together = 1000
			var text strings.Builder
			for i := range together {
				text.WriteString(lines[i%len(lines)])
			}
			for range b.N {
				run := exec.Command(program, "score", "-model", c.model)
				run.Stderr = os.Stderr
				in, err := run.StdinPipe()
				must.OK(b, err)
				out, err := run.StdoutPipe()
				must.OK(b, err)
				began := time.Now()
				must.OK(b, run.Start())
				var writing sync.WaitGroup
				writing.Go(func() {
					for range c.n / together {
						if _, err := io.WriteString(in, text.String()); err != nil {
							b.Error(err)
							return
						}
					}
				})
				scores, rows := bufio.NewReaderSize(out, 1<<20), -1 // the header
				for ; rows < c.n; rows++ {
					if _, err := scores.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
				took := time.Since(began)
				_, most := memoryOf(b, run.Process.Pid)
				writing.Wait()
				must.OK(b, in.Close())
				must.OK(b, run.Wait())
				b.ReportMetric(float64(c.n)/took.Seconds(), "rows/s")
				b.ReportMetric(float64((run.ProcessState.UserTime()+run.ProcessState.SystemTime()).Microseconds())/float64(c.n), "CPU-µs/row")
				b.ReportMetric(most, "peak-MiB")
			}
		})
	}
}
