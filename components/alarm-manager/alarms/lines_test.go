package alarms

import (
	"fmt"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// A line that is silent as a whole is one alert; its machines' silences are in the list. When one machine is heard, the others are
// told a little later. A line of one machine is its machine's alarm; one whose machines are gone has none.
func TestASilentLineIsOneAlarm(t *testing.T) {
	withRun(t, func(r *run) {
		now := time.Now()
		long := now.Add(-time.Hour)
		for i := range 5 {
			r.watch.things[fmt.Sprint("press-", i)] = &thing{line: "Line 1", absence: heard(long)}
		}
		r.watch.things["heard"] = &thing{line: "line-2", absence: heard(now.Add(time.Hour))}
		r.watch.things["silent"] = &thing{line: "line-2", absence: heard(long)}
		r.watch.things["alone"] = &thing{line: "line-3", absence: heard(long)}
		r.watch.worked, r.watch.engine, r.watch.forwarder = now, heard(now.Add(time.Hour)), heard(now.Add(time.Hour))
		r.retired = make(map[string]bool)
		told := func() (got map[string]event.Alert) {
			got = make(map[string]event.Alert)
			for _, a := range r.list.outbox {
				got[a.Thing+" "+string(a.State)] = a
			}
			r.list.outbox = nil
			return got
		}
		r.tick(now, tickTime)
		got := told()
		line := lineThing("Line 1")
		a := got[line+" UNACKNOWLEDGED"]
		if len(got) != 3 || got["silent UNACKNOWLEDGED"].ID == "" || got["alone UNACKNOWLEDGED"].ID == "" || a.Fault != event.FaultLine || a.Line != "Line 1" ||
			!a.Since.Equal(long) || a.Text != "No data from Line 1: none of its machines is heard. Check its network and gateway." {
			t.Errorf("%+v", got)
		}
		if n := len(r.list.system.List()); n != 8 {
			t.Errorf("%d in the list", n)
		}
		now = now.Add(10 * time.Second)
		r.watch.things["press-0"].absence = heard(now)
		r.clear("press-0", "Line 1", event.FaultSilence, now)
		r.tick(now, tickTime)
		if got = told(); len(got) != 1 || got[line+" NORMAL"].Text != "Line 1 is back to normal after 60 minutes." {
			t.Errorf("%+v", got)
		}
		now = now.Add(31 * time.Second)
		r.watch.things["press-0"].absence = heard(now)
		r.tick(now, tickTime)
		if got = told(); len(got) != 4 || got["press-1 UNACKNOWLEDGED"].Change != string(alarm.Unsuppressed) {
			t.Errorf("%+v", got)
		}
		for i := range 5 {
			r.watch.things[fmt.Sprint("press-", i)].absence = heard(long)
		}
		r.watch.worked = now.Add(time.Minute)
		now = now.Add(2 * time.Minute)
		r.watch.engine, r.watch.worked = heard(now), now
		r.tick(now, tickTime)
		if !r.list.isActive(line, event.FaultLine) {
			t.Error("not silent again")
		}
		for i := range 5 {
			delete(r.watch.things, fmt.Sprint("press-", i))
		}
		now = now.Add(10 * time.Second)
		r.tick(now, tickTime)
		if r.list.isActive(line, event.FaultLine) {
			t.Error("silent, and gone")
		}
	})
}

// The name of a line's alarm can name a thing, and is no other line's.
func TestNamesOfLines(t *testing.T) {
	names := make(map[string]string)
	for _, line := range []string{"line-1", "line 1", "line_1", "線", "線線", string(make([]byte, 128)), "Straße 3", "Strasse 3", " ", "-"} {
		name := lineThing(line)
		if err := event.CheckName(name); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if other, twice := names[name]; twice {
			t.Errorf("%q and %q are both %s", line, other, name)
		}
		names[name] = line
	}
}
