// Package rowpath measures what a row costs the programs on its way: from the socket to what each of them publishes or keeps.
package rowpath

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"text/tabwriter"
	"time"

	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// load is a way in which rows come: at a pace that programs and core can keep up with, each message alone, or pressed.
type load struct {
	name  string
	batch int // rows of a message; 1: a message a row, values as decimals
	rate  int // rows a second; 0: as many as the programs take
}

var loads = []load{{"batches", 4, 1000}, {"singles", 1, 1000}, {"batches-pressed", 4, 0}, {"singles-pressed", 1, 0}}

// side is a set of programs.
type side struct{ name, dir string }

var modes = []struct {
	name string
	mode localcore.Mode
}{{"classic", localcore.Classic}, {"lite", localcore.Lite}}

// BenchmarkRowPath measures the processor time of a row and the memory of each program. The core is the embedded one; the
// programs are processes of their own, and take turns with those of another folder, if ROWPATH_BEFORE names one with
// inference-engine and alarm-manager. The table has medians. ROWPATH_ROUNDS=N takes other than 3 turns, ROWPATH_ROWS=N other
// than 5,000 rows a turn, ROWPATH_THINGS=N other than 100 machines.
func BenchmarkRowPath(b *testing.B) {
	rounds, rows, things := setting(b, "ROWPATH_ROUNDS", 3), setting(b, "ROWPATH_ROWS", 5000), setting(b, "ROWPATH_THINGS", 100)
	sides := []side{{"now", build(b)}}
	if dir := os.Getenv("ROWPATH_BEFORE"); dir != "" {
		sides = append([]side{{"before", dir}}, sides...)
	}
	samples := make(map[string][]sample)
	for round := range rounds {
		for _, m := range modes {
			for _, l := range loads {
				for _, s := range sides {
					b.Run(fmt.Sprintf("%s/%s/%s/%d", m.name, l.name, s.name, round+1), func(b *testing.B) {
						got, err := measure(b, run{mode: m.mode, load: l, dir: s.dir, rows: rows, things: things, patience: time.Minute})
						must.OK(b, err)
						b.ReportMetric(0, "ns/op") // the processor time says more than the time
						for _, p := range programs {
							key := m.name + "/" + l.name + "/" + p.name + "/" + s.name
							samples[key] = append(samples[key], got[p.name])
							b.ReportMetric(got[p.name].cpu, p.name+"-cpu-us/row")
						}
					})
				}
			}
		}
	}
	must.OK(b, printTable(os.Stdout, rows, rounds, sides, samples))
}

func setting(b *testing.B, name string, usual int) int {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q, must be a positive number", name, text)
	}
	return n
}

// printTable prints the medians, and where there are two sides what the second is of the first.
func printTable(w io.Writer, rows, rounds int, sides []side, samples map[string][]sample) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nProcessor time of a row; medians of %d turns of %d rows; from the socket to the publication, kernel included\n", rounds, rows)
	fmt.Fprintln(tw, "core\trows\tprogram\tprograms\tCPU us/row\tlowest\thighest\tof before\tRSS MiB\tpeak MiB")
	for _, m := range modes {
		for _, l := range loads {
			for _, p := range programs {
				var before float64
				for _, s := range sides {
					list := samples[m.name+"/"+l.name+"/"+p.name+"/"+s.name]
					if len(list) == 0 {
						continue
					}
					cpu := figures(list, func(s sample) float64 { return s.cpu })
					ratio := "-"
					if before > 0 {
						ratio = fmt.Sprintf("%.2f", median(cpu)/before)
					}
					before = median(cpu)
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%s\t%.1f\t%.1f\n", m.name, l.name, p.name, s.name, median(cpu), cpu[0], cpu[len(cpu)-1], ratio,
						median(figures(list, func(s sample) float64 { return s.rss })), median(figures(list, func(s sample) float64 { return s.peak })))
				}
			}
		}
	}
	return tw.Flush()
}

// figures are those of the samples, in order.
func figures(list []sample, of func(sample) float64) []float64 {
	values := make([]float64, len(list))
	for i, s := range list {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values
}

func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

// TestRowPath takes a few rows through the programs, each way. So few may take less than the 10 ms in which the kernel counts.
func TestRowPath(t *testing.T) {
	need.Long(t)
	dir := build(t)
	for _, m := range modes {
		for _, l := range loads {
			t.Run(m.name+"/"+l.name, func(t *testing.T) {
				got, err := measure(t, run{mode: m.mode, load: l, dir: dir, rows: 200, things: 10, patience: time.Minute})
				must.OK(t, err)
				for _, p := range programs {
					if s := got[p.name]; s.cpu < 0 || s.rss <= 0 || s.peak < s.rss {
						t.Errorf("%s: %+v", p.name, s)
					}
				}
			})
		}
	}
}

// A run in which fewer predictions come than rows went in fails: here the engine refuses the rows of the last machine.
func TestFewerPredictionsThanRowsFail(t *testing.T) {
	need.Long(t)
	_, err := measure(t, run{load: loads[0], dir: build(t), rows: 200, things: 10, known: 9, patience: 3 * time.Second})
	if err == nil {
		t.Error("a run without the predictions of a machine is taken")
	}
}

// build builds the programs as they are released.
func build(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, p := range programs {
		args = append(args, "./components/"+p.name)
	}
	cmd := exec.Command(need.Tool(t, "go", "https://go.dev/dl"), args...)
	cmd.Dir, cmd.Env = need.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	return dir
}
