// Package ipc measures the Greengrass IPC client of shared/ipc beside Amazon's own for JavaScript and Python.
package ipc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/interop/official"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// contender is a client program. Its arguments are a message's size in bytes, a count, and how many messages may be under
// way; it publishes that many binaryMessages to a topic that it subscribes to itself, and prints one result as JSON. A
// message is done when its response and its event have come. Its environment tells it the socket and the token, as a
// nucleus does.
type contender struct {
	name    string
	count   int // messages a run
	command func(ctx context.Context, env []string, args []string) *exec.Cmd
}

// result is what a contender prints: means over the messages, but for the percentiles.
type result struct {
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	CPU     float64 `json:"cpu_us"`  // processor time of the whole process, kernel included, a message
	Allocs  float64 `json:"allocs"`  // a message; Go only
	RSS     float64 `json:"rss_kib"` // the most memory that the process had
	Rate    float64 `json:"-"`       // messages a second
}

// Names in the table.
const (
	ours = "edgepdm"
	bare = "floor" // the same bytes sent and received in Go, and nothing else
	core = "core"
	echo = "echo"
)

// load is one way of sending, and what it is sent to.
type load struct {
	server         string
	env            []string // of a client
	name           string
	size, inFlight int
}

func (l load) key(c contender) string { return l.server + "/" + l.name + "/" + c.name }

// BenchmarkIPC measures round trips and throughput against the embedded core, and against a server that only echoes, which
// shows the clients rather than a nucleus. Servers and clients are processes of their own; the clients take turns, and the
// table has the medians. IPC_CLIENTS=edgepdm measures that client alone, IPC_ROUNDS=N takes other than 5 turns.
func BenchmarkIPC(b *testing.B) {
	rounds := 5
	if text := os.Getenv("IPC_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			b.Fatalf("IPC_ROUNDS is %q, must be a positive number", text)
		}
	}
	var loads []load
	for _, server := range []struct {
		name string
		env  []string
	}{{core, startCore(b)}, {echo, startEcho(b)}} {
		loads = append(loads, load{server.name, server.env, "round trip 1 kB", 1024, 1},
			load{server.name, server.env, "32 in flight 1 kB", 1024, 32}, load{server.name, server.env, "32 in flight 4 kB", 4096, 32})
	}
	clients := contenders(b)
	samples := make(map[string][]result)
	for range rounds {
		for _, l := range loads {
			for _, c := range clients {
				samples[l.key(c)] = append(samples[l.key(c)], measure(b, c, l))
			}
		}
	}
	medians := make(map[string]result)
	for _, l := range loads {
		for _, c := range clients {
			m := median(samples[l.key(c)])
			medians[l.key(c)] = m
			b.Run(l.key(c), func(b *testing.B) {
				b.ReportMetric(0, "ns/op") // nothing runs here: the figures are the medians of the turns
				b.ReportMetric(m.P50, "p50-us")
				b.ReportMetric(m.P99, "p99-us")
				b.ReportMetric(m.Rate, "msg/s")
				b.ReportMetric(m.CPU, "cpu-us/msg")
				b.ReportMetric(m.RSS/1024, "MiB")
			})
		}
	}
	must.OK(b, table(os.Stdout, rounds, loads, clients, medians))
}

// goClient is the contender with shared/ipc, goFloor the one without.
func goClient(t testing.TB) contender { return goProgram(t, ours, "./test/bench/ipc/client") }
func goFloor(t testing.TB) contender  { return goProgram(t, bare, "./test/bench/ipc/floor") }

func goProgram(t testing.TB, name, pkg string) contender {
	program := build(t, pkg)
	return contender{name, 20_000, func(ctx context.Context, env, args []string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}}
}

// peer is an official client that can be made a contender.
type peer struct {
	name, script string
	count        int
	setUp        func(testing.TB) official.Peer
}

func peers() []peer {
	return []peer{{"javascript", "client.js", 4_000, official.JavaScript}, {"python", "client.py", 2_000, official.Python}}
}

func (p peer) contender(t testing.TB) contender {
	client := p.setUp(t)
	return contender{p.name, p.count, func(ctx context.Context, env, args []string) *exec.Cmd {
		return client.Command(ctx, env, p.script, args...)
	}}
}

// contenders returns the clients that this machine can run and IPC_CLIENTS names.
func contenders(b *testing.B) []contender {
	wanted := strings.Split(os.Getenv("IPC_CLIENTS"), ",")
	want := func(name string) bool { return wanted[0] == "" || slices.Contains(wanted, name) }
	var list []contender
	if want(ours) {
		list = append(list, goClient(b))
	}
	if want(bare) {
		list = append(list, goFloor(b))
	}
	for _, p := range peers() {
		if !want(p.name) {
			continue
		}
		var c *contender
		b.Run("set-up-"+p.name, func(b *testing.B) { // a run of its own, which alone is skipped when a tool is missing
			made := p.contender(b)
			c = &made
			b.ReportMetric(0, "ns/op")
		})
		if c != nil {
			list = append(list, *c)
		}
	}
	return list
}

// TestClients lets every client send a few messages to both servers.
func TestClients(t *testing.T) {
	for _, server := range []struct {
		name string
		env  []string
	}{{core, startCore(t)}, {echo, startEcho(t)}} {
		try := func(t *testing.T, c contender) {
			c.count = 80
			for _, inFlight := range []int{1, 32} {
				r := measure(t, c, load{server: server.name, env: server.env, size: 1024, inFlight: inFlight})
				if r.Rate <= 0 || r.P50 <= 0 || r.P99 < r.P50 || r.CPU < 0 || r.RSS <= 0 {
					t.Errorf("%d in flight: %+v", inFlight, r)
				}
			}
		}
		t.Run(server.name+"/"+ours, func(t *testing.T) { try(t, goClient(t)) })
		t.Run(server.name+"/"+bare, func(t *testing.T) { try(t, goFloor(t)) })
		for _, p := range peers() {
			t.Run(server.name+"/"+p.name, func(t *testing.T) { try(t, p.contender(t)) })
		}
	}
}

func build(t testing.TB, pkg string) string {
	program := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, pkg)
	cmd.Dir, cmd.Env = need.Root(t), append(os.Environ(), "CGO_ENABLED=0") // as the components are built
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program
}

// startCore starts an embedded core, and returns the environment of a client.
func startCore(t testing.TB) []string {
	dir := t.TempDir()
	root, file := filepath.Join(dir, "root"), filepath.Join(dir, "recipe.yaml")
	must.OK(t, os.WriteFile(file, []byte(coretest.Recipe("com.edgepdm.Bench", "bench/*")), 0o600))
	start(t, build(t, "./test/localcore/cmd/localcore"), "-root", root, "-external", "com.edgepdm.Bench="+file)
	text, err := os.ReadFile(filepath.Join(root, "env", "com.edgepdm.Bench.env"))
	must.OK(t, err)
	return strings.Fields(string(text))
}

// startEcho starts the server that only echoes, and returns the environment of a client.
func startEcho(t testing.TB) []string {
	socket := filepath.Join(t.TempDir(), "echo.socket")
	start(t, build(t, "./test/bench/ipc/echo"), socket)
	return []string{ipc.EnvSocket + "=" + socket, ipc.EnvAuthToken + "=any"}
}

// start starts a server as a process, and returns when it says that it is ready.
func start(t testing.TB, program string, args ...string) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	must.OK(t, err)
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		for lines.Scan() { // to its end
			continue
		}
		_ = cmd.Wait() // it was interrupted
	})
	for lines.Scan() {
		if lines.Text() == "ready" {
			return
		}
	}
	t.Fatalf("%s ended", program)
}

func measure(t testing.TB, c contender, l load) result {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	count := c.count
	if l.inFlight == 1 {
		count /= 4
	}
	cmd := c.command(ctx, l.env, []string{strconv.Itoa(l.size), strconv.Itoa(count), strconv.Itoa(l.inFlight)})
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.name, err, &errs)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%s printed %s: %v", c.name, out, err)
	}
	r.Rate = float64(count) / r.Seconds
	return r
}

// median takes the median of every figure by itself.
func median(list []result) result {
	of := func(figure func(result) float64) float64 {
		values := make([]float64, len(list))
		for i, r := range list {
			values[i] = figure(r)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return result{
		P50: of(func(r result) float64 { return r.P50 }), P99: of(func(r result) float64 { return r.P99 }),
		CPU: of(func(r result) float64 { return r.CPU }), Allocs: of(func(r result) float64 { return r.Allocs }),
		RSS: of(func(r result) float64 { return r.RSS }), Rate: of(func(r result) float64 { return r.Rate }),
	}
}

// table prints the medians, and what of them is aimed at.
func table(w io.Writer, rounds int, loads []load, clients []contender, medians map[string]result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nGreengrass IPC: publish, response and own event; medians of %d turns; core is the embedded core, echo a bare server\n", rounds)
	fmt.Fprintln(tw, "server\tload\tclient\tp50 us\tp99 us\tmsg/s\tclient CPU us/msg\tallocs/msg\tpeak RSS MiB")
	for _, l := range loads {
		for _, c := range clients {
			m := medians[l.key(c)]
			allocs := "-"
			if c.name == ours {
				allocs = fmt.Sprintf("%.3f", m.Allocs)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%s\t%.1f\n", l.server, l.name, c.name, m.P50, m.P99, m.Rate, m.CPU, allocs, m.RSS/1024)
		}
	}
	fmt.Fprintln(tw, "\nserver\taim\t\tmeasured")
	for i := 0; i < len(loads); i += 3 {
		trip, many := loads[i].server+"/"+loads[i].name+"/", loads[i].server+"/"+loads[i+1].name+"/"
		mine, has := medians[many+ours]
		if !has {
			continue
		}
		aim := func(what, bound, format string, value float64) {
			fmt.Fprintf(tw, "%s\t%s\t%s\t"+format+"\n", loads[i].server, what, bound, value)
		}
		aim("client CPU a 1 kB message, us", "<= 10", "%.1f", mine.CPU)
		aim("allocations a 1 kB message", "<= 0.5", "%.3f", mine.Allocs)
		aim("peak RSS of the bare program, MiB", "<= 6", "%.1f", mine.RSS/1024)
		if floor, has := medians[many+bare]; has {
			aim("client CPU beyond the floor's, us", "-", "%.1f", mine.CPU-floor.CPU)
			aim("RSS beyond the floor's, MiB", "-", "%.1f", (mine.RSS-floor.RSS)/1024)
		}
		if theirs, has := medians[many+"javascript"]; has {
			aim("client CPU, JavaScript's by ours", ">= 8", "%.1f", theirs.CPU/mine.CPU)
			aim("round trip p50, JavaScript's by ours", ">= 3", "%.1f", medians[trip+"javascript"].P50/medians[trip+ours].P50)
		}
	}
	return tw.Flush()
}
