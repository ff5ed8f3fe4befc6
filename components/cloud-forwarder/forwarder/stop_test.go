package forwarder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/coretest"
)

// backlog puts n predictions on disk while the forwarder is not running, and returns their ids.
func (r *rig) backlog(n int) []string {
	r.t.Helper()
	return r.backlogOf(n, 0)
}

// backlogOf does the same with predictions of that size.
func (r *rig) backlogOf(n, size int) []string {
	r.t.Helper()
	var ids []string
	var records []spool.Record
	for seq := uint64(1); seq <= uint64(n); seq++ {
		p := prediction("press-1", seq)
		p.Text = strings.Repeat("x", max(0, size-len(encode(r.t, p))))
		ids = append(ids, p.ID)
		records = append(records, r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(r.t, p)))
	}
	r.store("predictions", records...)
	return ids
}

// record is a queue's, of a message.
func (r *rig) record(stream, id, topic string, message json.RawMessage) spool.Record {
	r.t.Helper()
	return spool.Record{
		Stream: stream, ID: id, Time: someTime.UnixNano(),
		Payload: encode(r.t, map[string]any{"topic": topic, "message": message}),
	}
}

func (r *rig) store(stream string, records ...spool.Record) {
	r.t.Helper()
	queue, err := spool.Open(r.path("spool", stream), spool.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := queue.Append(r.t.Context(), records...); err != nil {
		r.t.Fatal(err)
	}
	if err := queue.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// F10: the forwarder stops at once although no server answers, with the slowest group commit too; what it had received is
// acknowledged, and the next process delivers it.
func TestStopsWhileServersHang(t *testing.T) {
	r := newRig(t)
	hanging := make(chan struct{}, 100)
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		hanging <- struct{}{}
		select {
		case <-q.Context().Done():
		case <-end:
		}
	}))
	t.Cleanup(func() { close(end); server.Close() })
	ends := r.cloud.Endpoints()
	r.configure(map[string]any{"groupCommit": "10s", "endpoints": map[string]any{"iotData": server.URL, "sns": server.URL}})
	r.start()
	r.alert("a-1")
	<-hanging
	<-hanging
	ids := r.predict(1, 200)
	r.awaitPredictions(200)
	begin := time.Now()
	r.stop()
	took := time.Since(begin)
	if took > 4*time.Second {
		t.Errorf("stopping took %v", took)
	}
	t.Logf("stopping took %v", took)
	r.acks.await(t, "acknowledgements", has(append(ids, "a-1")...))
	r.start()
	r.configure(map[string]any{"groupCommit": "10ms", "endpoints": map[string]any{"iotData": ends.IoTData, "sns": ends.SNS}})
	r.iot.await(t, "messages", has(append(ids, "a-1")...))
	r.awaitSNS(has("a-1"))
	for _, a := range r.iot.all() {
		if a.ids[0] == "a-1" && !a.replayed() {
			t.Errorf("the alert may have arrived before: %s", a.payload)
		}
	}
}

// A request that is under way when the forwarder is to stop, or gets another configuration, may end: the message does not
// come twice for that.
func TestRequestUnderWayMayEnd(t *testing.T) {
	r := newRig(t)
	under := make(chan struct{})
	r.hook(func(string, []byte) error {
		close(under)
		<-time.After(200 * time.Millisecond)
		return nil
	})
	r.start()
	p := prediction("press-1", 1)
	r.publish(event.PredictionTopic(p.Thing), p)
	<-under
	r.stop()
	if left := onDisk(t, r.path("spool", "predictions")); len(left) != 0 || r.iot.counts()[p.ID] != 1 {
		t.Errorf("%v would be sent again; it arrived %d times", left, r.iot.counts()[p.ID])
	}
}

// awaitPredictions waits until the forwarder has received n predictions: the numbers of another thing tell.
func (r *rig) awaitPredictions(n uint64) {
	r.t.Helper()
	r.publish(event.PredictionTopic("press-9"), prediction("press-9", 1))
	r.publish(event.PredictionTopic("press-9"), prediction("press-9", n+2))
	r.awaitCounter(forwarder.CounterMissed, n)
}

// childWorkDir makes this test binary a forwarder, which a test kills.
const childWorkDir = "EDGEPDM_TEST_FORWARDER"

func TestMain(m *testing.M) {
	dir := os.Getenv(childWorkDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	env := component.OSEnvironment()
	env.WorkDir, env.Log = dir, slog.New(slog.DiscardHandler)
	f := &forwarder.Forwarder{Core: "core-1", Getenv: os.Getenv, Now: time.Now}
	err := component.Run(context.Background(), component.Spec[forwarder.Config]{Name: forwarderName, Default: forwarder.Default, Run: f.Run}, env)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// spawn starts the forwarder as a process of its own, waits until it is at work, and returns what kills it with SIGKILL.
func (r *rig) spawn() (kill func()) {
	r.t.Helper()
	program, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	more := append(os.Environ(), childWorkDir+"="+r.env.WorkDir)
	for name, value := range r.vars {
		more = append(more, name+"="+value)
	}
	child := coretest.StartProgram(r.t, r.env, more, program)
	kill = sync.OnceFunc(func() {
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
		r.health.Ended()
	})
	r.t.Cleanup(kill)
	r.await("OK", func(h event.Health) bool { return h.State == event.StateOK })
	return kill
}

// F1, F3 and F10: killed with SIGKILL again and again while messages flow, the forwarder loses nothing that it acknowledged.
func TestKilled(t *testing.T) {
	r := newRig(t)
	var seq uint64
	var alerts []string
	for round := range 4 {
		kill := r.spawn()
		r.cloud.SetUplink(round%2 == 0) // half the time there is a backlog
		for range 5 {
			r.predict(seq+1, seq+40)
			seq += 40
			alerts = append(alerts, r.alert(fmt.Sprintf("a-%d", seq)).ID)
		}
		r.acks.await(t, "acknowledgement", has(alerts[len(alerts)-3]))
		kill()
	}
	r.cloud.SetUplink(true)
	r.start()
	for _, id := range alerts { // as their owner does until they are acknowledged
		if r.acks.counts()[id] == 0 {
			r.alert(id)
		}
	}
	r.acks.await(t, "acknowledgements", has(alerts...))
	acknowledged := slices.Collect(maps.Keys(r.acks.counts()))
	r.iot.await(t, "what was acknowledged", has(acknowledged...))
	r.awaitSNS(has(alerts...))
	t.Logf("%d of %d messages were acknowledged by processes that were killed", len(acknowledged), int(seq)+len(alerts))
}

// A change of the configuration while messages flow loses none, and leaves no goroutines and no connections behind.
func TestConfigurationChangesLoseNothing(t *testing.T) {
	r := newRigAlone(t) // as it counts goroutines
	r.start()
	before := 0
	var ids, alerts []string
	for i := range uint64(12) {
		ids = append(ids, r.predict(100*i+1, 100*i+50)...)
		var changing sync.WaitGroup
		changing.Go(func() { r.configure(map[string]any{"timeout": fmt.Sprintf("%dms", 5000+i)}) })
		ids = append(ids, r.predict(100*i+51, 100*i+100)...)
		alerts = append(alerts, r.alert(fmt.Sprintf("a-%d", i)).ID)
		changing.Wait()
		r.iot.await(t, "messages", has(append(ids, alerts...)...))
		if i == 2 {
			before = settled()
		}
	}
	r.awaitSNS(has(alerts...))
	checkOrder(t, r.iot, "/prediction/", ids)
	checkOrder(t, r.iot, "/alert/", alerts)
	if after := settled(); after > before+8 { // connections come and go
		t.Errorf("%d goroutines after 3 changes, %d after 12", before, after)
	}
	h := r.awaitState(event.StateOK, "")
	if h.Counters[forwarder.CounterRefused] != 0 || h.Counters[forwarder.CounterOverrun] != 0 {
		t.Errorf("%+v", h)
	}
}

// settled returns the number of goroutines once it has not changed for a while.
func settled() int {
	n, since := runtime.NumGoroutine(), time.Now()
	for time.Since(since) < 100*time.Millisecond {
		<-time.After(5 * time.Millisecond)
		if now := runtime.NumGoroutine(); now != n {
			n, since = now, time.Now()
		}
	}
	return n
}
