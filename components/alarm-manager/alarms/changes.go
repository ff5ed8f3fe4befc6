package alarms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
	"edgepdm/shared/words"
)

// observe tells the alarms of a condition.
func (r *run) observe(o alarm.Observation, now time.Time) {
	changes, err := r.list.system.Observe(o, now)
	r.process(changes, now)
	if err == nil {
		return
	}
	total := r.rt.Counter(CounterRefused).Add(1)
	if now.Sub(r.refusedAt).Abs() >= logEvery {
		r.refusedAt = now
		r.rt.Log.Error("an alarm could not be taken", "thing", o.Thing, "fault", o.Fault, "error", err, "total", total)
	}
	if errors.Is(err, alarm.ErrFull) {
		r.rt.Conditions().Set(event.CodeOverload, placeAlarms, err)
	}
}

// placeAlarms is where a condition says that there are too many alarms.
const placeAlarms = "alarms"

// clear tells the alarms that a condition is over.
func (r *run) clear(thing, line string, fault event.Fault, now time.Time) {
	r.observe(alarm.Observation{Thing: thing, Line: line, Fault: fault}, now)
}

// process takes what has happened to alarms to the audit log, to those who are told, and to who listens. It returns the alerts.
func (r *run) process(changes []alarm.Change, now time.Time) (alerts []event.Alert) {
	for i := range changes {
		c := &changes[i]
		lengthen(&c.Alarm)
		t := newTold(*c)
		if c.Kind == alarm.Raised || c.Kind == alarm.ReAlarmed || c.Kind == alarm.Escalated {
			t.Reasons, t.Life = r.reasons(c.Alarm, now)
		}
		t = r.list.change(t)
		r.count(c)
		t.Text = event.Cut(r.text(*c, r.config.Languages[0], alarm.Insight{}), maxListText)
		id := ""
		if c.To.Cloud || c.To.SNS {
			a := r.enter(r.alert(*c), now)
			id, alerts = a.ID, append(alerts, a)
		}
		if c.Kind == alarm.Acknowledged && c.Outcome != "" {
			r.label(*c)
		}
		r.say(*c)
		if c.Alarm.Fault == "" {
			r.place(*c, t.N)
		}
		r.rt.Log.Info("alarm", "id", id, "change", c.Kind, "thing", c.Alarm.Thing, "line", c.Alarm.Line, "fault", c.Alarm.Fault,
			"state", c.Alarm.State, "by", c.By, "why", c.Why, "text", t.Text)
		r.teller.tell(event.TopicAlarmEvent, t)
	}
	if len(changes) > 0 {
		r.due = true
		r.quieten()
	}
	return alerts
}

// lengthen makes an alarm's length begin with its condition, where the clock was right then: a machine is silent since its last row.
func lengthen(a *alarm.Alarm) {
	if a.Since.Year() < earliestYear {
		return
	}
	if before := a.Raised.Sub(a.Since); before > 0 && before < farTime {
		a.Lasted += before
	}
}

// count counts a change for the health messages.
func (r *run) count(c *alarm.Change) {
	counter := map[alarm.Kind]string{
		alarm.Raised: CounterRaised, alarm.Tested: CounterRaised, alarm.Acknowledged: CounterAckedAlarms, alarm.Shelved: CounterShelved,
		alarm.Suppressed: CounterSuppressed, alarm.Chattering: CounterChattering,
	}[c.Kind]
	switch {
	case counter != "":
		r.rt.Counter(counter).Add(1)
	case c.Kind == alarm.Returned && !c.Again:
		r.rt.Counter(CounterCleared).Add(1)
	case c.Kind == alarm.Summary:
		r.rt.Counter(CounterSummed).Add(uint64(max(c.Count, 0)))
	}
}

// alert is what is sent of a change. Its state is that of two states only, as for programs of older versions: raised and over.
func (r *run) alert(c alarm.Change) event.Alert {
	a := event.Alert{
		Thing: c.Alarm.Thing, Line: c.Alarm.Line, Fault: c.Alarm.Fault, State: event.AlarmUnacknowledged, Severity: c.Alarm.Priority,
		Since: c.Alarm.Since, TS: c.At, Simulated: c.Alarm.Simulated, Chattering: c.Alarm.Chattering, Step: c.Step,
	}
	switch {
	case c.Kind == alarm.Returned, c.Kind == alarm.Retired, c.Into != "":
		a.State = event.AlarmNormal
	case c.Kind == alarm.Summary:
		a.Thing, a.Fault, a.Since, a.Count = r.core, event.FaultSummary, c.At, c.Count
	default:
		data := dataOf(c.Alarm)
		a.Model, a.Probability, a.RowTS = data.Model, data.Probability, data.RowTS
		a.Contributors, a.Life = r.told(c.Alarm, c.At)
		a.Reasons = words.Reasons(a.Contributors, r.config.Languages[0])
	}
	if c.Kind != alarm.Raised && c.Kind != alarm.Returned && c.Kind != alarm.Tested {
		a.Change = string(c.Kind)
	}
	a.Stands = c.Kind == alarm.Returned && r.list.system.StandsBeside(c.Alarm.Key)
	if !c.To.SNS {
		no := false
		a.SNS = &no
	}
	if language := r.config.Languages[0]; language != alarm.English {
		a.Language = language
	}
	if r.config.TimeZone != utc {
		a.TimeZone = r.config.TimeZone
	}
	say := func(language string) string { return r.text(c, language, r.sentences(c.Alarm, language, c.At)) }
	a.Text = say(r.config.Languages[0])
	for _, language := range r.config.Languages[1:] {
		if a.Texts == nil {
			a.Texts = make(map[string]string)
		}
		a.Texts[language] = say(language)
	}
	fit(&a)
	return a
}

// utc is the time zone of alerts that name none.
const utc = "UTC"

// maxPrefixes is what an alert may grow by until it is published, with an id and a mark.
const maxPrefixes = 400

// text is what is said of a change in a language, with sentences of why and when.
func (r *run) text(c alarm.Change, language string, i alarm.Insight) string {
	switch {
	case c.Alarm.Fault == "":
		return ""
	case c.Kind == alarm.Retired:
		return fmt.Sprintf(sentencesIn(language).retired, where(c.Alarm.Thing, c.Alarm.Line))
	case c.Into != "":
		return fmt.Sprintf(sentencesIn(language).renamed, where(c.Alarm.Thing, c.Alarm.Line), spoken(c.Into))
	case c.Kind == alarm.Tested: // it says first that it is a test
		test := fmt.Sprintf(sentencesIn(language).test, where(c.Alarm.Thing, c.Alarm.Line))
		c.Alarm.Text = strings.TrimSpace(test + " " + c.Alarm.Text)
	case c.Kind == alarm.Returned && c.Alarm.Fault == event.FaultEngineDown && language == alarm.English && !r.list.system.StandsBeside(c.Alarm.Key):
		return "The inference engine of " + r.list.system.Text(c, language, i)
	case c.Alarm.Fault == event.FaultLine && (c.Kind == alarm.Returned || c.Kind == alarm.Chattering || c.Kind == alarm.Repeated),
		c.Alarm.Fault == event.FaultDrift && c.Alarm.Line != "": // of the line alone
		c.Alarm.Thing, c.Alarm.Line = c.Alarm.Line, ""
	}
	return r.list.system.Text(c, language, i)
}

// enter puts an alert into the alarm list, which is written before the alert is sent, and returns it with its id.
func (r *run) enter(a event.Alert, now time.Time) event.Alert {
	if a.TS.IsZero() {
		a.TS = now.UTC()
	}
	a, dropped := r.list.enter(a)
	for _, id := range dropped {
		r.outbox.gone(id)
		delete(r.tests, id)
	}
	r.rt.Counter(CounterDropped).Add(uint64(len(dropped)))
	r.outbox.entered()
	r.due = true
	return a
}

// label keeps what was found at an alarm, for a later training.
func (r *run) label(c alarm.Change) {
	a := c.Alarm
	l := event.Label{
		V: event.Version, ID: "label-" + r.list.epoch + "-" + random.ID(), Thing: a.Thing, Line: a.Line, Fault: a.Fault, Since: a.Since,
		Outcome: string(c.Outcome), Comment: event.Cut(c.Why, event.MaxDetail), By: c.By, Rows: dataOf(a).Rows, TS: c.At,
	}
	if !a.Active {
		l.Until = a.Since.Add(a.Lasted)
	}
	payload, err := event.Encode(l)
	if err != nil {
		r.rt.Log.Error("a label is not kept", "thing", a.Thing, "fault", a.Fault, "error", err)
		return
	}
	r.announceNotice(event.LabelTopic(a.Thing), l.ID, payload)
}

func (r *run) announceNotice(topic, id string, payload []byte) {
	dropped := r.list.announce(topic, id, payload)
	r.rt.Counter(CounterDropped).Add(uint64(dropped))
	r.due, r.noticedAt = true, time.Time{}
}

// roundOfNotices is how many are published at a time.
const roundOfNotices = 50

// notices publishes those that the forwarder does not have.
func (r *run) notices(now time.Time) {
	if len(r.list.notices) == 0 || now.Sub(r.noticedAt).Abs() < r.config.Republish || r.list.dirty {
		return
	}
	r.noticedAt = now
	for _, n := range r.list.notices[:min(len(r.list.notices), roundOfNotices)] {
		payload := []byte(n.Payload)
		if r.published[n.ID] || !r.mine(n.ID) {
			payload = append([]byte(`{"replayed":true,`), payload[1:]...)
		}
		r.published[n.ID] = true
		r.teller.send(n.Topic, payload)
	}
}

// mine reports whether a notice was made by this process.
func (r *run) mine(id string) bool { return strings.Contains(id, "-"+r.list.epoch+"-") }

// place takes a change of a machine or line as a whole, by its number: a machine that is retired is no longer watched.
func (r *run) place(c alarm.Change, number uint64) {
	if c.Kind == alarm.Renamed {
		r.watch.rename(c.From, c.Alarm.Thing, number)
	}
	if c.Kind == alarm.Retired || c.Kind == alarm.ReturnedToService || c.Kind == alarm.Renamed {
		r.findRetired()
	}
	if c.Kind == alarm.ReturnedToService || c.Kind == alarm.Renamed {
		r.speakAgain()
	}
}

// findRetired notes which machines are retired.
func (r *run) findRetired() {
	r.retired = make(map[string]bool)
	for _, p := range r.list.system.Places() {
		if p.Retired {
			r.retired[p.Thing] = true
			delete(r.watch.things, p.Thing)
		}
	}
}

// unusedRules are the site's rules that no alarm has matched.
func (r *run) unusedRules() []int {
	return slices.DeleteFunc(r.list.system.Unused(), func(i int) bool { return i >= len(r.config.Rules) })
}
