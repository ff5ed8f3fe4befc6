package fetcher_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// trickle answers every request with one byte after the other, until it is let go.
func trickle(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("ETag", `"slow"`)
		w.Header().Set("Content-Length", "100000")
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			if _, err := w.Write([]byte("{")); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-ticker.C:
			case <-q.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// M4, M10: a server that sends a byte now and then holds no look for ever, nor the operator's commands.
func TestASlowServerHoldsNoLook(t *testing.T) {
	r := newRig(t)
	r.line.to(trickle(t).URL)
	r.make = func() *fetcher.Fetcher {
		return &fetcher.Fetcher{Getenv: r.env.Getenv, Now: time.Now, LookLimit: time.Second, Patience: 50 * time.Millisecond}
	}
	r.start()
	r.look(false, "a look is under way", "")
	r.state(event.StateDegraded, "the look took too long")
	replies := r.subscribe(event.ReplyTopic(event.TopicModelFetch))
	r.command(`{"v":1,"id":"c-1"}`)
	select {
	case m := <-replies.Events():
		if !strings.Contains(string(m.Payload), `"c-1"`) {
			t.Errorf("reply %s", m.Payload)
		}
	case <-time.After(patience):
		t.Error("no reply")
	}
}

// M4: nothing newer comes, and the manifest that was delivered expires: somebody may hold the newer ones back.
func TestAnExpiredManifestIsNoticed(t *testing.T) {
	r := newRig(t)
	clock := time.Now
	r.make = func() *fetcher.Fetcher { return &fetcher.Fetcher{Getenv: r.env.Getenv, Now: clock} }
	archive := noise(t, 1, 1000)
	m := manifest("1.0.0", archive)
	envelope := r.publish(m, archive, r.key)
	r.start()
	r.delivered()
	r.state(event.StateOK, "")
	r.take(envelope, archive)
	r.stop()
	clock = func() time.Time { return m.Expires.Add(time.Minute) }
	r.start()
	h := r.state(event.StateDegraded, "no newer manifest since "+m.Created.Format(time.DateTime))
	if len(h.Conditions) != 1 || h.Conditions[0].Code != event.CodeModelStore {
		t.Errorf("conditions %+v", h.Conditions)
	}
	renewed := m
	renewed.Version, renewed.Expires = "1.0.1", m.Expires.Add(24*time.Hour)
	r.publish(renewed, archive, r.key)
	r.command(fetchNow)
	r.state(event.StateOK, "")
}

// What a key signed that is trusted no more bounds nothing that a trusted one signs.
func TestAFastForwardByALostKey(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, 1000)
	lost := r.key
	sealed := r.publish(manifest("999999999.0.0", archive), archive, lost)
	r.start()
	r.delivered()
	r.take(sealed, archive)
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed = r.publish(manifest("1.1.0", archive), archive, key)
	r.configure(map[string]any{"publicKeys": []any{publicText(key)}})
	if e := r.delivered(); e.Version != "1.1.0" {
		t.Errorf("delivered %+v", e)
	}
	r.take(sealed, archive)
	r.publish(manifest("1.0.0", archive), archive, key)
	r.command(fetchNow)
	if e := r.next(event.ModelRefused); !strings.Contains(e.Detail, "lower than 1.1.0") {
		t.Errorf("%+v", e)
	}
}
