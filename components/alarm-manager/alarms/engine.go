package alarms

import (
	"fmt"
	"slices"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// An engine that does not work is one alarm with its cause. No machine is heard of meanwhile: that is no silence of theirs.

// The time between the engine's health messages: usualInterval while it does not tell it, and maxInterval at most.
const (
	usualInterval = 5 * time.Second
	maxInterval   = time.Hour
)

// engineHealth notes what the engine says of itself.
func (r *run) engineHealth(h event.Health, now time.Time) {
	restarted := r.watch.engineRun != "" && r.watch.engineRun != h.Run
	r.watch.engineRun = h.Run
	r.watch.every = time.Duration(max(0, min(h.IntervalMS, maxInterval.Milliseconds()))) * time.Millisecond
	if why := idle(h); why != "" {
		r.watch.idle = why
		return
	}
	r.engineWorks(now, restarted)
}

// idle returns why an engine does not work, "" if it does.
func idle(h event.Health) string {
	said := func(text string) string {
		const most = 200 // bytes of the detail
		if h.Detail != "" {
			text += ": " + event.Cut(h.Detail, most)
		}
		return text
	}
	switch {
	case h.State == event.StateNoModel:
		return said("it has no model")
	case h.State == event.StateStarting:
		return said("it does not get beyond its start")
	case h.State == event.StateBadConfig && h.Model == nil: // with a model, the last good configuration is in force
		return said("its configuration is refused")
	}
	refused := func(place string) bool {
		return slices.ContainsFunc(h.Conditions, func(c event.Condition) bool {
			return (c.Code == event.CodeNotAuthorized || c.Code == event.CodePubSubDeaf) && c.Place == place
		})
	}
	switch {
	case refused(event.PlaceLocal):
		return "the nucleus delivers it no messages"
	case refused(event.PlacePublish(event.FilterPrediction)):
		return "the nucleus refuses its predictions"
	case refused(event.PlaceSubscribe(event.FilterTelemetry)) && refused(event.PlaceSubscribe(event.TopicTelemetryBatch)):
		return "the nucleus refuses it telemetry"
	}
	return ""
}

// engineWorks notes that the engine was heard at work. The time in which it was not does not count as silence of machines.
func (r *run) engineWorks(now time.Time, restarted bool) {
	w := r.watch
	down := r.list.isActive(r.core, event.FaultEngineDown)
	if restarted || down || w.idle != "" || r.engineDown(now) {
		w.skipThings(w.engine.lasts(now), now)
	}
	w.engine, w.worked, w.idle = heard(now), now, ""
	r.clear(r.core, "", event.FaultEngineDown, now)
}

// engineDown reports whether the engine has not worked for as long as makes an alarm.
func (r *run) engineDown(now time.Time) bool {
	return r.watch.engine.lasts(now) >= r.watch.engineLimit(r.config.Silence)
}

// silences raises the alarms of those that are not heard: of the engine, or of machines while it works. Whether it does is
// known of the time before its last word only.
func (r *run) silences(now time.Time) {
	if r.config.Silence <= 0 {
		return
	}
	if r.engineDown(now) {
		r.observe(alarm.Observation{
			Thing: r.core, Fault: event.FaultEngineDown, Active: true, Severity: event.SeverityHigh, Since: r.watch.engine.since,
			Text: engineText(r.core, r.watch.idle),
		}, now)
		return
	}
	r.lines(now)
	for name, t := range r.watch.things {
		if !r.silent(t, now) {
			continue
		}
		r.observe(alarm.Observation{
			Thing: name, Line: t.line, Fault: event.FaultSilence, Active: true, Since: t.absence.since, Simulated: t.simulated,
		}, now)
	}
}

// silent reports whether nothing is heard of a machine for as long as makes an alarm, while the engine works.
func (r *run) silent(t *thing, now time.Time) bool {
	return t.absence.lasts(now) >= r.config.Silence && !r.watch.worked.Before(t.absence.from.Add(r.config.Silence))
}

// engineText is what is spoken of an engine that does not work.
func engineText(core, why string) string {
	if why == "" {
		why = "nothing is heard of it"
	}
	return fmt.Sprintf("The inference engine of %s is not at work: %s. No machine is watched. Check the component.", spoken(core), why)
}
