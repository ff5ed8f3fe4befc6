package forwarder_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
)

// subscribeToIoTCore makes r.iot hear what the nucleus publishes to IoT Core.
func (r *rig) subscribeToIoTCore() {
	r.t.Helper()
	sub, err := r.client.SubscribeToIoTCore(r.t.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "edgepdm/#", QoS: ipc.AtLeastOnce})
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		for m := range sub.Events() {
			r.iot.add(m.Message.TopicName, m.Message.Payload, idOf(m.Message.Payload))
		}
	}()
}

// With predictionSink iotcore-ipc predictions go through the nucleus, and while that is online none is lost; alerts never
// take this way.
func TestPredictionsThroughTheNucleus(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"predictionSink": "iotcore-ipc"})
	r.subscribeToIoTCore()
	r.cloud.SetUplink(false)
	r.start()
	ids := r.ontoDisk(1, 200)
	r.iot.await(t, "predictions", has(ids...))
	checkOrder(t, r.iot, "edgepdm/core-1/pdm/v1/prediction/press-1", ids)
	if h := r.awaitCounter("stream.predictions.sent", 200); h.Uplink != "" {
		t.Errorf("the nucleus does not tell whether the uplink is %s", h.Uplink)
	}
	r.alert("a-1")
	r.awaitUplink(event.UplinkDown)
	if n := r.iot.counts()["a-1"]; n != 0 {
		t.Errorf("the alert came %d times", n)
	}
	r.cloud.SetUplink(true)
	r.iot.await(t, "alert", has("a-1"))
}

// A nucleus that tells whether it is connected to IoT Core is heard, of either kind. Of one that does not know the operation
// the results of publishing tell: a classic nucleus takes messages while it is offline, nucleus lite refuses them.
func TestConnectionOfTheNucleus(t *testing.T) {
	for _, mode := range []localcore.Mode{localcore.Classic, localcore.Lite} {
		for _, tells := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v %v", mode, tells), func(t *testing.T) {
				r := newRig(t, func(o *localcore.Options) { o.Mode, o.ConnectionStatus = mode, tells })
				r.configure(map[string]any{"predictionSink": "iotcore-ipc"})
				r.core.SetIoTCoreOnline(false)
				r.start()
				if !tells {
					r.predict(1, 3)
					if mode == localcore.Lite {
						r.awaitState(event.StateDegraded, "predictions deliver: PublishToIoTCore: ServiceError")
						return
					}
					r.awaitCounter("stream.predictions.sent", 3)
					if h := r.awaitState(event.StateOK, ""); h.Uplink != "" {
						t.Errorf("%+v", h)
					}
					return
				}
				r.awaitUplink(event.UplinkDown)
				r.core.SetIoTCoreOnline(true)
				r.awaitUplink(event.UplinkUp)
				r.core.SetIoTCoreOnline(false)
				r.awaitUplink(event.UplinkDown)
			})
		}
	}
}

// F2: what the nucleus has taken is not delivered: while it is offline it keeps messages in memory, and a restart of it
// loses them. iot-data keeps them on disk. That is why iot-data is the default.
func TestWhatTheNucleusLoses(t *testing.T) {
	for sink, want := range map[string]int{"iotcore-ipc": 0, "iot-data": 20} {
		t.Run(sink, func(t *testing.T) {
			r := newRig(t)
			r.configure(map[string]any{"predictionSink": sink})
			r.core.SetIoTCoreOnline(false) // the same cut for both
			r.cloud.SetUplink(false)
			r.start()
			ids := r.ontoDisk(1, 20)
			if want == 0 {
				r.awaitCounter("stream.predictions.sent", uint64(len(ids)))
			} else {
				r.awaitUplink(event.UplinkDown)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r.stop()
			if err := r.core.Close(ctx); err != nil { // as when the nucleus is restarted
				t.Fatal(err)
			}
			if got := onDisk(t, r.path("spool", "predictions")); len(got) != want {
				t.Errorf("%d of %d predictions are left, want %d", len(got), len(ids), want)
			}
		})
	}
}

// While the nucleus refuses further messages, as its memory is full, they wait on disk.
func TestNucleusThatIsFull(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"predictionSink": "iotcore-ipc"})
	r.subscribeToIoTCore()
	r.core.SetIoTCoreOnline(false)
	ids := r.backlogOf(700, 4200) // more than the 2.5 MB of a nucleus
	r.start()
	r.awaitState(event.StateDegraded, "predictions deliver: PublishToIoTCore: ServiceError")
	r.core.SetIoTCoreOnline(true)
	r.iot.await(t, "all", has(ids...))
	checkOrder(t, r.iot, "/prediction/", ids)
	r.awaitState(event.StateOK, "")
}
