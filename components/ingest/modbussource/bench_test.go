package modbussource

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// BenchmarkTags reads 5,000 registers of a real server each second, and makes rows of them: %core is what it costs of a core, MiB the
// resident memory. An operation is a second of it.
func BenchmarkTags(b *testing.B) {
	const n = 5000
	server := plantpeers.Modbus(b, strconv.Itoa(n))
	tags := make([]string, n)
	for i := range tags {
		tags[i] = "holding:" + strconv.Itoa(i)
	}
	p := newPeer(b, server.Port, tags...)
	p.config.Poll = time.Second
	before := runtime.NumGoroutine()
	p.run(b)
	p.await(b, 20*time.Second, func(values map[string]float64) bool { return len(values) == 1000 })
	goroutines := runtime.NumGoroutine() - before
	if goroutines > 8 {
		b.Errorf("%d goroutines for %d tags", goroutines, n)
	}
	debug.FreeOSMemory()
	cpu := processTime(b)
	rows, ticker := 0, time.NewTicker(time.Second)
	defer ticker.Stop()
	b.ResetTimer()
	for b.Loop() {
		<-ticker.C
		rows += len(p.table.Due(nil))
	}
	b.StopTimer()
	if rows == 0 {
		b.Error("there are no rows")
	}
	b.ReportMetric(100*(processTime(b)-cpu).Seconds()/b.Elapsed().Seconds(), "%core")
	b.ReportMetric(rss(b), "MiB")
	b.ReportMetric(float64(goroutines), "goroutines")
}

func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must.OK(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rss(b *testing.B) float64 {
	data, err := os.ReadFile("/proc/self/status")
	must.OK(b, err)
	_, after, _ := strings.Cut(string(data), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	must.OK(b, err)
	return float64(kib) / 1024
}
