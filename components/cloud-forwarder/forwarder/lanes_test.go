package forwarder_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// High alerts wait for no others: those of medium and low severity have a lane of their own, to IoT Core and to SNS.
func TestHighAlertsGoFirst(t *testing.T) {
	r := newRig(t)
	r.hook(func(_ string, payload []byte) error {
		if strings.HasPrefix(idOf(payload), "medium") { // they hang until the high one is there
			r.iot.await(t, "the high one", has("high"))
		}
		return nil
	})
	r.start()
	var ids []string
	for i := range 20 {
		a := r.alert(fmt.Sprintf("medium-%02d", i), func(a *event.Alert) {
			a.Severity = event.SeverityMedium
			if i%2 == 1 {
				a.Severity = event.SeverityLow
			}
		})
		ids = append(ids, a.ID)
	}
	r.acks.await(t, "acknowledgements", has(ids...))
	r.alert("high")
	r.iot.await(t, "all", has(append(ids, "high")...))
	r.awaitSNS(has(append(ids, "high")...))
	r.await("each stream's count", func(h event.Health) bool {
		return h.Counters["stream.alerts-iot.accepted"] == 1 && h.Counters["stream.alerts-iot-later.accepted"] == 20 &&
			h.Counters["stream.alerts-sns.accepted"] == 1 && h.Counters["stream.alerts-sns-later.accepted"] == 20
	})
	checkOrder(t, r.iot, "/alert/", append([]string{"high"}, ids...))
}

// The end of an alarm arrives behind the alert that raised it, though the rules give it another priority meanwhile.
func TestTheEndOfAnAlarmFollowsItsRaise(t *testing.T) {
	r := newRig(t)
	r.hook(func(_ string, payload []byte) error {
		if idOf(payload) == "raise" { // it hangs until another alarm's end, which was accepted later, is there
			r.iot.await(t, "the other end", has("other"))
		}
		return nil
	})
	r.start()
	end := func(a *event.Alert) { a.State = event.AlarmNormal }
	r.alert("raise", func(a *event.Alert) { a.Severity = event.SeverityMedium })
	r.alert("end", end)
	r.alert("other", end, func(a *event.Alert) { a.Since = someTime.Add(time.Hour) })
	r.iot.await(t, "all", has("raise", "end", "other"))
	checkOrder(t, r.iot, "/alert/", []string{"other", "raise", "end"})
	r.await("nothing waits", func(h event.Health) bool { return h.Drained() && h.Counters["stream.alerts-sns-later.accepted"] == 2 })
}

// Escalated alerts go to the topics of their steps, where there are some; what is not for people goes to IoT Core only.
func TestWhoIsTold(t *testing.T) {
	r := newRig(t)
	topic := r.cloud.Endpoints().TopicARN
	r.configure(map[string]any{"escalationTopicArns": []any{topic + "-step-1", topic + "-step-2"}})
	r.start()
	no := false
	r.alert("quiet", func(a *event.Alert) { a.SNS = &no })
	for step := range 4 {
		r.alert(fmt.Sprintf("step-%d", step), func(a *event.Alert) { a.Step = step })
	}
	r.iot.await(t, "all", has("quiet", "step-0", "step-1", "step-2", "step-3"))
	counts := r.awaitSNS(has("step-0", "step-1", "step-2", "step-3"))
	if counts["quiet"] != 0 {
		t.Error("what is not for people was told to them")
	}
	base := topic[strings.LastIndexByte(topic, ':')+1:]
	for i, want := range []string{base, base + "-step-1", base + "-step-2", base + "-step-2"} {
		m := r.cloud.Mails()[i]
		if m.Topic != want || m.Attributes["thing"] != "press-1" || m.Attributes["core"] != "core-1" || m.Attributes["priority"] != "high" {
			t.Errorf("step %d went to %s: %v", i, m.Topic, m.Attributes)
		}
	}
}

// Labels and the figures of a day are kept and delivered as events of models are: through a cut uplink, and once.
func TestLabelsAndFiguresAreForwarded(t *testing.T) {
	r := newRig(t)
	r.start()
	r.cloud.SetUplink(false)
	label := event.Label{V: 1, ID: "label-1", Thing: "press-1", Fault: event.FaultMachine, Since: someTime, Outcome: "confirmed", TS: someTime}
	kpi := map[string]any{"v": 1, "id": "kpi-1", "day": "2026-11-27", "ts": someTime, "raised": 7}
	for range 2 { // the acknowledgement was lost
		r.publish(event.LabelTopic("press-1"), label)
		r.publish(event.TopicAlarmKPI, kpi)
	}
	r.publish(event.LabelTopic("press-1"), map[string]any{"v": 1, "id": "bad"})
	r.publish(event.TopicAlarmKPI, map[string]any{"v": 1})
	r.acks.await(t, "acknowledgements", func(n map[string]int) bool { return n["label-1"] == 2 && n["kpi-1"] == 2 })
	h := r.awaitCounter("message.invalid", 2)
	if h.Counters["stream.alerts-iot-later.accepted"] != 2 {
		t.Errorf("%v", h.Counters)
	}
	r.cloud.SetUplink(true)
	r.iot.await(t, "both", has("label-1", "kpi-1"))
	topics := make(map[string]string)
	for _, a := range r.iot.all() {
		topics[idOf(a.payload)] = a.topic
	}
	if topics["label-1"] != "edgepdm/core-1/pdm/v1/label/press-1" || topics["kpi-1"] != "edgepdm/core-1/pdm/v1/alarm/kpi" {
		t.Errorf("topics %v", topics)
	}
}

// The cloud hears again and again how the site's components are; what nobody can deliver is not kept.
func TestHeartbeat(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"heartbeat": "1s"})
	beats := make(chan event.Heartbeat, 100)
	r.hook(func(topic string, payload []byte) error {
		if topic == "edgepdm/core-1/pdm/v1/health" {
			var b event.Heartbeat
			if err := json.Unmarshal(payload, &b); err != nil {
				t.Errorf("%s: %v", payload, err)
			}
			select {
			case beats <- b:
			default:
			}
		}
		return nil
	})
	r.start()
	engine := event.Health{
		V: 1, Component: event.InferenceEngine, TS: time.Now(), State: event.StateNoModel, Detail: "there is no model",
		Counters: map[string]uint64{"telemetry.rows": 7},
	}
	timeout := time.After(patience)
	for { // the forwarder may not listen to it yet
		r.publish(event.HealthTopic(engine.Component), engine)
		r.publish(event.HealthTopic("com.example.Noise"), "noise")
		select {
		case b := <-beats:
			if len(b.Components) < 2 {
				continue
			}
			own, heard := b.Components[0], b.Components[1]
			if b.Core != "core-1" || b.IntervalMS != 1000 || own.Component != event.CloudForwarder || own.State != event.StateOK || own.Uplink != event.UplinkUp && own.Uplink != "" ||
				heard.Component != event.InferenceEngine || heard.State != event.StateNoModel || heard.Counters["telemetry.rows"] != 7 {
				t.Errorf("%+v", b)
			}
		case <-timeout:
			t.Fatal("no heartbeat names the engine")
		}
		break
	}
	r.cloud.SetUplink(false)
	h := r.await("one that fails", func(h event.Health) bool { return h.Counters["heartbeat.failed"] > 0 })
	if !h.Drained() {
		t.Errorf("a heartbeat is kept: %v", h.Counters)
	}
}
