package forwarder_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
)

// bucket is the way to S3 of a rig's forwarder, on which a test can stand.
type bucket struct {
	mu   sync.Mutex
	hook func(w http.ResponseWriter, q *http.Request, pass func(http.ResponseWriter)) // nil: pass
	seen []string                                                                     // methods and keys
}

func (b *bucket) on(hook func(w http.ResponseWriter, q *http.Request, pass func(http.ResponseWriter))) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hook = hook
}

func (b *bucket) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// archive configures the rig's bucket for backlogs.
func (r *rig) archive(more map[string]any) *bucket {
	r.t.Helper()
	ends := r.cloud.Endpoints()
	to, err := url.Parse(ends.S3)
	must.OK(r.t, err)
	b := &bucket{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.Scheme, to.Host, p.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // the uplink is cut
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, q.Method+" "+q.URL.Path)
		hook := b.hook
		b.mu.Unlock()
		if hook == nil {
			proxy.ServeHTTP(w, q)
			return
		}
		hook(w, q, func(w http.ResponseWriter) { proxy.ServeHTTP(w, q) })
	}))
	r.t.Cleanup(server.Close)
	settings := map[string]any{"bucket": ends.Bucket, "afterRecords": 100}
	maps.Copy(settings, more)
	r.configure(map[string]any{"archive": settings, "endpoints": map[string]any{"s3": server.URL}})
	return b
}

// lines are the messages of the objects in the bucket, by key.
func (r *rig) lines() map[string][]map[string]any {
	r.t.Helper()
	all := make(map[string][]map[string]any)
	for _, e := range r.cloud.Journal() {
		if e.Kind != localcloud.KindS3Put {
			continue
		}
		if all[e.Name] != nil { // it came again
			continue
		}
		content, _, err := r.cloud.Object(e.Name)
		must.OK(r.t, err)
		zip, err := gzip.NewReader(bytes.NewReader(content))
		must.OK(r.t, err)
		text, err := io.ReadAll(zip)
		must.OK(r.t, err)
		all[e.Name] = nil
		for line := range bytes.Lines(text) {
			var m map[string]any
			must.OK(r.t, json.Unmarshal(line, &m))
			all[e.Name] = append(all[e.Name], m)
		}
	}
	return all
}

// checkAccount demands that each message arrived once, by itself or in an object, and no other did.
func (r *rig) checkAccount(ids []string) (inObjects int) {
	r.t.Helper()
	got := make(map[string]int)
	for _, list := range r.lines() {
		for _, m := range list {
			got[fmt.Sprint(m["id"])]++
			inObjects++
		}
	}
	for _, a := range r.iot.all() {
		if strings.Contains(a.topic, "/prediction/") {
			got[a.ids[0]]++
		}
	}
	for _, id := range ids {
		if got[id] != 1 {
			r.t.Errorf("%s arrived %d times", id, got[id])
		}
		delete(got, id)
	}
	if len(got) > 0 {
		r.t.Errorf("%d others arrived", len(got))
	}
	return inObjects
}

func drained(h event.Health) bool { return h.Drained() && h.Counters["stream.predictions.sent"] > 0 }

// A long backlog leaves as objects, oldest first, whose lines are what the rules of AWS IoT Core store; what comes when it is gone
// leaves one at a time.
func TestBacklogLeavesAsObjects(t *testing.T) {
	r := newRig(t)
	r.archive(map[string]any{"maxObjectMB": 1})
	ids := r.backlog(5000)
	r.start()
	r.await("all sent", drained)
	if n := r.checkAccount(ids); n != len(ids) {
		t.Errorf("%d of %d messages left as objects", n, len(ids))
	}
	var order []float64
	objects := r.lines()
	for _, e := range r.cloud.Journal() { // in the order of arrival
		for _, m := range objects[e.Name] {
			order = append(order, m["seq"].(float64))
		}
		if e.Kind == localcloud.KindS3Put && !strings.HasPrefix(e.Name, "raw/predictions/core=core-1/date=2026-11-23/press-1-e-") {
			t.Errorf("key %s", e.Name)
		}
	}
	if !slices.IsSorted(order) || len(objects) < 2 {
		t.Errorf("%d objects, in order: %v", len(objects), slices.IsSorted(order))
	}
	one := slices.Collect(maps.Values(objects))[0][0]
	var want map[string]any
	must.OK(t, json.Unmarshal(encode(t, prediction("press-1", uint64(one["seq"].(float64)))), &want))
	want["core"], want["kind"] = "core-1", "predictions"
	if fmt.Sprint(one) != fmt.Sprint(want) {
		t.Errorf("line %v\nwant %v", one, want)
	}
	later := r.predict(10_001, 10_003)
	r.iot.await(t, "messages", has(later...))
	r.checkAccount(append(ids, later...))
	h := r.awaitCounter("stream.predictions.sent", 5003)
	if n := h.Counters["stream.predictions.archived"]; n != 5000 || h.State != event.StateOK {
		t.Errorf("%d archived, %s %s", n, h.State, h.Detail)
	}
}

// A backlog that is short and old leaves as an object, too; a few old messages do not, nor does what has no right time.
func TestOldBacklogLeavesAsAnObject(t *testing.T) {
	for _, c := range []struct {
		n       int
		at      time.Time
		objects bool
	}{
		{300, time.Now().Add(-2 * time.Hour), true}, {300, time.Now(), false}, {99, time.Now().Add(-2 * time.Hour), false},
		{300, time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC), false},
	} {
		t.Run(fmt.Sprintf("%d of %v", c.n, c.at.Format(time.RFC3339)), func(t *testing.T) {
			r := newRig(t)
			r.archive(map[string]any{"afterRecords": 10_000})
			var ids []string
			var records []spool.Record
			for i := range c.n {
				p := prediction("press-1", uint64(i))
				record := r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(t, p))
				record.Time = c.at.UnixNano()
				ids, records = append(ids, p.ID), append(records, record)
			}
			r.store("predictions", records...)
			r.start()
			r.await("all sent", drained)
			if n := r.checkAccount(ids); (n > 0) != c.objects {
				t.Errorf("%d messages left in objects", n)
			}
		})
	}
}

// F6: while an object is under way, alerts and new label changes pass.
func TestAlertsPassObjects(t *testing.T) {
	r := newRig(t)
	b := r.archive(nil)
	ids := r.backlog(2000)
	under, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.on(func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
		once.Do(func() { close(under) })
		<-goOn
		pass(w)
	})
	r.start()
	<-under
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.awaitSNS(has("a-1"))
	first := r.predict(5001, 5001)
	change := r.predict(5002, 5002, func(p *event.Prediction) { p.Label = event.LabelFaulty })
	r.iot.await(t, "label change", has(change...))
	close(goOn)
	r.await("all sent", drained)
	r.checkAccount(slices.Concat(ids, first, change))
}

// A bucket that takes no objects is told, with what to do about it, and holds nothing up: the backlog leaves one message at a time.
// The bucket is tried again.
func TestBucketThatRefuses(t *testing.T) {
	xml := func(status int, code, message string, headers ...string) func(http.ResponseWriter, *http.Request, func(http.ResponseWriter)) {
		return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
			w.Header().Set("Content-Type", "application/xml")
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
		}
	}
	for _, c := range []struct {
		name, told string
		hook       func(http.ResponseWriter, *http.Request, func(http.ResponseWriter))
	}{
		{"denied", "AccessDenied: Access Denied", xml(403, "AccessDenied", "Access Denied")},
		{"no bucket", "NoSuchBucket: The specified bucket does not exist", xml(404, "NoSuchBucket", "The specified bucket does not exist")},
		{
			"elsewhere", "the bucket is in eu-west-1, which is not",
			xml(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.", "X-Amz-Bucket-Region", "eu-west-1"),
		},
		{"portal", "not the service's own answer", func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
			_, _ = io.WriteString(w, "Log in")
		}},
		{"no checksum", "not the service's own answer", func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) {
			w.Header().Set("ETag", `"5f3a"`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			b := r.archive(nil)
			b.on(c.hook)
			ids := r.backlog(400)
			slow := make(chan struct{})
			r.hook(func(topic string, payload []byte) error {
				if strings.Contains(topic, "/prediction/") && idOf(payload) == ids[50] {
					<-slow
				}
				return nil
			})
			r.start()
			h := r.awaitState(event.StateDegraded, "predictions archive: "+c.told)
			if h.Conditions[0].Code != event.CodeDelivery {
				t.Errorf("%+v", h.Conditions)
			}
			r.iot.await(t, "messages one at a time", has(ids[:50]...))
			if n := len(b.requests()); n != 1 {
				t.Errorf("the bucket was asked %d times in a moment", n)
			}
			b.on(nil) // somebody has put it right
			r.ahead.Add(int64(time.Hour))
			close(slow)
			r.await("all sent", drained)
			r.awaitState(event.StateOK, "")
			if n := r.checkAccount(ids); n < 300 {
				t.Errorf("%d of %d messages left in objects", n, len(ids))
			}
		})
	}
}

// Credentials that are refused are told as such; with new ones the backlog leaves as objects.
func TestArchiveWithoutCredentials(t *testing.T) {
	r := newRig(t)
	r.archive(nil)
	ids := r.backlog(400)
	token := r.vars[envToken]
	r.vars[envToken] = ""
	r.start()
	h := r.awaitState(event.StateDegraded, "predictions archive: token exchange service: 403")
	if h.Conditions[0].Code != event.CodeCloudAccess || h.Uplink != event.UplinkDown {
		t.Errorf("%+v", h)
	}
	r.stop()
	r.vars[envToken] = token
	r.start()
	r.await("all sent", drained)
	r.awaitState(event.StateOK, "")
	if n := r.checkAccount(ids); n != len(ids) {
		t.Errorf("%d of %d messages left in objects", n, len(ids))
	}
}

// Throttling, and an uplink that is cut in the middle of an upload, cost a while, and no message. An object whose answer was lost
// comes again with the same key and bytes.
func TestObjectComesAgain(t *testing.T) {
	r := newRig(t)
	b := r.archive(nil)
	ids := r.backlog(400)
	must.OK(t, r.cloud.Throttle("s3", 1))
	var mu sync.Mutex
	var bodies [][]byte
	var keys []string
	b.on(func(w http.ResponseWriter, q *http.Request, pass func(http.ResponseWriter)) {
		body, err := io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		bodies, keys = append(bodies, body), append(keys, q.URL.Path)
		n := len(bodies)
		mu.Unlock()
		pass(w)
		if n == 2 || err != nil { // the bucket has it, and the answer is lost
			panic(http.ErrAbortHandler)
		}
	})
	r.start()
	r.await("all sent", drained)
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) != 3 || keys[1] != keys[2] || !bytes.Equal(bodies[1], bodies[2]) {
		t.Errorf("%d uploads: %q", len(bodies), keys)
	}
	if n := r.checkAccount(ids); n != len(ids) || len(r.lines()) != 1 {
		t.Errorf("%d messages in %d objects", n, len(r.lines()))
	}
}

// Killed when the bucket has an object, and the queue does not know it yet, the next process puts it again, with the same key and
// bytes; of a long backlog every message arrives once, whenever processes are killed.
func TestKilledWhileABacklogLeaves(t *testing.T) {
	r := newRig(t)
	b := r.archive(map[string]any{"maxObjectMB": 1})
	ids := r.backlog(20_000)
	var mu sync.Mutex
	got := make(map[string][]byte) // by key
	n, again := 0, 0
	stored := make(chan struct{})
	b.on(func(w http.ResponseWriter, q *http.Request, pass func(http.ResponseWriter)) {
		body, _ := io.ReadAll(q.Body) // what a killed process did not send is no object
		q.Body = io.NopCloser(bytes.NewReader(body))
		pass(httptest.NewRecorder()) // nobody hears the answer yet
		mu.Lock()
		if before, known := got[q.URL.Path]; known {
			again++
			if !bytes.Equal(before, body) {
				t.Errorf("%s has other bytes than before", q.URL.Path)
			}
		}
		got[q.URL.Path] = body
		n++
		kill := n%2 == 0 && n <= 6
		mu.Unlock()
		if kill {
			stored <- struct{}{}
			<-q.Context().Done() // the process that waits for the answer is killed
			panic(http.ErrAbortHandler)
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		pass(w) // the same once more, which changes nothing
	})
	for range 3 {
		kill := r.spawn()
		select {
		case <-stored:
		case <-time.After(patience):
			t.Fatal("no object is stored")
		}
		kill()
	}
	r.start()
	r.await("all sent", drained)
	mu.Lock()
	defer mu.Unlock()
	if again != 3 || len(got) < 5 {
		t.Errorf("%d objects, %d came again", len(got), again)
	}
	if n := r.checkAccount(ids); n != len(ids) {
		t.Errorf("%d of %d messages left as objects", n, len(ids))
	}
}

// Records that IoT Core does not take leave with the others of a backlog; what is no message goes to the dead letters.
func TestParkedAndDamagedLeaveABacklog(t *testing.T) {
	r := newRig(t)
	b := r.archive(nil)
	var ids []string
	var records []spool.Record
	for i := range 400 { // each of a thing of its own, so that none waits for another
		p := prediction(fmt.Sprintf("press-%d", i), 1)
		ids, records = append(ids, p.ID), append(records, r.record("predictions", p.ID, event.PredictionTopic(p.Thing), encode(t, p)))
	}
	goOn := make(chan struct{})
	r.hook(func(topic string, payload []byte) error {
		switch id := idOf(payload); {
		case !strings.Contains(topic, "/prediction/"):
		case id == ids[3]:
			return fmt.Errorf("the broker does not like it")
		case id == ids[60]:
			<-goOn
		}
		return nil
	})
	var refuse sync.Once
	b.on(func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) { // first, so that the record is parked
		refused := false
		refuse.Do(func() { refused = true; w.WriteHeader(http.StatusForbidden) })
		if !refused {
			pass(w)
		}
	})
	r.store("predictions", append(records,
		spool.Record{Stream: "predictions", ID: "no-message", Time: someTime.UnixNano(), Payload: []byte("{")},
		spool.Record{Stream: "predictions", ID: "no-object", Time: someTime.UnixNano(), Payload: []byte(`{"topic":"pdm/v1/prediction/x","message":[1]}`)})...)
	r.start()
	r.iot.await(t, "what passes the record that is parked", has(ids[59]))
	r.ahead.Add(int64(time.Hour))
	close(goOn)
	r.await("all sent", func(h event.Health) bool { return drained(h) && h.Counters["stream.predictions.dead"] == 2 })
	r.awaitState(event.StateOK, "")
	if n := r.checkAccount(ids); n < 340 { // the one that was parked, and those behind the last that was sent
		t.Errorf("%d messages left in objects", n)
	}
	letters, err := os.ReadFile(r.path("dead-letters.jsonl"))
	if err != nil || bytes.Count(letters, []byte("\n")) != 2 || !bytes.Contains(letters, []byte("no-message")) || !bytes.Contains(letters, []byte("no-object")) {
		t.Errorf("dead letters %s, %v", letters, err)
	}
}
