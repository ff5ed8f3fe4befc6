package alarms

import (
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// figuresTime is how often the figures in the health messages are brought up to date.
const figuresTime = 5 * time.Second

// dayFigures is the message of the figures of a day's alarms.
type dayFigures struct {
	V    int       `json:"v"`
	ID   string    `json:"id"`
	Date string    `json:"date"` // of the day that is over, by the site's clocks
	TS   time.Time `json:"ts"`
	alarm.KPIs
}

// figures tells how the alarms are: in the health messages, and once a day to the cloud.
func (r *run) figures(now time.Time) {
	if now.Sub(r.figuredAt).Abs() < figuresTime {
		return
	}
	r.figuredAt = now
	if r.announcer != nil {
		r.quieten()
		r.speakAgain()
	}
	if now.Sub(r.refusedAt) > time.Minute {
		r.rt.Conditions().Set(event.CodeOverload, placeAlarms, nil)
	}
	r.endLines(now)
	k := r.list.system.KPIs(now)
	r.rt.Counter(CounterStanding).Store(uint64(k.Active))
	r.rt.Counter(CounterUnseen).Store(uint64(k.Unacknowledged))
	r.rt.Counter(CounterStale).Store(uint64(k.Stale))
	r.rt.Counter(CounterFlood).Store(uint64(k.Day.FloodMinutes))
	r.newDay(k, now)
}

// newDay tells what was on the day that is over, and which of the site's rules match nothing.
func (r *run) newDay(k alarm.KPIs, now time.Time) {
	zone, err := time.LoadLocation(r.config.TimeZone)
	if err != nil || now.Year() < earliestYear {
		return
	}
	day, before := now.In(zone).Format(time.DateOnly), r.list.day
	if day == before {
		return
	}
	r.list.turnDay(day)
	r.due = true
	if unused := r.unusedRules(); len(unused) > 0 && before != "" {
		r.rt.Log.Warn("rules match no alarm so far", "rules", unused)
	}
	if before == "" || day < before { // the first day, or the clock was set back
		return
	}
	f := dayFigures{V: event.Version, ID: "kpi-" + r.list.epoch + "-" + before, Date: before, TS: now.UTC(), KPIs: k}
	payload, err := event.Encode(f)
	for err != nil && len(f.Worst) > 0 { // with long names
		f.Worst = f.Worst[:len(f.Worst)-1]
		payload, err = event.Encode(f)
	}
	if err != nil {
		r.rt.Log.Error("the figures of a day are not told", "error", err)
		return
	}
	r.announceNotice(event.TopicAlarmKPI, f.ID, payload)
}
