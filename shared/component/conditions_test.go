package component

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// bench is a Runtime without a nucleus, with a clock and a log.
type bench struct {
	rt  *Runtime
	now time.Time
	log strings.Builder
}

func newBench() *bench {
	b := &bench{now: time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)}
	b.rt = newRuntime("com.test.A", "1", Environment{Log: slog.New(slog.NewTextHandler(&b.log, nil)), Now: func() time.Time { return b.now }})
	return b
}

// is checks what a health message says.
func (b *bench) is(t *testing.T, step string, state event.State, detail string, conditions int) {
	t.Helper()
	h := b.rt.Health()
	if h.State != state || h.Detail != detail || len(h.Conditions) != conditions {
		t.Errorf("%s: %s %q %+v", step, h.State, h.Detail, h.Conditions)
	}
}

func TestStateFollowsConditions(t *testing.T) {
	b := newBench()
	c := b.rt.Conditions()
	b.is(t, "at first", event.StateStarting, "", 0)
	c.Expect(event.CodeDisk, "queue")
	b.rt.SetState(event.StateOK, "")
	b.is(t, "no word from the queue", event.StateStarting, "", 0)
	c.Set(event.CodeDisk, "queue", nil)
	b.is(t, "word from the queue", event.StateOK, "", 0)
	c.Set(event.CodeDelivery, "alerts", errors.New("403"))
	b.now = b.now.Add(time.Second)
	c.Set(event.CodeDisk, "queue", errors.New("full"))
	b.is(t, "two are wrong, the older first", event.StateDegraded, "alerts: 403; queue: full", 2)
	b.rt.SetState(event.StateNoModel, "no model")
	b.is(t, "what the work says is worse", event.StateNoModel, "no model", 2)
	b.rt.SetState(event.StateNotConfigured, "bucket")
	b.is(t, "nothing to do", event.StateNotConfigured, "bucket", 2)
	b.rt.SetState(event.StateOK, "as before")
	c.Set(event.CodeDelivery, "alerts", nil)
	b.is(t, "one is left", event.StateDegraded, "queue: full", 1)
	b.rt.setConfigProblem("things: 7")
	b.is(t, "a bad configuration stands above it", event.StateBadConfig, "things: 7", 1)
	b.rt.setConfigProblem("")
	c.Set(event.CodeDisk, "queue", nil)
	b.is(t, "all is well", event.StateOK, "as before", 0)
}

func TestAPlaceWorksWhenAllItsPartsDo(t *testing.T) {
	b := newBench()
	c := b.rt.Conditions()
	b.rt.SetState(event.StateOK, "")
	c.SetPart(event.CodeDelivery, "p", 3, errors.New("three"))
	c.SetPart(event.CodeDelivery, "p", 1, errors.New("one"))
	b.is(t, "the lowest part speaks", event.StateDegraded, "p: one", 1)
	c.SetPart(event.CodeDelivery, "p", 1, nil)
	b.is(t, "the other part is left", event.StateDegraded, "p: three", 1)
	c.SetPart(event.CodeDelivery, "p", 3, nil)
	b.is(t, "none is left", event.StateOK, "", 0)
}

// What the work said is forgotten when it is entered again; what the framework said is not.
func TestBeginForgets(t *testing.T) {
	b := newBench()
	c := b.rt.Conditions()
	b.rt.SetState(event.StateOK, "")
	c.Set(event.CodeDisk, "queue", errors.New("full"))
	c.Expect(event.CodeDisk, "other")
	c.setDeaf(errDeaf)
	b.rt.beginWork()
	b.is(t, "entered again", event.StateDegraded, event.PlaceLocal+": "+errDeaf.Error(), 1)
	c.setDeaf(nil)
	b.is(t, "not at work yet", event.StateStarting, "", 0)
}

// A condition is logged when it comes, when its text changes (but not often), and when it goes.
func TestConditionsAreLogged(t *testing.T) {
	b := newBench()
	c := b.rt.Conditions()
	lines := func() int { return strings.Count(b.log.String(), "\n") }
	for i := range 100 {
		c.Set(event.CodeDelivery, "alerts", fmt.Errorf("request %d", i))
	}
	if lines() != 1 {
		t.Errorf("%s", &b.log)
	}
	b.now = b.now.Add(logConditionEvery)
	c.Set(event.CodeDelivery, "alerts", errors.New("another cause"))
	c.Set(event.CodeDelivery, "alerts", errors.New("another cause"))
	c.Set(event.CodeDelivery, "alerts", nil)
	c.Set(event.CodeDelivery, "alerts", nil)
	if lines() != 3 || !strings.Contains(b.log.String(), "code=DELIVERY place=alerts error=\"another cause\"") {
		t.Errorf("%s", &b.log)
	}
}

// However much is wrong, the health message stays a local message.
func TestConditionsAreBounded(t *testing.T) {
	b := newBench()
	for i := range 50 {
		b.rt.Conditions().Set(event.CodeDisk, fmt.Sprintf("place %02d", i), errors.New(strings.Repeat("<ä", 5000)))
	}
	h := b.rt.Health()
	if len(h.Conditions) != maxConditions || len(h.Detail) > event.MaxDetail || len(h.Conditions[0].Detail) > maxConditionDetail {
		t.Errorf("%d conditions, %d bytes of detail", len(h.Conditions), len(h.Detail))
	}
	b.rt.Conditions().Set(event.CodeNotAuthorized, event.PlaceLocal, errors.New("no"))
	if h = b.rt.Health(); len(h.Conditions) != maxConditions || h.Conditions[0].Code != event.CodeNotAuthorized || h.Conditions[1].Place != "place 00" {
		t.Errorf("that it is deaf is not told first: %+v", h.Conditions)
	}
	payload, err := encodeHealth(h)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := event.DecodeHealth(payload); err != nil || len(got.Conditions) == 0 || got.Conditions[0] != h.Conditions[0] {
		t.Errorf("%s: %v", payload, err)
	}
	b.rt.setConfigProblem(strings.Repeat("no text, ", 1000))
	if _, err := encodeHealth(b.rt.Health()); err != nil {
		t.Error(err)
	}
}
