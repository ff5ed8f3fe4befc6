package fetcher_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

const lifePrefix = "models/compressor-life"

// below returns the rig as a publisher below another prefix.
func (r *rig) below(prefix string) *rig {
	other := *r
	other.prefix = prefix
	return &other
}

// outcomes reads the next n events that say what became of a model, by role.
func (r *rig) outcomes(n int) map[event.Role]event.ModelEvent {
	r.t.Helper()
	got := make(map[event.Role]event.ModelEvent)
	for timeout := time.After(patience); len(got) < n; {
		select {
		case m := <-r.events.Events():
			e, err := event.DecodeModelEvent(m.Payload)
			must.OK(r.t, err)
			must.OK(r.t, r.client.Publish(r.t.Context(), event.TopicAckModel, must.JSON(r.t, event.Ack{V: event.Version, IDs: []string{e.ID}})))
			if e.Event == event.ModelDelivered || e.Event == event.ModelRefused {
				got[e.Role] = e
			}
		case <-timeout:
			r.t.Fatalf("%d of %d outcomes: %+v", len(got), n, got)
		}
	}
	return got
}

// Models of both roles are fetched, each into a record of its own; a command looks for both.
func TestBothRolesAreFetched(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	life := r.below(lifePrefix)
	r.configure(map[string]any{"lifePrefix": lifePrefix})
	r.start()
	r.state(event.StateOK, "life: no model is published at s3://"+r.bucket+"/"+lifePrefix)
	r.look(false, "nothing is to be fetched: no model is published at s3://"+r.bucket+"/"+prefix, "")

	archive := noise(t, 1, mega)
	r.publish(manifest("1.0.0", archive), archive, r.key)
	m, lifeArchive := lifemodel.Publish(t, "2.0.0", time.Now().UTC().Truncate(time.Second))
	sealed := life.publish(m, lifeArchive, r.key)
	r.look(false, "compressor 1.0.0: delivered at", "")
	got := r.outcomes(2)
	if fault, life := got[""], got[event.RoleLife]; fault.Version != "1.0.0" || life.Version != "2.0.0" || life.Name != lifemodel.Name {
		t.Errorf("%+v", got)
	}
	ready, err := r.inbox().Ready()
	must.OK(t, err)
	roles := map[event.Role]inbox.Delivery{}
	for _, d := range ready {
		roles[d.Role()] = d
	}
	d := roles[event.RoleLife]
	if len(ready) != 2 || !bytes.Equal(must.Read(t, d.Path(inbox.ArchiveFile)), lifeArchive) || !bytes.Equal(must.Read(t, d.Path(envelope.EnvelopeFile)), sealed) {
		t.Errorf("%+v", ready)
	}
	for _, d := range ready {
		must.OK(t, r.inbox().Remove(d.ID))
	}
	r.look(false, "; life: the published model is "+lifemodel.Name+" 2.0.0: delivered at", "")
	fault, err := record.Read(r.env.WorkDir, event.RoleFault)
	must.OK(t, err)
	lives, err := record.Read(r.env.WorkDir, event.RoleLife)
	must.OK(t, err)
	if fault.Delivered["compressor"] != "1.0.0" || len(fault.Delivered) != 1 || lives.Delivered[lifemodel.Name] != "2.0.0" || len(lives.Delivered) != 1 {
		t.Errorf("%+v, %+v", fault.Delivered, lives.Delivered)
	}
	r.stop() // the next process knows both, and fetches neither again
	r.start()
	r.look(false, "delivered at", "")
	r.untouched()
	r.look(true, "delivered at", "")
	if got := r.outcomes(2); got[event.RoleLife].Event != event.ModelDelivered || got[""].Event != event.ModelDelivered {
		t.Errorf("%+v", got)
	}
}

// A model below the prefix of another role does not reach the inbox; what is wrong with one role's does not stop the other's.
func TestAModelBelowAnotherPrefix(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	life := r.below(lifePrefix)
	r.configure(map[string]any{"lifePrefix": lifePrefix})
	archive := noise(t, 1, 1000)
	created := time.Now().UTC().Truncate(time.Second)
	m, lifeArchive := lifemodel.Publish(t, "2.0.0", created)
	r.publish(m, lifeArchive, r.key)
	life.publish(manifest("1.0.0", archive), archive, r.key)
	r.start()
	got := r.outcomes(2)
	for role, says := range map[event.Role]string{
		"":             "role: version 2.0.0 of tiny-life is of the role life, and below models/compressor are models of the role fault",
		event.RoleLife: "role: version 1.0.0 of compressor is of the role fault, and below models/compressor-life are models of the role life",
	} {
		if e := got[role]; e.Event != event.ModelRefused || e.Detail != says {
			t.Errorf("%q: %+v", role, e)
		}
	}
	r.untouched()
	h := r.state(event.StateDegraded, "life: bucket: the published model is refused")
	for _, c := range h.Conditions {
		if c.Code != event.CodeModelRefused {
			t.Errorf("%+v", c)
		}
	}
	sealed := r.publish(manifest("1.1.0", archive), archive, r.key)
	r.look(false, "", "compressor 1.1.0: delivered at")
	r.take(sealed, archive)
	r.await("the life model's trouble alone", func(h event.Health) bool { return len(h.Conditions) == 1 && h.Conditions[0].Place == "life: bucket" })
	life.put(envelope.EnvelopeFile, []byte("{}"))
	r.look(false, "", "; life: the published model is one without a valid manifest: refused")
	m.Version = "2.1.0"
	life.publish(m, lifeArchive, r.key)
	r.look(false, "life: the published model is tiny-life 2.1.0: delivered at", "")
	r.state(event.StateOK, "")
}

// While the download of one role is held up, the other's comes, and neither takes the other's files away.
func TestADownloadBesideAnother(t *testing.T) {
	r := newRig(t)
	life := r.below(lifePrefix)
	archive := noise(t, 1, mega)
	sealed := r.publish(manifest("1.0.0", archive), archive, r.key)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release)
	r.line.drop(mega/2, func(request) {
		once.Do(func() {
			close(begun)
			<-goOn
		})
	})
	r.start()
	<-begun
	r.stop() // with half of the archive
	r.line.mend()
	release()
	m, lifeArchive := lifemodel.Publish(t, "2.0.0", time.Now().UTC().Truncate(time.Second))
	life.publish(m, lifeArchive, r.key)
	r.delete(envelope.EnvelopeFile) // the fault model has to wait
	r.configure(map[string]any{"lifePrefix": lifePrefix})
	r.start()
	r.outcomes(1)
	if ids, err := r.inbox().Incoming(); err != nil || len(ids) != 1 || strings.HasPrefix(ids[0], "life-") {
		t.Errorf("%v, %v", ids, err)
	}
	r.put(envelope.EnvelopeFile, sealed)
	r.look(false, "compressor 1.0.0: delivered at", "")
	r.configure(map[string]any{"lifePrefix": ""})
	r.look(false, "compressor 1.0.0: delivered at", "")
	r.empty(r.inbox().Incoming())
}

// A look over IPC is answered once, for both roles.
func TestALookForBothIsRepliedOnce(t *testing.T) {
	r := newRig(t)
	r.configure(map[string]any{"lifePrefix": lifePrefix})
	replies := r.subscribe(event.ReplyTopic(event.TopicModelFetch))
	r.start()
	r.state(event.StateOK, "life: no model is published")
	for _, id := range []string{"one", "two"} {
		r.command(`{"v":1,"id":"` + id + `"}`)
		select {
		case m := <-replies.Events():
			var got event.Reply
			must.OK(t, json.Unmarshal(m.Payload, &got))
			if got.ID != id || !got.OK || strings.Count(got.Text, "no model is published") != 2 {
				t.Errorf("%+v", got)
			}
		case <-time.After(patience):
			t.Fatal("no reply")
		}
	}
	if n := len(replies.Events()); n > 0 {
		t.Errorf("%d further replies", n)
	}
}
