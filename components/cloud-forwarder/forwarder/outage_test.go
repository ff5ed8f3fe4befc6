package forwarder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// F2 and F3: a message whose request was cut is sent again, with the same id and time and the mark; it leaves the disk
// only on the answer.
func TestResendIsMarked(t *testing.T) {
	r := newRig(t)
	under := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	r.hook(func(string, []byte) error {
		once.Do(func() {
			close(under)
			<-release
		})
		return nil
	})
	r.start()
	p := prediction("press-1", 1)
	r.publish(event.PredictionTopic(p.Thing), p)
	<-under
	r.cloud.SetUplink(false) // in the middle of the request: the cloud has it, the answer is lost
	close(release)
	r.awaitUplink(event.UplinkDown)
	r.awaitCounter("stream.predictions.depth", 1)
	r.cloud.SetUplink(true)
	r.iot.await(t, "resend", times(p.ID, 2))
	r.awaitUplink(event.UplinkUp)
	arrived := r.iot.all()
	if arrived[0].replayed() || !arrived[1].replayed() || len(arrived) != 2 {
		t.Errorf("first %s\nthen %s", arrived[0].payload, arrived[1].payload)
	}
	var again event.Prediction
	if err := json.Unmarshal(arrived[1].payload, &again); err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%+v (%v), want %+v", again, err, p)
	}
	r.awaitCounter("stream.predictions.depth", 0)
}

// F2 and F4: whenever the uplink is cut, every message arrives, in order, and twice only with the mark.
func TestCutsLoseNothing(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	n := 0
	r.hook(func(string, []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%60 == 0 {
			r.cloud.SetUplink(false) // which cuts this very request: the answer is lost
			r.cloud.SetUplink(true)
		}
		return nil
	})
	r.start()
	var alerts []string
	var predictions []string
	for seq := uint64(1); seq <= 300; seq += 10 {
		predictions = append(predictions, r.predict(seq, seq+9)...)
		alerts = append(alerts, r.alert(fmt.Sprintf("a-%d", seq)).ID)
	}
	r.iot.await(t, "messages", has(slices.Concat(predictions, alerts)...))
	r.awaitSNS(has(alerts...))
	if n := len(r.iot.all()) - len(predictions) - len(alerts); n == 0 {
		t.Error("no cut made a duplicate: the test shows little")
	} else {
		t.Logf("%d messages came twice", n)
	}
	checkOrder(t, r.iot, "/prediction/", predictions)
	checkOrder(t, r.iot, "/alert/", alerts)
}

// F6: alerts do not wait for predictions that wait for IoT Core.
func TestAlertsOvertakePredictions(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(2000)
	slow := make(chan struct{}) // of the predictions' endpoint
	r.hook(func(topic string, _ []byte) error {
		if strings.Contains(topic, "/prediction/") {
			<-slow
		}
		return nil
	})
	r.start()
	for i := range 20 {
		id := fmt.Sprintf("a-%d", i)
		r.alert(id)
		r.iot.await(t, "alert", has(id))
		r.awaitSNS(has(id))
	}
	if n := len(r.iot.all()); n != 20 {
		t.Errorf("%d messages at IoT Core, want the 20 alerts only", n)
	}
	close(slow)
	r.iot.await(t, "predictions", has(ids...))
	checkOrder(t, r.iot, "/prediction/", ids)
}

// F6: SNS gets alerts while IoT Core cannot be reached, and the uplink is then reported as down.
func TestSNSWorksWithoutIoTCore(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"endpoints": map[string]any{"iotData": "http://" + freeAddress(t)}})
	r.start()
	for i := range 3 {
		id := fmt.Sprintf("a-%d", i)
		r.alert(id)
		r.awaitSNS(has(id))
	}
	r.awaitUplink(event.UplinkDown)
	r.configure(map[string]any{"endpoints": map[string]any{"iotData": r.cloud.Endpoints().IoTData}})
	r.iot.await(t, "alerts", has("a-0", "a-1", "a-2"))
	r.awaitUplink(event.UplinkUp)
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// F7: throttling and the service's own failures are tried again, and are no reason for a dead letter.
func TestThrottlingIsTriedAgain(t *testing.T) {
	r := newRig(t)
	if err := errors.Join(r.cloud.Throttle("iotdata", 5), r.cloud.Throttle("sns", 4)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	failures := 3
	r.hook(func(string, []byte) error { // 500
		mu.Lock()
		defer mu.Unlock()
		if failures--; failures >= 0 {
			return errors.New("the broker is away")
		}
		return nil
	})
	r.start()
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.awaitSNS(has("a-1"))
	h := r.await("both sent", func(h event.Health) bool {
		return h.Counters["stream.alerts-iot.sent"] == 1 && h.Counters["stream.alerts-sns.sent"] == 1
	})
	if h.Counters["stream.alerts-iot.retried"] != 8 || h.Counters["stream.alerts-sns.retried"] != 4 || h.Uplink != event.UplinkUp {
		t.Errorf("%+v", h)
	}
	if _, err := os.Stat(r.path("dead-letters.jsonl")); err == nil || h.Counters["stream.alerts-iot.dead"] != 0 {
		t.Error("there are dead letters")
	}
}

// F7: a service that says how long it wants to be left alone, is.
func TestRetryAfterIsHonoured(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var at []time.Time
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if at = append(at, time.Now()); len(at) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"message":"OK","traceId":"1"}`)
	}))
	t.Cleanup(server.Close)
	r.configure(map[string]any{"retryMax": "2s", "endpoints": map[string]any{"iotData": server.URL}})
	r.start()
	r.alert("a-1")
	r.awaitCounter("stream.alerts-iot.sent", 1)
	mu.Lock()
	defer mu.Unlock()
	if len(at) != 2 || at[1].Sub(at[0]) < time.Second {
		t.Errorf("attempts at %v", at)
	}
}

// A service that answers, and takes nothing for a while, is told, whatever it answers; and when it takes again, that too.
func TestNoProgressIsTold(t *testing.T) {
	r := newRig(t)
	var fails atomic.Bool
	fails.Store(true)
	r.hook(func(string, []byte) error { // 500
		if fails.Load() {
			return errors.New("the broker is away")
		}
		return nil
	})
	r.start()
	r.alert("a-1")
	h := r.await("attempts", func(h event.Health) bool { return h.Counters["stream.alerts-iot.retried"] > 5 })
	if h.State != event.StateOK {
		t.Errorf("%s %s after a moment", h.State, h.Detail)
	}
	r.ahead.Add(int64(time.Minute))
	h = r.awaitState(event.StateDegraded, "alerts-iot deliver: InternalFailureException")
	if h.Conditions[0].Code != event.CodeDelivery || strings.Contains(h.Detail, "RequestID") {
		t.Errorf("%+v", h.Conditions)
	}
	fails.Store(false)
	r.awaitState(event.StateOK, "")
	r.iot.await(t, "alert", has("a-1"))
}

// F9: started with neither cloud nor credentials, the forwarder is well, accepts and acknowledges, and delivers when the
// cloud is there.
func TestStartsOffline(t *testing.T) {
	r := newRig(t)
	r.cloud.SetUplink(false)
	r.start()
	r.alert("a-1")
	ids := r.ontoDisk(1, 100)
	r.awaitUplink(event.UplinkDown)
	h := r.awaitCounter("stream.predictions.depth", 100)
	if h.State != event.StateOK {
		t.Errorf("%s %s", h.State, h.Detail)
	}
	r.cloud.SetUplink(true)
	r.iot.await(t, "messages", has(append(ids, "a-1")...))
	r.awaitSNS(has("a-1"))
	r.awaitUplink(event.UplinkUp)
	checkOrder(t, r.iot, "/prediction/", ids)
}

// F9: a core whose clock is wrong delivers all the same: the service's answer tells the time.
func TestWrongClock(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		now := time.Now().Add(-30 * 24 * time.Hour)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", q.Header.Get("X-Amz-Date"))
		if err != nil || signed.Sub(now).Abs() > 5*time.Minute {
			w.Header().Set("X-Amzn-ErrorType", "ForbiddenException")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, `{"message":"OK","traceId":"1"}`)
	}))
	t.Cleanup(server.Close)
	r.configure(map[string]any{"endpoints": map[string]any{"iotData": server.URL}})
	r.start()
	r.alert("a-1")
	r.predict(1, 5)
	r.await("all sent", func(h event.Health) bool {
		return h.Counters["stream.alerts-iot.sent"] == 1 && h.Counters["stream.predictions.sent"] == 5
	})
}

// F9: a long backlog does not delay the start: alerts are taken and delivered at once.
func TestStartsWithABacklog(t *testing.T) {
	r := newRig(t)
	ids := r.backlog(20_000)
	slow := make(chan struct{})
	r.hook(func(topic string, _ []byte) error {
		if strings.Contains(topic, "/prediction/") {
			<-slow
		}
		return nil
	})
	begin := time.Now()
	r.start()
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("an alert took %v", took)
	}
	r.awaitCounter("stream.predictions.depth", uint64(len(ids)))
	r.stop()
	close(slow)
}

// F9: what AWS needs and is not there is said, and no reason not to accept and acknowledge. A new configuration mends it.
func TestWhatIsMissingIsSaid(t *testing.T) {
	for _, c := range []struct {
		name, detail string
		spoil        func(*rig)
		mend         map[string]any // nil: not by configuration
	}{
		{"credentials", "AWS_CONTAINER_CREDENTIALS_FULL_URI is not set", func(r *rig) { r.vars[envURL] = "" }, nil},
		{"region", "region: neither the configuration nor AWS_REGION names one", func(r *rig) { r.vars[envRegion] = "" }, map[string]any{"region": "us-east-1"}},
		{
			"authority", "endpoints.caFile: open /nowhere/ca.pem", func(r *rig) {
				r.configure(map[string]any{"endpoints": map[string]any{"caFile": "/nowhere/ca.pem"}})
			}, map[string]any{},
		},
		{
			"endpoint", "endpoints.iotData: not configured, and the nucleus has no iotDataEndpoint", func(r *rig) {
				r.configure(map[string]any{"endpoints": map[string]any{"iotData": ""}})
			}, map[string]any{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.spoil(r)
			r.start()
			if h := r.awaitState(event.StateDegraded, "AWS: "+c.detail); h.Conditions[0].Code != event.CodeCloudAccess {
				t.Errorf("%+v", h)
			}
			r.awaitUplink(event.UplinkDown) // never having reached the cloud is down, too
			r.alert("a-1")
			ids := r.predict(1, 10)
			r.acks.await(t, "acknowledgements", has(append(ids, "a-1")...))
			if c.name == "endpoint" { // SNS does without it
				r.awaitSNS(has("a-1"))
			}
			if c.mend == nil {
				r.stop()
				r.vars[envURL] = r.cloud.Endpoints().TokenExchange
				r.start()
			} else {
				ends := r.cloud.Endpoints()
				c.mend["endpoints"] = map[string]any{"caFile": ends.CAFile, "iotData": ends.IoTData}
				r.configure(c.mend)
			}
			r.awaitState(event.StateOK, "")
			r.iot.await(t, "messages", has(append(ids, "a-1")...))
			r.awaitSNS(has("a-1"))
		})
	}
}

// A file of authorities that comes later is found without a change of the configuration.
func TestAuthorityThatComesLater(t *testing.T) {
	r := newRig(t)
	later := r.path("ca.pem")
	r.configure(map[string]any{"endpoints": map[string]any{"caFile": later}})
	r.start()
	r.awaitState(event.StateDegraded, "endpoints.caFile")
	pem, err := os.ReadFile(r.cloud.Endpoints().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(later, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.awaitState(event.StateOK, "")
}

// What the token exchange service refuses is told.
func TestCredentialsAreRefused(t *testing.T) {
	r := newRig(t)
	r.vars[envToken] = ""
	r.start()
	r.alert("a-1")
	r.acks.await(t, "acknowledgement", has("a-1"))
	h := r.awaitState(event.StateDegraded, "alerts-iot deliver: token exchange service: 403 without a word")
	if h.Uplink != event.UplinkDown {
		t.Errorf("%+v", h)
	}
}

// Without an endpoint in the configuration the nucleus's own is used.
func TestEndpointOfTheNucleus(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	recipe := "RecipeFormatVersion: \"2020-01-25\"\nComponentName: aws.greengrass.Nucleus\nComponentVersion: 0.0.1\n" +
		"ComponentConfiguration: {DefaultConfiguration: {iotDataEndpoint: \"" + strings.TrimPrefix(r.cloud.Endpoints().IoTData, "https://") + "\"}}\n" +
		"Manifests: [{Platform: {os: linux}, Lifecycle: {run: {Script: exit 0}}, Artifacts: []}]\n"
	if err := os.WriteFile(file, []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	r.configure(map[string]any{"endpoints": map[string]any{"iotData": ""}})
	r.start()
	r.awaitState(event.StateDegraded, "the nucleus has no iotDataEndpoint")
	r.alert("a-1")
	if _, err := r.core.AddExternal("aws.greengrass.Nucleus", file); err != nil { // as when it is configured later
		t.Fatal(err)
	}
	r.iot.await(t, "alert", has("a-1"))
	r.awaitState(event.StateOK, "")
}
