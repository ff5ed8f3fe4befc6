package console_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgepdm/components/operator-console/console"
	"edgepdm/components/operator-console/picture"
	"edgepdm/components/operator-console/web"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

const patience = 30 * time.Second

// rig is a console on the embedded core, with its real recipe, and a page that listens.
type rig struct {
	t      *testing.T
	client *ipc.Client
	url    string
	page   map[picture.Kind]map[string]json.RawMessage
	news   *bufio.Reader
}

func newRig(t *testing.T, mode localcore.Mode, config map[string]any) *rig {
	t.Helper()
	core := coretest.Start(t, func(o *localcore.Options) { o.Mode = mode })
	env := coretest.Environment(t, core, event.OperatorConsole, "operator-console", slog.New(slog.DiscardHandler))
	address := freeAddress(t)
	coretest.Configure(t, core, event.OperatorConsole, map[string]any{"healthInterval": "100ms", "address": address})
	coretest.Configure(t, core, event.OperatorConsole, config)
	r := &rig{t: t, client: coretest.Client(t, core), url: "http://" + address}
	health, err := r.client.Subscribe(t.Context(), event.HealthTopic(event.OperatorConsole), "")
	must.OK(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- component.Run(ctx, component.Spec[console.Config]{
			Name: event.OperatorConsole, Default: console.Default, Run: console.Console{Now: time.Now}.Run,
		}, env)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the console ended with %v", err)
		}
	})
	for {
		h, err := event.DecodeHealth(r.next(health).Payload)
		must.OK(t, err)
		if h.State == event.StateOK {
			break
		}
	}
	r.listen("")
	return r
}

// get asks the page's server for JSON.
func (r *rig) get(path string, into any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	must.OK(r.t, err)
	resp, err := http.DefaultClient.Do(req)
	must.OK(r.t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s", path, resp.Status)
	}
	must.OK(r.t, json.NewDecoder(resp.Body).Decode(into))
}

// Rows of a machine are heard while a page shows it, singly and in batches.
func TestRowsAreHeardWhileSomebodyLooks(t *testing.T) {
	for name, mode := range map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mode, nil)
			var got web.Live
			for seq, batch := range []bool{false, true} {
				x := float32(seq) + 70.5
				row := event.Telemetry{V: 1, Thing: fmt.Sprint("press-", seq), Epoch: "e", Seq: 1, TS: time.Now().UTC(), Readings: event.Readings{"oil_temp": x}}
				topic, message := event.TelemetryTopic(row.Thing), any(row)
				if batch {
					topic, message = event.TopicTelemetryBatch, event.TelemetryBatch{V: 1, Rows: []event.Telemetry{row}}
				}
				r.publish(topic, message)
				if r.get("/api/live?thing="+row.Thing, &got); got.TS != 0 {
					t.Errorf("a row from before somebody looked: %+v", got)
				}
				for deadline := time.Now().Add(patience); got.TS == 0 && !time.Now().After(deadline); {
					r.publish(topic, message)
					r.get("/api/live?thing="+row.Thing, &got)
				}
				if len(got.Values) != 1 || got.Values[0] == nil || *got.Values[0] != x || got.Sensors[0].Sensor != "oil_temp" {
					t.Errorf("%s: %+v", topic, got)
				}
				got = web.Live{}
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (r *rig) next(sub *ipc.Subscription[ipc.TopicMessage]) ipc.TopicMessage {
	r.t.Helper()
	select {
	case m := <-sub.Events():
		return m
	case <-time.After(patience):
		r.t.Fatal("no message")
		return ipc.TopicMessage{}
	}
}

// listen opens the stream of a page that has had the event with the id last.
func (r *rig) listen(id string) {
	r.t.Helper()
	var resp *http.Response
	deadline := time.Now().Add(patience)
	for {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+"/api/stream", nil)
		must.OK(r.t, err)
		req.Header.Set("Last-Event-ID", id)
		if resp, err = http.DefaultClient.Do(req); err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	r.page, r.news = make(map[picture.Kind]map[string]json.RawMessage), bufio.NewReader(resp.Body)
}

// until takes news until the page shows what is wanted.
func (r *rig) until(what string, shows func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !shows(); {
		line, err := r.news.ReadString('\n')
		if err != nil || time.Now().After(deadline) {
			r.t.Fatalf("%s is not shown: %v; %s", what, err, r.page)
		}
		data, is := strings.CutPrefix(line, "data: ")
		if !is {
			continue
		}
		var d picture.Delta
		must.OK(r.t, json.Unmarshal([]byte(data), &d))
		if d.Reset {
			clear(r.page)
		}
		for kind, of := range d.Set {
			for key, record := range of {
				if r.page[kind] == nil {
					r.page[kind] = make(map[string]json.RawMessage)
				}
				r.page[kind][key] = record
			}
		}
		for kind, keys := range d.Gone {
			for _, key := range keys {
				delete(r.page[kind], key)
			}
		}
	}
}

func (r *rig) publish(topic string, message any) {
	r.t.Helper()
	payload, err := event.Encode(message)
	must.OK(r.t, err)
	must.OK(r.t, r.client.Publish(r.t.Context(), topic, payload))
}

func (r *rig) has(kind picture.Kind, key, part string) func() bool {
	return func() bool { return bytes.Contains(r.page[kind][key], []byte(part)) }
}

// What components say is on the page; a command of the page gets to the component, and its answer to the page.
func TestThePageShowsThePlant(t *testing.T) {
	for name, mode := range map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, mode, nil)
			now := time.Now().UTC()
			r.publish(event.PredictionTopic("press-1"), event.Prediction{
				V: 1, ID: "a", Thing: "press-1", Line: "line-1", Epoch: "e", Seq: 1, TS: now, Probability: 0.93, Label: event.LabelFaulty, Threshold: 0.5,
			})
			r.until("the machine", r.has(picture.Things, "press-1", `"p":0.93`))
			r.publish(event.TopicAlarmEvent, map[string]any{
				"v": 1, "n": 7, "ts": now, "change": "raised", "thing": "press-1", "fault": "machine-fault", "state": "UNACKNOWLEDGED", "active": true, "severity": "high",
			})
			r.until("the alarm", r.has(picture.Alarms, "press-1 machine-fault", `"state":"UNACKNOWLEDGED"`))
			commands, err := r.client.Subscribe(t.Context(), event.TopicEngineerAlarm, "")
			must.OK(t, err)
			answered := make(chan string, 1)
			go func() {
				body := `{"to":"alarm","message":{"do":"acknowledge","thing":"press-1","id":"mine","by":"somebody else"}}`
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/api/command", strings.NewReader(body))
				if err != nil {
					answered <- err.Error()
					return
				}
				req.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					answered <- err.Error()
					return
				}
				defer func() { _ = resp.Body.Close() }()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					text = []byte(err.Error())
				}
				answered <- string(text)
			}()
			var command struct{ ID, Do, By string }
			must.OK(t, json.Unmarshal(r.next(commands).Payload, &command))
			if command.Do != "acknowledge" || command.By != "console" || command.ID == "mine" {
				t.Errorf("%+v", command)
			}
			r.publish(event.ReplyTopic(event.TopicEngineerAlarm), event.Reply{V: 1, ID: command.ID, OK: true, Text: "acknowledged: press-1"})
			if got := <-answered; got != `{"ok":true,"text":"acknowledged: press-1"}`+"\n" {
				t.Errorf("%s", got)
			}
			r.publish(event.TopicAlarmSnapshot, map[string]any{"v": 1, "part": 1, "parts": 1, "alarms": []any{}})
			r.until("no alarm", func() bool { return len(r.page[picture.Alarms]) == 0 })
		})
	}
}
