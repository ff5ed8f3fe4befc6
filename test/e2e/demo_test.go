// Package e2e runs the real programs from outside, as a user does.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// built holds what the tests of this package share: the staged tree and the demo's program.
type built struct {
	dir, stage, demo, notifier string
	err                        error
}

var build = sync.OnceValue(func() (b built) {
	b.dir, b.err = os.MkdirTemp("", "edgepdm-e2e-")
	if b.err != nil {
		return b
	}
	b.stage, b.demo, b.notifier = filepath.Join(b.dir, "stage"), filepath.Join(b.dir, "demo"), filepath.Join(b.dir, "bootstrap")
	for _, args := range [][]string{
		{"run", "./scripts/stage", "-out", b.stage},
		{"build", "-o", b.demo, "./scripts/demo"},
		{"build", "-tags", "lambda.norpc", "-o", b.notifier, "./components/polly-notifier"},
	} {
		cmd := exec.Command("go", args...) //nolint:noctx // bound by the test run's own timeout
		cmd.Dir = filepath.Join("..", "..")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
			return b
		}
	}
	return b
})

func TestMain(m *testing.M) {
	code := m.Run()
	if b := build(); b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
	os.Exit(code)
}

type componentReport struct {
	Name     string  `json:"name"`
	RSSMB    float64 `json:"rss_mb"`
	CPUS     float64 `json:"cpu_s"`
	Restarts int     `json:"restarts"`
}

// report is the demo's report, with the keys that the README promises and no others.
type report struct {
	Published   uint64 `json:"published"`
	Asked       uint64 `json:"asked"`
	Predictions uint64 `json:"predictions"`
	Unscored    uint64 `json:"unscored"`
	Invalid     uint64 `json:"invalid"`
	LatencyMS   struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latency_ms"`
	Components []componentReport `json:"components"`
	Models     []string          `json:"models"`
	Alerts     int               `json:"alerts"`
	Delivered  int               `json:"delivered"`
	Lost       int               `json:"lost"`
	Unaccepted int               `json:"unaccepted"`
	Duplicates int               `json:"duplicates"`
	Audio      int               `json:"audio"`
	Swaps      int               `json:"swaps"`
	Refused    []string          `json:"refused"`
	Alarms     struct {
		Raised       uint64 `json:"raised"`
		Acknowledged uint64 `json:"acknowledged"`
		Shelved      uint64 `json:"shelved"`
		Suppressed   uint64 `json:"suppressed"`
		Chattering   uint64 `json:"chattering"`
		Spoken       uint64 `json:"spoken"`
	} `json:"alarms"`
	Explained struct {
		Alerts      int `json:"alerts"`
		Of          int `json:"of"`
		Predictions int `json:"predictions"`
	} `json:"explained"`
	Life struct {
		Rows      int     `json:"rows"`
		Coverage  float64 `json:"coverage"`
		MeanWidth float64 `json:"mean_width"`
		Alerts    int     `json:"alerts"`
	} `json:"life"`
	Drift struct {
		Found     bool     `json:"found"`
		Line      string   `json:"line"`
		Sensors   []string `json:"sensors"`
		AfterRows int      `json:"after_rows"`
		Cleared   bool     `json:"cleared"`
		False     int      `json:"false"`
	} `json:"drift"`
	Shadow struct {
		Candidates []json.RawMessage `json:"candidates"`
	} `json:"shadow"`
}

// demo is a headless demo under way.
type demo struct {
	t      *testing.T
	cmd    *exec.Cmd
	root   string
	report string
	out    bytes.Buffer
}

func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	b := build()
	if b.err != nil {
		t.Fatal(b.err)
	}
	dir := t.TempDir()
	d := &demo{t: t, root: filepath.Join(dir, "root"), report: filepath.Join(dir, "report.json")}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	args = append([]string{"-headless", "-stage", b.stage, "-notifier", b.notifier, "-root", d.root, "-report", d.report}, args...)
	d.cmd = exec.CommandContext(ctx, b.demo, args...)
	d.cmd.Dir = need.Root(t)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	must.OK(t, d.cmd.Start())
	return d
}

// finish waits for the demo and returns its report.
func (d *demo) finish() report {
	d.t.Helper()
	if err := d.cmd.Wait(); err != nil {
		d.t.Fatalf("the demo ended with %v:\n%s", err, &d.out)
	}
	data := must.Read(d.t, d.report)
	var r report
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		d.t.Fatalf("report %s: %v", data, err)
	}
	if r.Drift.Found || r.Drift.False > 0 || len(r.Shadow.Candidates) > 0 { // no machine has drifted
		d.t.Errorf("drift %+v, candidates %s", r.Drift, r.Shadow.Candidates)
	}
	return r
}

// pid waits for a component's process and returns its id.
func (d *demo) pid(program string, not int) int {
	d.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-ticker.C {
		found, err := filepath.Glob("/proc/[0-9]*/cmdline")
		must.OK(d.t, err)
		for _, path := range found {
			cmdline, err := os.ReadFile(path)
			if err != nil || !strings.HasPrefix(string(cmdline), d.root) || !strings.Contains(strings.SplitN(string(cmdline), "\x00", 2)[0], program) {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != not {
				return pid
			}
		}
	}
	d.t.Fatalf("%s does not run:\n%s", program, &d.out)
	return 0
}

// await waits until the component's log has the text at least n times.
func (d *demo) await(component, text string, n int) {
	d.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-ticker.C {
		log, err := os.ReadFile(filepath.Join(d.root, "logs", component+".log"))
		if err == nil && strings.Count(string(log), text) >= n {
			return
		}
	}
	d.t.Fatalf("the log of %s has not %q %d times:\n%s", component, text, n, &d.out)
}

func TestHeadlessDemoScoresEveryRow(t *testing.T) {
	for _, mode := range []string{"classic", "lite"} {
		t.Run(mode, func(t *testing.T) {
			r := startDemo(t, "-mode", mode, "-for", "5s", "-rate", "20", "-seed", "7").finish()
			if r.Published < 100 || r.Predictions != r.Published || r.Unscored != 0 || r.Invalid != 0 || r.Lost != 0 || r.Unaccepted != 0 || r.Asked < 300 {
				t.Errorf("%+v", r)
			}
			if r.LatencyMS.P50 <= 0 || r.LatencyMS.P99 < r.LatencyMS.P50 || len(r.Models) == 0 {
				t.Errorf("%+v", r)
			}
			if r.Life.Rows < 100 || r.Life.Coverage < 0.5 || r.Life.MeanWidth <= 0 {
				t.Errorf("%+v", r.Life)
			}
			if len(r.Components) != 6 {
				t.Fatalf("%+v", r.Components)
			}
			for _, c := range r.Components {
				if c.RSSMB <= 0 || c.CPUS <= 0 || c.Restarts != 0 {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// kill -9 of the engine: it is restarted, and the rows that it missed are counted, so that the account is settled.
func TestEngineKilledInTheMiddle(t *testing.T) {
	d := startDemo(t, "-for", "8s", "-rate", "20", "-cuts", "0")
	pid := d.pid("inference-engine", 0)
	d.await("com.edgepdm.SensorSimulator", "publishing", 1)
	must.OK(t, syscall.Kill(pid, syscall.SIGKILL))
	d.pid("inference-engine", pid)
	r := d.finish()
	i := slices.IndexFunc(r.Components, func(c componentReport) bool { return c.Name == "com.edgepdm.InferenceEngine" })
	if i < 0 || r.Components[i].Restarts != 1 {
		t.Errorf("components %+v", r.Components)
	}
	if r.Predictions+r.Unscored+r.Invalid != r.Published || r.Predictions < 100 {
		t.Errorf("%+v", r)
	}
}

// A run that publishes nothing fails and says why: here no row of the input can be read.
func TestDemoThatPublishesNothingFails(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join(need.Root(t), "components", "inference-engine", "model", "golden.csv"))
	must.OK(t, err)
	header, _, _ := strings.Cut(string(golden), "\n")
	table := filepath.Join(t.TempDir(), "rows.csv")
	text := strings.Replace(header, "margin,", "class,", 1) + "\n" + strings.Repeat("neg,not,numbers\n", 50)
	must.OK(t, os.WriteFile(table, []byte(text), 0o600))
	d := startDemo(t, "-input", table, "-for", "4s", "-cuts", "0")
	err = d.cmd.Wait()
	if err == nil || !strings.Contains(d.out.String(), "0 of about 2") || !strings.Contains(d.out.String(), "rows of the input could not be read") {
		t.Errorf("%v: %s", err, &d.out)
	}
}

func TestDemoRefusesAnInputWithOtherColumns(t *testing.T) {
	table := filepath.Join(t.TempDir(), "other.csv")
	must.OK(t, os.WriteFile(table, []byte("class,motor_current_l1,other\nneg,1,2\n"), 0o600))
	d := startDemo(t, "-input", table)
	err := d.cmd.Wait()
	if err == nil || !strings.Contains(d.out.String(), `column 2`) || !strings.Contains(d.out.String(), `"other"`) || !strings.Contains(d.out.String(), `"motor_current_l2"`) {
		t.Errorf("%v: %s", err, &d.out)
	}
}

// The machines may be client devices: each finds the core by discovery, and connects by MQTT with its own certificate. No row is
// lost, also not those of the time in which there is no internet.
func TestMachinesAreClientDevices(t *testing.T) {
	d := startDemo(t, "-devices", "-for", "8s", "-rate", "10", "-seed", "7", "-cuts", "1")
	d.await("device-compressor-3", "connected to the core", 1)
	dir := filepath.Join(d.root, "devices")
	programs, err := filepath.Glob(filepath.Join(build().stage, "artifacts", "com.edgepdm.SensorSimulator", "*", "sensor-simulator-linux-*"))
	if err != nil || len(programs) != 1 {
		t.Fatal(programs, err)
	}
	spare := exec.Command(programs[0], "device", "-thing", "press-1", "-check", "-ca", filepath.Join(d.root, "cloud", "ca.pem"),
		"-cert", filepath.Join(dir, "press-1.pem.crt"), "-key", filepath.Join(dir, "press-1.private.key"), "-discovery", strings.TrimSpace(string(must.Read(t, filepath.Join(dir, "discovery")))))
	if out, err := spare.CombinedOutput(); err != nil || !strings.Contains(string(out), "press-1 reaches edgepdm-core") {
		t.Errorf("the device that the demo leaves to its user: %v: %s", err, out)
	}
	r := d.finish()
	if r.Published < 100 || r.Predictions != r.Published || r.Unscored != 0 || r.Invalid != 0 || r.Lost != 0 || len(r.Components) != 5 {
		t.Errorf("%+v\n%s", r, &d.out)
	}
	if !strings.Contains(d.out.String(), "3 machines are client devices") {
		t.Errorf("the demo does not say that its machines are devices:\n%s", &d.out)
	}
}
