package alarms

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
)

// unbounded is a configuration that holds no alarm back.
func unbounded(c Config) Config {
	c.MaxPerLine, c.MaxPerSite = 1000, 1000
	return c
}

// withRun calls check with a run that has not begun to listen, on the embedded core.
func withRun(t testing.TB, check func(r *run)) {
	t.Helper()
	const name = "com.edgepdm.AlarmManager"
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "alarm-manager", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	work := func(ctx context.Context, rt *component.Runtime, config Config) error {
		defer cancel()
		b, err := openList(rt.WorkDir, unbounded(config).managed(), time.Now())
		if err != nil {
			return err
		}
		w, err := openWatch(filepath.Join(rt.WorkDir, watchName), time.Now())
		if err != nil {
			return err
		}
		r := &run{
			rt: rt, config: config, now: time.Now, core: "core-1", list: b, outbox: newOutbox(config.Republish, nil), watch: w, teller: startTeller(ctx, rt),
		}
		defer r.teller.stop()
		check(r)
		return nil
	}
	if err := component.Run(ctx, component.Spec[Config]{Name: name, Default: Default, Run: work}, env); err != nil {
		t.Error(err)
	}
}

// Alarms of one tick, and acknowledgements that wait, cost one writing of the alarm list, not one each.
func TestListIsWrittenOnceInARound(t *testing.T) {
	const things = 50
	withRun(t, func(r *run) {
		now := time.Now()
		for i := range things {
			r.watch.things[fmt.Sprintf("press-%d", i)] = &thing{absence: heard(now.Add(-time.Hour))}
		}
		r.watch.worked = now
		r.tick(now, tickTime)
		if _, err := os.Stat(r.list.journal.path); !os.IsNotExist(err) || !r.due || len(r.list.outbox) != things {
			t.Errorf("written by the tick: %v; due %v, dirty %v, %d alerts", err, r.due, r.list.dirty, len(r.list.outbox))
		}
		if err := r.save(); err != nil {
			t.Error(err)
		}
		if again, err := openList(r.rt.WorkDir, testConfig(), now); err != nil || r.due || r.list.dirty || len(again.outbox) != things {
			t.Errorf("%v, due %v, dirty %v", err, r.due, r.list.dirty)
		}
		acks := make(chan ipc.TopicMessage, things+1)
		for _, a := range r.list.outbox {
			payload, err := json.Marshal(event.Ack{V: 1, IDs: []string{a.ID}})
			if err != nil {
				t.Error(err)
			}
			acks <- ipc.TopicMessage{Payload: payload}
		}
		acks <- ipc.TopicMessage{Payload: []byte("{")}
		r.acksThatWait(acks)
		if again, err := openList(r.rt.WorkDir, testConfig(), now); err != nil || !r.due || len(r.list.outbox) != 0 || len(again.outbox) != things {
			t.Errorf("%v, due %v, %d alerts wait", err, r.due, len(r.list.outbox))
		}
		if n := r.rt.Counter(CounterInvalid).Load(); n != 1 {
			t.Errorf("%d bad messages", n)
		}
	})
}

// A tick that comes late, as the disk or the machine held the loop up, takes that time for no silence; one in time does.
func TestLateTickIsNoSilence(t *testing.T) {
	withRun(t, func(r *run) {
		now := time.Now()
		begin := now.Add(-r.config.Silence - tickTime)
		r.watch.things["press-1"] = &thing{absence: heard(begin)}
		r.watch.down = heard(now.Add(-r.config.UplinkDown - tickTime))
		r.watch.worked = now.Add(time.Minute)
		r.tick(now, stallTime)
		if len(r.list.standing()) != 0 {
			t.Errorf("alarms %+v after a stall", r.list.standing())
		}
		r.tick(now.Add(stallTime-2*tickTime), stallTime-1)
		if !r.list.isActive("press-1", event.FaultSilence) || len(r.list.standing()) != 2 {
			t.Errorf("alarms %+v", r.list.standing())
		}
		if a, _ := r.list.system.Find(alarm.Key{Thing: "press-1", Fault: event.FaultSilence}); !a.Since.Equal(begin) {
			t.Errorf("since %v, want %v", a.Since, begin)
		}
	})
}
