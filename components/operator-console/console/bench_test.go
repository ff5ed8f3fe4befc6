package console_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/browser"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

const (
	settleTime  = 5 * time.Second
	measureTime = 20 * time.Second
	ticksASec   = 100 // of processor time in /proc
)

// BenchmarkPage is the real program on the embedded core, with machines that are scored once a second and a page in Chromium:
// processor time in percent of a core, memory, the first paint, and the time from the alarm manager's event of an acknowledgement to
// the page's word.
func BenchmarkPage(b *testing.B) {
	for _, things := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(things), func(b *testing.B) {
			for b.Loop() {
				measurePage(b, things)
			}
		})
	}
}

func measurePage(b *testing.B, things int) {
	core := coretest.Start(b, func(o *localcore.Options) { o.Mode = localcore.Classic })
	dir := b.TempDir()
	program := filepath.Join(dir, "operator-console")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", program, "edgepdm/components/operator-console")
	build.Dir = need.Root(b)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	env := coretest.Environment(b, core, event.OperatorConsole, "operator-console", slog.New(slog.DiscardHandler))
	address := freeAddress(b)
	coretest.Configure(b, core, event.OperatorConsole, map[string]any{"address": address, "maxThings": things})
	run := exec.CommandContext(b.Context(), program)
	run.Dir, run.Env = dir, os.Environ()
	for _, name := range []string{"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "SVCUID", "AWS_IOT_THING_NAME"} {
		run.Env = append(run.Env, name+"="+env.Getenv(name))
	}
	must.OK(b, run.Start())
	b.Cleanup(func() { _ = run.Process.Kill(); _ = run.Wait() })
	client := coretest.Client(b, core)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		publishRows(b, client, things, stop)
	}()
	defer func() { close(stop); <-done }()
	page := browser.Open(b, waitFor(b, "http://"+address+"/"))
	page.Until("the machines", fmt.Sprintf("document.querySelector('[aria-setsize=\"%d\"]')", things))
	var paint float64
	page.Evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime", &paint)
	b.ReportMetric(paint, "paint-ms")
	time.Sleep(settleTime)
	component, browserBefore, begin := ticks(b, run.Process.Pid), renderers(b), time.Now()
	time.Sleep(measureTime)
	span := time.Since(begin).Seconds()
	b.ReportMetric(float64(ticks(b, run.Process.Pid)-component)/ticksASec/span*100, "component-%")
	b.ReportMetric(float64(renderers(b)-browserBefore)/ticksASec/span*100, "renderer-%")
	b.ReportMetric(float64(memory(b, run.Process.Pid))/1024, "component-MiB")
	b.ReportMetric(acknowledgements(b, client, page), "ack-p90-ms")
	b.ReportMetric(0, "ns/op")
}

// publishRows publishes what a model says of machines, once a second each.
func publishRows(b *testing.B, client *ipc.Client, things int, stop <-chan struct{}) {
	const inMessage = 20
	ticker := time.NewTicker(time.Second * inMessage / time.Duration(things))
	defer ticker.Stop()
	for n := 0; ; n++ {
		batch := event.PredictionBatch{V: event.Version}
		for i := range inMessage {
			thing := (n*inMessage + i) % things
			batch.Predictions = append(batch.Predictions, event.Prediction{
				V: event.Version, ID: fmt.Sprint("p-", n, "-", i), Thing: fmt.Sprint("machine-", thing), Line: fmt.Sprint("line-", thing%20), Epoch: "e", Seq: uint64(n + 1),
				TS: time.Now().UTC(), Probability: float64((thing+n)%97) / 300, Label: event.LabelNotFaulty, Threshold: 0.5,
			})
		}
		payload, err := event.Encode(batch)
		if err == nil {
			err = client.Publish(b.Context(), event.TopicPredictionBatch, payload)
		}
		if err != nil {
			b.Errorf("publish rows: %v", err)
			return
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

// acknowledgements returns the ninetieth percentile of milliseconds from an event of the alarm manager to the page.
func acknowledgements(b *testing.B, client *ipc.Client, page *browser.Page) float64 {
	page.Evaluate("location.hash = '#/alarms'", nil)
	tell := func(n int, change, state string) int64 {
		payload, err := event.Encode(map[string]any{"v": 1, "n": n, "ts": time.Now().UTC(), "change": change, "thing": "machine-1", "fault": "machine-fault", "state": state, "active": true, "severity": "high"})
		must.OK(b, err)
		at := time.Now().UnixMilli()
		must.OK(b, client.Publish(b.Context(), event.TopicAlarmEvent, payload))
		return at
	}
	took := make([]float64, 0, 20)
	for i := range cap(took) {
		tell(2*i+1, "raised", "UNACKNOWLEDGED")
		page.Until("the alarm", "document.querySelector('tr[data-key]')?.innerText.includes('Unacknowledged')")
		page.Evaluate(`(() => { window.seen = 0; new MutationObserver((_, o) => {
			if (document.querySelector('tr[data-key]')?.innerText.includes('Acknowledged')) { window.seen = Date.now(); o.disconnect(); } }).observe(document.querySelector('main'), {subtree: true, childList: true}); return 0 })()`, nil)
		at := tell(2*i+2, "acknowledged", "ACKNOWLEDGED")
		page.Until("the acknowledgement", "window.seen")
		var seen int64
		page.Evaluate("window.seen", &seen)
		took = append(took, float64(seen-at))
	}
	slices.Sort(took)
	return took[len(took)*9/10]
}

// waitFor returns the address once it answers.
func waitFor(b *testing.B, url string) string {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		must.OK(b, err)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return url
		}
	}
	b.Fatal("the page is not served")
	return ""
}

// ticks is the processor time of a process.
func ticks(b *testing.B, pid int) (sum int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must.OK(b, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	for _, field := range strings.Fields(rest)[11:13] { // user and system
		n, err := strconv.Atoi(field)
		must.OK(b, err)
		sum += n
	}
	return sum
}

// renderers is the processor time of this process's Chromium that draws pages.
func renderers(b *testing.B) (sum int) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must.OK(b, err)
	for _, file := range lines {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), "--type=renderer") || !strings.Contains(string(line), "chromium") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		must.OK(b, err)
		sum += ticks(b, pid)
	}
	return sum
}

// memory is what a process has of it now, in KiB.
func memory(b *testing.B, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must.OK(b, err)
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kb), " kB"))
			must.OK(b, err)
			return n
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
