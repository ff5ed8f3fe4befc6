package modelevents

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/must"
)

var testTime = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func testNow() time.Time { return testTime }

func news(i int) event.ModelEvent {
	return event.ModelEvent{V: 1, ID: fmt.Sprintf("model-a-%d", i), Event: event.ModelActivated, Version: "1.2.0", TS: testTime}
}

func open(t *testing.T, path string) *Outbox {
	t.Helper()
	o := Open(path, testNow)
	must.OK(t, o.Problem())
	return o
}

func add(t *testing.T, o *Outbox, e event.ModelEvent) {
	t.Helper()
	if _, err := o.Add(e); err != nil {
		t.Fatal(err)
	}
}

// M12: what is not acknowledged outlives the process, and bears the mark then.
func TestEventsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.json")
	o := open(t, path)
	for i := range 3 {
		add(t, o, news(i))
	}
	if n, err := o.Ack([]string{news(1).ID, "unknown"}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	want := []event.ModelEvent{news(0), news(2)}
	if got := o.Waiting(); !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v wait", got)
	}
	want[0].Replayed, want[1].Replayed = true, true
	if got := open(t, path).Waiting(); !reflect.DeepEqual(got, want) {
		t.Fatalf("after a restart %+v wait", got)
	}
}

func TestEventsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.json")
	o, lost := open(t, path), 0
	for i := range MaxEvents + 5 {
		e := news(i)
		e.Detail = strings.Repeat("<", 1000) // six bytes each, as JSON has them
		dropped, err := o.Add(e)
		must.OK(t, err)
		lost += dropped
	}
	if got := open(t, path).Waiting(); lost != 5 || len(got) != MaxEvents || got[0].ID != news(5).ID {
		t.Errorf("%d lost, %d wait", lost, len(got))
	}
}

// A file with one flipped bit has what was written, or is set aside, told for a day, and begun again.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.json")
	o := open(t, path)
	for i := range 3 {
		add(t, o, news(i))
	}
	good := must.Read(t, path)
	want := open(t, path).Waiting()
	random := rand.New(rand.NewPCG(1, 2))
	aside := 0
	for range 2000 {
		bad, bit := append([]byte(nil), good...), random.IntN(len(good)*8)
		bad[bit/8] ^= 1 << (bit % 8)
		must.OK(t, os.WriteFile(path, bad, 0o600))
		now := testTime
		o := Open(path, func() time.Time { return now })
		if o.Problem() == nil {
			if got := o.Waiting(); !reflect.DeepEqual(got, want) {
				t.Fatalf("bit %d: %+v", bit, got)
			}
			continue
		}
		if aside++; len(o.Waiting()) > 0 {
			t.Fatalf("bit %d: %+v waits", bit, o.Waiting())
		}
		if now = now.Add(25 * time.Hour); o.Problem() != nil {
			t.Fatal("told for ever")
		}
		if aside > 20 {
			continue // the disk is slow
		}
		add(t, o, news(9))
		if got := open(t, path).Waiting(); len(got) != 1 {
			t.Fatalf("bit %d: %+v", bit, got)
		}
	}
	if kept, err := filepath.Glob(path + ".damaged-*"); err != nil || aside == 0 || len(kept) > aside {
		t.Errorf("%d of %d damaged files are there, %v", len(kept), aside, err)
	}
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.json")
	newer := durable.Seal([]byte(`{"format":2,"events":"elsewhere"}`))
	must.OK(t, os.WriteFile(path, newer, 0o600))
	o := Open(path, testNow)
	if err := o.Problem(); err == nil || !strings.Contains(err.Error(), durable.ErrNewerFormat.Error()) {
		t.Fatal(err)
	}
	add(t, o, news(1))
	if data, err := os.ReadFile(path); err != nil || string(data) != string(newer) || len(o.Waiting()) != 1 {
		t.Errorf("%s, %v", data, err)
	}
}

// What cannot be read is not overwritten by the next event, and new events are on disk all the same.
func TestUnreadableFileIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.json")
	must.OK(t, os.Mkdir(path, 0o700)) // root cannot read it either
	o := Open(path, testNow)
	if o.Problem() == nil {
		t.Error("nothing is told")
	}
	add(t, o, news(1))
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	if got := open(t, path).Waiting(); len(got) != 1 || got[0].ID != news(1).ID {
		t.Errorf("after a restart %+v wait", got)
	}
}

// forwarder takes what a publisher publishes.
type forwarder struct {
	published chan event.ModelEvent
	acks      chan ipc.TopicMessage
}

func start(t *testing.T, o *Outbox, republish time.Duration) forwarder {
	t.Helper()
	f := forwarder{make(chan event.ModelEvent), make(chan ipc.TopicMessage)}
	c := Publisher{Outbox: o, Acks: f.acks, Log: slog.New(slog.DiscardHandler), Republish: republish}
	c.Publish = func(ctx context.Context, topic string, payload []byte) error {
		e, err := event.DecodeModelEvent(payload)
		if err != nil || topic != event.ModelTopic(e.Event) {
			t.Errorf("%s on %s: %v", payload, topic, err)
		}
		select {
		case f.published <- e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

func (f forwarder) next(t *testing.T, id string, replayed bool) {
	t.Helper()
	select {
	case e := <-f.published:
		if e.ID != id || e.Replayed != replayed {
			t.Fatalf("published %+v, want %s, replayed %v", e, id, replayed)
		}
	case <-time.After(time.Minute):
		t.Fatalf("waited for %s", id)
	}
}

func (f forwarder) ack(t *testing.T, ids ...string) {
	t.Helper()
	payload := must.JSON(t, event.Ack{V: event.Version, IDs: ids})
	for { // what was published again before the acknowledgement came is none of it
		select {
		case f.acks <- ipc.TopicMessage{Topic: event.TopicAckModel, Payload: payload}:
			return
		case <-f.published:
		}
	}
}

// M12: the forwarder is away, and comes back.
func TestEventsComeAgainUntilTheyAreAcknowledged(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "events.json"))
	add(t, o, news(1))
	add(t, o, news(2))
	f := start(t, o, time.Millisecond)
	f.next(t, news(1).ID, false)
	f.next(t, news(2).ID, false)
	f.next(t, news(1).ID, true)
	f.next(t, news(2).ID, true)
	f.ack(t, news(1).ID, news(2).ID)
	add(t, o, news(3))
	f.next(t, news(3).ID, false)
	f.acks <- ipc.TopicMessage{Payload: []byte(`{"v":1`)}
	f.next(t, news(3).ID, true)
}

// A new event is published at once, and alone: those before it wait for their time.
func TestANewEventIsPublishedAtOnce(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "events.json"))
	add(t, o, news(1))
	f := start(t, o, time.Hour)
	f.next(t, news(1).ID, false)
	add(t, o, news(2))
	f.next(t, news(2).ID, false)
}

// What the disk did not take is written later, and an event that cannot be sent holds up no other.
func TestTheFileIsWrittenLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	path := filepath.Join(dir, "events.json")
	o := Open(path, testNow)
	if _, err := o.Add(news(1)); err == nil {
		t.Fatal("there is no folder, and no error")
	}
	impossible := news(2)
	impossible.TS = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) // no RFC 3339
	_, _ = o.Add(impossible)
	_, _ = o.Add(news(3))
	must.OK(t, os.Mkdir(dir, 0o700))
	f := start(t, o, 10*time.Millisecond)
	f.next(t, news(1).ID, false)
	f.next(t, news(3).ID, false)
	f.next(t, news(1).ID, true)
	if got := open(t, path).Waiting(); len(got) != 2 || got[0].ID != news(1).ID || got[1].ID != news(3).ID {
		t.Errorf("on disk %+v", got)
	}
}

// Drift waits with the events of models, outlives the process with them, and a nucleus that does not grant it keeps none of them back.
func TestDriftWaitsToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.json")
	o := open(t, path)
	d := event.Drift{V: 1, ID: "drift-1", Line: "line 1", State: event.DriftFound, TS: testTime, Since: testTime}
	if _, err := o.AddDrift(d); err != nil {
		t.Fatal(err)
	}
	add(t, o, news(0))
	o = open(t, path)
	published := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	acks := make(chan ipc.TopicMessage)
	granted := false
	p := Publisher{
		Outbox: o, Acks: acks, Log: slog.New(slog.DiscardHandler), Republish: time.Millisecond,
		Publish: func(_ context.Context, topic string, payload []byte) error {
			if event.IsDrift(topic) && !granted {
				granted = true
				return &ipc.UnauthorizedError{}
			}
			published <- topic + " " + string(payload)
			return nil
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	if first := <-published; !strings.Contains(first, news(0).ID) {
		t.Errorf("%s", first)
	}
	for got := <-published; ; got = <-published {
		if topic, payload, _ := strings.Cut(got, " "); event.IsDrift(topic) {
			if got, err := event.DecodeDrift([]byte(payload)); err != nil || !got.Replayed || got.ID != d.ID || topic != "pdm/v1/drift/line-1" {
				t.Errorf("%s %+v, %v", topic, got, err)
			}
			break
		}
	}
	payload, err := event.Encode(event.Ack{V: 1, IDs: []string{d.ID, news(0).ID}})
	must.OK(t, err)
	go func() {
		for range published {
		}
	}()
	acks <- ipc.TopicMessage{Payload: payload}
	cancel()
	<-done
	close(published)
	if waits := open(t, path).waiting(); len(waits) > 0 {
		t.Errorf("%+v", waits)
	}
}

// Drift that is told again takes no second place, so that it drives out nothing else while nobody acknowledges.
func TestDriftToldAgainWaitsOnce(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "events.json"))
	d := event.Drift{V: 1, ID: "drift-1", Line: "line 1", State: event.DriftFound, TS: testTime, Since: testTime}
	add(t, o, news(0))
	for range 2 * MaxEvents {
		if dropped, err := o.AddDrift(d); dropped != 0 || err != nil {
			t.Fatal(dropped, err)
		}
		d.Replayed = true
	}
	if waits := o.waiting(); len(waits) != 2 {
		t.Errorf("%d wait", len(waits))
	}
}
