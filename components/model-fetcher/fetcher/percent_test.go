package fetcher_test

import (
	"fmt"
	"testing"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

// rollout makes a manifest that is for a share of the cores.
func rollout(version string, archive []byte, percent int) envelope.Manifest {
	m := manifest(version, archive)
	m.Format, m.Rollout = 3, &envelope.Rollout{Percent: percent}
	return m
}

// coreWith returns a core's name that a share of 10 % has not, and one of 60 % has; or one that 10 % has.
func coreWith(m envelope.Manifest, early bool) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("core-%d", i)
		at := func(percent int) bool {
			m.Rollout = &envelope.Rollout{Percent: percent}
			return m.Reaches(name)
		}
		if at(10) == early && at(60) {
			return name
		}
	}
}

func TestPercent(t *testing.T) {
	t.Run("another core's turn", func(t *testing.T) {
		r := newRig(t)
		archive := noise(t, 1, mega)
		m := rollout("1.1.0", archive, 10)
		r.vars["AWS_IOT_THING_NAME"] = coreWith(m, false)
		r.publish(m, archive, r.key)
		r.start()
		r.state(event.StateOK, "compressor 1.1.0 is for 10 % of the cores, and "+r.vars["AWS_IOT_THING_NAME"]+" is not one of them")
		if e := r.next(event.ModelAvailable); e.Version != "1.1.0" {
			t.Errorf("event %+v", e)
		}
		r.quiet(fetchNow)
		r.command(`{"v":1,"again":true}`) // that is no way around it
		r.next(event.ModelAvailable)
		r.untouched()
		if h := r.await("health", func(event.Health) bool { return true }); h.Counters[fetcher.CounterBytes] != 0 || len(h.Conditions) != 0 {
			t.Errorf("health %+v", h)
		}
		known, err := record.Read(r.env.WorkDir, event.RoleFault)
		must.OK(t, err)
		if known.Outcome != record.OutcomeElsewhere || known.Last == nil || known.Last.Version != "1.1.0" || known.Delivered["compressor"] != "" {
			t.Errorf("record %+v", known)
		}
		// The same version, signed once more for more cores.
		sealed := r.publish(rollout("1.1.0", archive, 60), archive, r.key)
		r.command(fetchNow)
		r.delivered()
		r.take(sealed, archive)
		// For all, or for fewer again: it is here.
		for _, m := range []envelope.Manifest{rollout("1.1.0", archive, 100), rollout("1.1.0", archive, 1), manifest("1.1.0", archive)} {
			r.publish(m, archive, r.key)
			r.quiet(fetchNow)
			r.untouched()
		}
		r.state(event.StateOK, "")
	})
	t.Run("this core's turn", func(t *testing.T) {
		r := newRig(t)
		archive := noise(t, 1, 1000)
		m := rollout("1.1.0", archive, 10)
		r.vars["AWS_IOT_THING_NAME"] = coreWith(m, true)
		sealed := r.publish(m, archive, r.key)
		r.start()
		r.delivered()
		r.take(sealed, archive)
	})
	t.Run("a core without a name", func(t *testing.T) {
		r := newRig(t)
		archive := noise(t, 1, 1000)
		r.vars["AWS_IOT_THING_NAME"] = ""
		r.publish(rollout("1.1.0", archive, 99), archive, r.key)
		r.start()
		r.state(event.StateOK, "AWS_IOT_THING_NAME, by which they are chosen, is not set here")
		r.next(event.ModelAvailable)
		sealed := r.publish(rollout("1.1.0", archive, 100), archive, r.key)
		r.command(fetchNow)
		r.delivered()
		r.take(sealed, archive)
	})
}
