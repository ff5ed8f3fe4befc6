package fetcher_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	asking "edgepdm/shared/request"
	"edgepdm/test/need"
)

// look makes the fetcher look, by a command on the device, and checks what it says; why is part of the error, "" for none.
func (r *rig) look(again bool, says, why string) {
	r.t.Helper()
	text, err := r.ask(event.CommandLook, again)
	if why == "" && err != nil || !strings.Contains(text, says) || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
		r.t.Errorf("look says %q, %v; want %q, %q", text, err, says, why)
	}
}

func (r *rig) ask(command string, again bool) (string, error) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		if _, err := os.Stat(filepath.Join(r.env.WorkDir, "requests")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatal("the fetcher takes no requests")
		}
	}
	return asking.Call{
		Component: event.ModelFetcher, WorkDir: r.env.WorkDir, Command: command, Arguments: event.ModelFetch{Again: again}, Timeout: patience,
	}.Do(r.t.Context())
}

// A command on the device is answered with what the look found.
func TestALookOfTheDevice(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.configure(map[string]any{"timeout": "100ms"})
	r.start()
	r.look(false, "nothing is to be fetched: no model is published at s3://", "")
	archive := noise(t, 1, mega)
	m := manifest("1.0.0", archive)
	sealed := r.publish(m, archive, r.key)
	r.look(false, "the published model is compressor 1.0.0: delivered at", "")
	r.delivered()
	r.take(sealed, archive)
	r.look(false, "the published model is compressor 1.0.0: delivered at", "")
	r.untouched()
	r.look(true, "the published model is compressor 1.0.0: delivered at", "")
	r.delivered()
	r.take(sealed, archive)

	r.put(envelope.EnvelopeFile, []byte("{}"))
	r.look(false, "", "the published model is one without a valid manifest: refused at")
	r.line.to("http://127.0.0.1:1")
	r.look(true, "", "no model can be fetched; it will be tried again")
	if _, err := r.ask("forget", false); err == nil || !strings.Contains(err.Error(), `does not know the command "forget"`) {
		t.Errorf("%v", err)
	}
	r.configure(map[string]any{"bucket": ""})
	r.state(event.StateNotConfigured, "bucket: not configured")
	r.look(false, "", "bucket is not configured")
}

// A command that comes during a long look is taken at once, and answered by the look that follows.
func TestALookDuringALook(t *testing.T) {
	r := newRig(t)
	r.start()
	r.state(event.StateOK, "no model is published")
	archive := noise(t, 1, mega)
	r.publish(manifest("1.0.0", archive), archive, r.key)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.line.drop(mega/2, func(request) {
		once.Do(func() {
			close(begun)
			<-goOn
		})
	})
	first := make(chan error, 1)
	go func() {
		_, err := r.ask(event.CommandLook, false)
		first <- err
	}()
	<-begun
	text, err := asking.Call{
		Component: event.ModelFetcher, WorkDir: r.env.WorkDir, Command: event.CommandLook, Timeout: patience,
		Progress: func(text string) {
			if text == "a look is under way; the next one follows at once" {
				r.line.mend()
				close(goOn)
			}
		},
	}.Do(t.Context())
	if err != nil || !strings.Contains(text, "compressor 1.0.0: delivered at") {
		t.Errorf("%q, %v", text, err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// A command over IPC is answered on its reply topic.
func TestALookIsReplied(t *testing.T) {
	r := newRig(t)
	replies := r.subscribe(event.ReplyTopic(event.TopicModelFetch))
	r.start()
	r.state(event.StateOK, "no model is published")
	for _, c := range []struct {
		command, id string
		ok          bool
		text        string
	}{
		{`{"v":1,"id":"one"}`, "one", true, "no model is published"},
		{`{"v":1}`, "", true, "no model is published"},
		{`{"v":1.0,"id":"double"}`, "double", true, "no model is published"}, // as jsonMessage of a classic nucleus
		{`{"v":2,"id":"two"}`, "two", false, "v is 2"},
		{`{"v":1,"id":"` + strings.Repeat("x", 129) + `"}`, "", false, "id of the command"},
		{`look`, "", false, "malformed"},
	} {
		r.command(c.command)
		var got event.Reply
		select {
		case m := <-replies.Events():
			if err := json.Unmarshal(m.Payload, &got); err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: no reply", c.command)
		}
		if got.ID != c.id || got.OK != c.ok || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: %+v", c.command, got)
		}
	}
}
