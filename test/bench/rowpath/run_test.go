package rowpath

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// program is one that a row passes.
type program struct{ component, name string }

var programs = []program{{event.InferenceEngine, "inference-engine"}, {event.AlarmManager, "alarm-manager"}}

const (
	warmUp = 400 // rows before those that are measured
	inFlow = 256 // rows, at most, whose predictions have not come
	// marker is a machine with a fault: the alert of it, after the last row, tells that the alarm manager has got there.
	marker = "the-end"
	ending = 5 // rows of the marker
)

// run is what is measured.
type run struct {
	mode     localcore.Mode
	load     load
	dir      string // of the programs
	rows     int
	things   int
	known    int // things that the engine takes; 0: all
	patience time.Duration
}

// sample is what a row cost a program, and the program's memory.
type sample struct{ cpu, rss, peak float64 } // microseconds, MiB

// measure starts a core with the programs, sends rows, and waits for all predictions and for the alarm manager's word that it
// has seen them. An error says that predictions are missing.
func measure(t testing.TB, r run) (map[string]sample, error) {
	core := coretest.Start(t, func(o *localcore.Options) { o.Mode, o.Logger = r.mode, slog.New(slog.DiscardHandler) })
	client := coretest.Client(t, core)
	f := &feeder{t: t, client: client, run: r, counts: make(map[string]int), more: make(chan struct{}, 1)}
	f.rows()
	f.watch(core)
	things := r.known
	if things == 0 {
		things = r.things + 1 // with the marker
	}
	processes := make(map[string]*exec.Cmd)
	for _, p := range programs {
		env := coretest.Environment(t, core, p.component, p.name, slog.New(slog.DiscardHandler))
		coretest.Configure(t, core, p.component, map[string]any{"healthInterval": "1s", "maxThings": things})
		health := coretest.HealthOf(t, client, p.component)
		line := []string{filepath.Join(r.dir, p.name)}
		if p.component == event.InferenceEngine {
			line = append(line, "-model", filepath.Join(need.Root(t), "components/inference-engine/model/model.ubj"))
		}
		processes[p.name] = coretest.StartProgram(t, env, nil, line...)
		health.Await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	}
	if err := f.feed(warmUp); err != nil {
		return nil, err
	}
	before := make(map[string]time.Duration)
	for name, p := range processes {
		before[name] = cpuOf(t, p.Process.Pid)
	}
	if err := f.feed(r.rows); err != nil {
		return nil, err
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	samples := make(map[string]sample)
	for name, p := range processes {
		used := cpuOf(t, p.Process.Pid) - before[name]
		samples[name] = sample{
			cpu: float64(used.Microseconds()) / float64(r.rows+ending),
			rss: statusOf(t, p.Process.Pid, "VmRSS:"), peak: statusOf(t, p.Process.Pid, "VmHWM:"),
		}
	}
	return samples, nil
}

// feeder sends rows, and counts the predictions.
type feeder struct {
	run
	t       testing.TB
	client  *ipc.Client
	healthy []event.Values // rows that the model finds not faulty
	faulty  event.Values
	sent    int
	seq     map[string]uint64
	alerts  *ipc.Subscription[ipc.TopicMessage]

	mu     sync.Mutex
	counts map[string]int // predictions by thing
	total  int
	more   chan struct{} // there are more
}

// rows reads those of the shipped model's golden file.
func (f *feeder) rows() {
	_, lines := table.Read(f.t, filepath.Join(need.Root(f.t), "components/inference-engine/model/golden.csv"))
	f.seq = make(map[string]uint64)
	for _, line := range lines {
		switch margin := line[0]; {
		case margin < -5: // well below the model's threshold
			f.healthy = append(f.healthy, line[1:])
		case margin > 0:
			f.faulty = line[1:]
		}
	}
	if len(f.healthy) == 0 || f.faulty == nil {
		f.t.Fatal("the golden rows are all of one kind")
	}
}

// watch subscribes to what comes of the rows, until the core ends.
func (f *feeder) watch(core *localcore.Core) {
	client := coretest.Dial(f.t, coretest.Granted(f.t, core, "com.edgepdm.Watch"))
	f.alerts = coretest.Subscribe(f.t, client, "pdm/v1/alert/+")
	single, batches := coretest.Subscribe(f.t, client, event.FilterPrediction), coretest.Subscribe(f.t, client, event.TopicPredictionBatch)
	var work sync.WaitGroup
	for _, s := range []*ipc.Subscription[ipc.TopicMessage]{single, batches} {
		work.Go(func() {
			for m := range s.Events() {
				if s == single {
					p, err := event.DecodePrediction(m.Payload)
					f.count([]event.BatchedPrediction{{Prediction: p, Err: err}})
					continue
				}
				list, err := event.DecodePredictionBatch(m.Payload)
				if err != nil {
					f.t.Errorf("a batch of predictions: %v", err)
				}
				f.count(list)
			}
		})
	}
	f.t.Cleanup(func() {
		_ = client.Close()
		work.Wait()
	})
}

func (f *feeder) count(list []event.BatchedPrediction) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range list {
		if p.Err != nil {
			f.t.Errorf("a prediction: %v", p.Err)
			continue
		}
		f.counts[p.Thing]++
		f.total++
	}
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// feed sends n rows of the machines in turn, at the load's pace, and waits for their predictions.
func (f *feeder) feed(n int) error {
	var pace <-chan time.Time
	if f.load.rate > 0 {
		ticker := time.NewTicker(time.Second * time.Duration(f.load.batch) / time.Duration(f.load.rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	for n > 0 {
		var list []event.Telemetry
		for range min(n, f.load.batch) {
			list = append(list, f.row(fmt.Sprint("press-", f.sent%f.things+1), f.healthy[f.sent%len(f.healthy)]))
		}
		n -= len(list)
		if f.load.rate > 0 {
			<-pace
		}
		if err := errors.Join(f.send(list), f.await(f.sent-inFlow)); err != nil {
			return err
		}
	}
	return f.await(f.sent)
}

func (f *feeder) row(thing string, values event.Values) event.Telemetry {
	f.sent++
	f.seq[thing]++
	row := event.Telemetry{V: event.Version, Thing: thing, Line: "line-1", Epoch: "abcdef", Seq: f.seq[thing], TS: time.Now().UTC()}
	if f.load.batch > 1 {
		row.Packed = event.Packed(values)
	} else {
		row.Values = values
	}
	return row
}

// send publishes rows in a message.
func (f *feeder) send(list []event.Telemetry) error {
	encoded := make([][]byte, len(list))
	for i, row := range list {
		var err error
		if encoded[i], err = event.Encode(row); err != nil {
			return err
		}
	}
	topic, payload := event.TelemetryTopic(list[0].Thing), encoded[0]
	if f.load.batch > 1 {
		var taken int
		if payload, taken = event.JoinTelemetry(encoded); taken < len(list) {
			return fmt.Errorf("%d of %d rows go into a message", taken, len(list))
		}
		topic = event.TopicTelemetryBatch
	}
	return f.client.Publish(context.Background(), topic, payload)
}

// await waits until there are so many predictions.
func (f *feeder) await(n int) error {
	timeout := time.NewTimer(f.patience)
	defer timeout.Stop()
	for {
		f.mu.Lock()
		total := f.total
		f.mu.Unlock()
		if total >= n {
			return nil
		}
		select {
		case <-f.more:
		case <-timeout.C:
			return fmt.Errorf("%d predictions of %d rows", total, f.sent)
		}
	}
}

// end sends the marker's rows, and waits for its alert. Each row must have one prediction.
func (f *feeder) end() error {
	for range ending {
		if err := f.send([]event.Telemetry{f.row(marker, f.faulty)}); err != nil {
			return err
		}
	}
	if err := f.await(f.sent); err != nil {
		return err
	}
	timeout := time.After(f.patience)
	for alerted := false; !alerted; {
		select {
		case m := <-f.alerts.Events():
			a, err := event.DecodeAlert(m.Payload)
			if err != nil {
				return err
			}
			alerted = a.Thing == marker
		case <-timeout:
			return errors.New("no alert of the last rows")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for thing, n := range f.seq {
		if uint64(f.counts[thing]) != n {
			return fmt.Errorf("%d predictions of %d rows of %s", f.counts[thing], n, thing)
		}
	}
	return nil
}

// cpuOf is what all threads of a process have used.
func cpuOf(t testing.TB, pid int) time.Duration {
	text := must.Read(t, fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	var ticks int
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(string(field))
		must.OK(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}

// statusOf is a size in a process's status, in MiB.
func statusOf(t testing.TB, pid int, name string) float64 {
	_, rest, _ := bytes.Cut(must.Read(t, fmt.Sprintf("/proc/%d/status", pid)), []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		t.Fatalf("no %s of process %d", name, pid)
	}
	kib, err := strconv.Atoi(string(fields[0]))
	must.OK(t, err)
	return float64(kib) / 1024
}
