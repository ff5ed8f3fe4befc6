package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// site is the program itself on the embedded core, as a nucleus starts it, and a person who uses its commands.
type site struct {
	t       *testing.T
	program string
	core    *localcore.Core
	cloud   *localcloud.Cloud
	env     component.Environment
	client  *ipc.Client
	acks    *ipc.Subscription[ipc.TopicMessage]
	health  *coretest.Health
	run     *exec.Cmd

	mu      sync.Mutex
	arrived []string // at IoT Core: topic, a space and the message
	news    chan struct{}
}

func newSite(t *testing.T, config map[string]any) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, program: coretest.Build(t), core: coretest.Start(t), news: make(chan struct{}, 1)}
	s.client = coretest.Client(t, s.core)
	s.cloud = cloudtest.Start(t, func(o *localcloud.Options) { o.Publish = s.published })
	s.env = coretest.Environment(t, s.core, event.CloudForwarder, "cloud-forwarder", slog.New(slog.DiscardHandler))
	ends := s.cloud.Endpoints()
	merge := map[string]any{
		"healthInterval": "100ms", "retryMax": "100ms", "groupCommit": "0s", "sample": "0s", "heartbeat": "0s",
		"endpoints": map[string]any{"iotData": ends.IoTData, "sns": ends.SNS, "caFile": ends.CAFile},
	}
	for key, value := range config {
		merge[key] = value
	}
	coretest.Configure(t, s.core, event.CloudForwarder, merge)
	s.acks = coretest.Subscribe(t, s.client, "pdm/v1/ack/+")
	s.health = coretest.HealthOf(t, s.client, event.CloudForwarder)
	return s
}

func (s *site) published(topic string, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived = append(s.arrived, topic+" "+string(payload))
	select {
	case s.news <- struct{}{}:
	default:
	}
	return nil
}

// await waits until a message has arrived whose topic and text contain all of the parts.
func (s *site) await(parts ...string) string {
	s.t.Helper()
	for {
		s.mu.Lock()
		i := slices.IndexFunc(s.arrived, func(m string) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(m, part) })
		})
		var found string
		if i >= 0 {
			found = s.arrived[i]
		}
		s.mu.Unlock()
		if i >= 0 {
			return found
		}
		select {
		case <-s.news:
		case <-time.After(coretest.Patience):
			s.t.Fatalf("%q does not arrive", parts)
		}
	}
}

func (s *site) start() {
	s.t.Helper()
	more := []string{"AWS_IOT_THING_NAME=core-1"}
	for name, value := range cloudtest.Environment(s.cloud) {
		more = append(more, name+"="+value)
	}
	s.run = coretest.StartProgram(s.t, s.env, more, s.program)
}

func (s *site) kill() {
	s.t.Helper()
	must.OK(s.t, s.run.Process.Kill())
	_ = s.run.Wait() // it was killed
	s.health.Ended()
}

// command runs a command of the program, and returns what it wrote, and its exit code.
func (s *site) command(line ...string) (out, problem string, code int) {
	s.t.Helper()
	line = append(line, "-dir", s.env.WorkDir)
	c := exec.Command(s.program, line...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	_ = c.Run() // its exit code is looked at
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// done runs a command that has to succeed.
func (s *site) done(line ...string) string {
	s.t.Helper()
	out, problem, code := s.command(line...)
	if code != 0 {
		s.t.Fatalf("%q ends with %d: %s", line, code, problem)
	}
	return out
}

func (s *site) picture() map[string]forwarder.Waiting {
	s.t.Helper()
	var p forwarder.Picture
	must.OK(s.t, json.Unmarshal([]byte(s.done("spool", "list", "-json")), &p))
	streams := make(map[string]forwarder.Waiting)
	for _, w := range p.Streams {
		streams[w.Stream] = w
	}
	return streams
}

// publish publishes a message and waits until it is on disk.
func (s *site) publish(topic, id string, message any) {
	s.t.Helper()
	must.OK(s.t, s.client.Publish(s.t.Context(), topic, must.JSON(s.t, message)))
	for {
		select {
		case m := <-s.acks.Events():
			if a, err := event.DecodeAck(m.Payload); err == nil && slices.Contains(a.IDs, id) {
				return
			}
		case <-time.After(coretest.Patience):
			s.t.Fatalf("%s is not acknowledged", id)
		}
	}
}

func (s *site) predict(from, to uint64, at time.Time) (ids []string) {
	s.t.Helper()
	for seq := from; seq <= to; seq++ {
		p := event.Prediction{
			V: 1, ID: fmt.Sprintf("press-1-e-%d", seq), Thing: "press-1", Epoch: "e", Seq: seq, TS: at, Model: event.ModelRef{Version: "m1"},
			Label: event.LabelNotFaulty, Threshold: 0.5,
		}
		s.publish(event.PredictionTopic("press-1"), p.ID, p)
		ids = append(ids, p.ID)
	}
	return ids
}

// An operator sees what waits, looks at it, and has some of it dropped, whether the forwarder runs or not. What is dropped never
// arrives, all else does, and the cloud hears of the drops, whatever was killed in between.
func TestOperatorsHandOnTheSpool(t *testing.T) {
	s := newSite(t, nil)
	s.cloud.SetUplink(false)
	s.start()
	running := func() { s.health.Await("a state", func(h event.Health) bool { return h.State != event.StateStarting }) }
	running()
	now := time.Now().UTC().Truncate(time.Second)
	old := s.predict(1, 15, now.Add(-50*time.Hour))
	young := s.predict(16, 40, now)
	a := event.Alert{
		V: 1, ID: "alert-1", Thing: "press-1", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Severity: event.SeverityHigh, Since: now, TS: now, Text: "Look.",
	}
	s.publish(event.AlertTopic("press-1"), a.ID, a)

	// The same with the forwarder at work and without.
	look := func() {
		t.Helper()
		p := s.picture()["predictions"]
		if p.Records != 40 || p.First != 1 || p.Last != 40 || p.Segments != 1 || p.Bytes == 0 || !p.Oldest.Equal(now.Add(-50*time.Hour)) || !p.Newest.Equal(now) ||
			len(p.Bounds) < 2 || p.Problem != "" {
			t.Errorf("%+v", p)
		}
		if n := s.picture()["alerts-iot"].Records; n != 1 {
			t.Errorf("%d alerts wait", n)
		}
		for line := range strings.Lines(s.done("spool", "list")) {
			if len(line) > 81 {
				t.Errorf("%d columns: %s", len(line)-1, line)
			}
		}
		var ids []string
		for line := range strings.Lines(s.done("spool", "show", "predictions", "-n", "0", "-json")) {
			var m struct {
				ID, Topic string
				Seq       int
				Message   event.Prediction
			}
			must.OK(t, json.Unmarshal([]byte(line), &m))
			if ids = append(ids, m.ID); m.Seq != len(ids) || m.Topic != event.PredictionTopic("press-1") || m.Message.ID != m.ID {
				t.Errorf("%s", line)
			}
		}
		if !slices.Equal(ids, append(slices.Clone(old), young...)) {
			t.Errorf("shown are %v", ids)
		}
		if out := s.done("spool", "show", "predictions", "-from", "30", "-n", "2"); !strings.HasPrefix(out, "30  press-1-e-30  ") || !strings.Contains(out, "\n31  press-1-e-31  ") ||
			!strings.HasSuffix(out, "\n2 of 40 messages\n") {
			t.Errorf("%s", out)
		}
		if out := s.done("spool", "show", "-id", "press-1-e-22", "predictions"); strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, "22  press-1-e-22  ") {
			t.Errorf("%s", out)
		}
	}
	look()
	s.kill()
	look()

	refused := func(code int, text string, line ...string) {
		t.Helper()
		if out, problem, got := s.command(line...); got != code || !strings.Contains(out+problem, text) {
			t.Errorf("%q ends with %d: %s%s", line, got, out, problem)
		}
	}
	choices := "alerts-iot, alerts-iot-later, predictions, label-changes"
	refused(2, `there is no stream "forecasts": there are `+choices, "spool", "show", "forecasts")
	refused(2, "name a stream: there are "+choices, "spool", "drop", "-all", "-yes")
	refused(2, "one of -before, -older and -all", "spool", "drop", "predictions", "-yes")
	refused(2, "nobody can be asked here: say -yes", "spool", "drop", "predictions", "-all")
	refused(2, "say -alerts", "spool", "drop", "alerts-iot", "-all", "-yes")
	refused(2, "no time such as", "spool", "drop", "predictions", "-before", "noon", "-yes")
	refused(1, `no message with the id "x" waits in predictions`, "spool", "show", "predictions", "-id", "x")
	refused(0, "no such message waits", "spool", "drop", "predictions", "-older", "60h", "-yes")

	// Without a forwarder the order waits for one, and is obeyed once.
	refused(1, "it is done when the component runs", "spool", "drop", "predictions", "-older", "48h", "-yes", "-timeout", "1ms")
	s.start()
	s.health.Await("the drop", func(h event.Health) bool {
		return h.Counters["stream.predictions.dropped.operator"] == uint64(len(old))
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.picture()["predictions"].Dropped["operator"] != 15 { // it goes to the disk a little later
		<-tick.C
	}
	if p := s.picture()["predictions"]; p.Records != uint64(len(young)) || p.First != 16 {
		t.Errorf("%+v", p)
	}
	// With one it is obeyed at once. That it was is on disk with the answer.
	if out := s.done("spool", "drop", "predictions", "-all", "-yes"); !strings.Contains(out, "25 messages of predictions are dropped, and 0 wait") {
		t.Errorf("%s", out)
	}
	s.kill()
	if p := s.picture()["predictions"]; p.Records != 0 || p.Dropped["operator"] != 40 {
		t.Errorf("%+v", p)
	}
	s.start()
	running()
	s.predict(41, 41, now)
	s.cloud.SetUplink(true)
	s.await("/pdm/v1/alert/press-1 ", `"alert-1"`)
	s.await("/pdm/v1/prediction/press-1 ", `"press-1-e-41"`)
	s.await("/pdm/v1/dropped ", `"messages":{"predictions.operator":40}`)

	for s.picture()["alerts-iot"].Records+s.picture()["predictions"].Records > 0 { // the answers, too, have arrived
		<-tick.C
	}
	// Alerts go only where somebody says so.
	s.cloud.SetUplink(false)
	for _, id := range []string{"alert-2", "alert-3"} {
		a.ID = id
		s.publish(event.AlertTopic("press-1"), id, a)
	}
	if out := s.done("spool", "drop", "alerts-iot", "-all", "-yes", "-alerts"); !strings.Contains(out, "2 messages of alerts-iot are dropped, and 0 wait") {
		t.Errorf("%s", out)
	}
	s.cloud.SetUplink(true)
	s.predict(42, 42, now) // by which the forwarder knows that the cloud is there
	s.await("/pdm/v1/dropped ", `"messages":{"alerts-iot.operator":2}`)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.arrived {
		if strings.Contains(m, "/prediction/") && !strings.Contains(m, `"press-1-e-4`) || strings.Contains(m, `"press-1-e-40"`) ||
			strings.Contains(m, `"alert-2"`) || strings.Contains(m, `"alert-3"`) {
			t.Errorf("it was dropped, and arrives: %s", m)
		}
	}
}
