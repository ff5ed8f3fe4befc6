package alarms

import (
	"encoding/json"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/shared/words"
)

// insight is what the models told of a machine last: what points to a fault, and when it is likely to need maintenance. Not every
// prediction tells them.
type insight struct {
	model   event.ModelRef // that told why
	why     []event.Contributor
	whyAt   time.Time
	rows    int // since then
	healthy int // rows without a vote for a fault, after the last one with it
	life    *event.Life
	lifeAt  time.Time
	without int // rows without a life, after the last one with it
}

const (
	// whyTime is how long it is known what points to a fault, of a machine whose rows come faster than a window of them takes.
	whyTime = 10 * time.Minute
	// minWhyTime is how long it is known over a healthy stretch: the engine does not tell it again at once.
	minWhyTime = 15 * time.Second
	// minLifeTime is how long a life is known at least.
	minLifeTime = time.Minute
	// maxData bounds what is kept with an alarm, in bytes: a version before this one takes no more.
	maxData = 2000
	// maxWhyText bounds the sentence of reasons in a text, in bytes.
	maxWhyText = 500
)

// learn takes what a row tells. What is old, of another model or of before a healthy stretch is forgotten.
func (r *run) learn(t *thing, p *event.Prediction, now time.Time) {
	i := &t.insight
	i.rows++
	raise, _ := r.config.levels(p.Threshold)
	faulty := p.Label != event.LabelNoData && p.Probability >= min(raise, p.Threshold)
	switch {
	case faulty:
		i.healthy = 0
	case p.Label != event.LabelNoData:
		i.healthy++
	}
	age := now.Sub(i.whyAt)
	switch {
	case faulty && len(p.Contributors) > 0: // a healthy row has some if somebody asked what moves it
		i.model, i.why, i.whyAt, i.rows = p.Model, r.named(p.Contributors), now, 0
	case i.model != p.Model, i.healthy >= r.config.Window && age > minWhyTime, i.rows >= r.config.Window && age > whyTime:
		i.why = nil
	}
	i.without++
	switch {
	case p.Life != nil:
		i.life, i.lifeAt, i.without = p.Life, now, 0
	case i.without >= r.config.Window: // no model tells it any more
		i.life = nil
	}
}

// named keeps of contributors' names those in languages that are spoken here.
func (r *run) named(list []event.Contributor) []event.Contributor {
	for n := range list {
		names := make(map[string]string)
		for _, language := range r.config.Languages {
			for _, key := range words.Keys(language) {
				if name := list[n].Names[key]; name != "" {
					names[key] = name
				}
			}
		}
		list[n].Names = names
	}
	return list
}

// lifeTime is how long a life goes on to be true enough to be said: a tenth of it.
func lifeTime(l *event.Life) time.Duration {
	const most = 24 * time.Hour
	return max(minLifeTime, time.Duration(min(l.High*float64(l.Length())/10, float64(most))))
}

// lifeNow is the machine's life if it is known at this time.
func (i *insight) lifeNow(now time.Time) *event.Life {
	if i.life == nil || now.Sub(i.lifeAt) > lifeTime(i.life) {
		return nil
	}
	return i.life
}

// addInsight adds to what is kept with a machine's alarm what the models told last. Reasons that the same model gave to the alarm
// before stay until there are others.
func (r *run) addInsight(d *rowData, thing string, before rowData, now time.Time) {
	i := &r.watch.things[thing].insight
	d.Contributors, d.Life = i.why, i.lifeNow(now)
	if len(d.Contributors) == 0 && before.Model != nil && *before.Model == *d.Model {
		d.Contributors = before.Contributors
	}
}

// encodeData encodes what is kept with an alarm, with as many contributors as there is room for.
func encodeData(d rowData) json.RawMessage {
	for {
		data, err := json.Marshal(d)
		if err != nil { // of a time that JSON cannot write, which no decoder takes
			return nil
		}
		if len(data) <= maxData || !dropInsight(&d.Contributors) {
			return data
		}
	}
}

// dropInsight makes contributors shorter, and reports whether there was something to drop: the names in other languages first,
// then the last one.
func dropInsight(list *[]event.Contributor) bool {
	kept := append([]event.Contributor(nil), *list...)
	named := false
	for n := range kept {
		named = named || len(kept[n].Names) > 0
		kept[n].Names = nil
	}
	if !named && len(kept) > 0 {
		kept = kept[:len(kept)-1]
	}
	dropped := len(*list) > 0
	*list = kept
	return dropped
}

// told is what is known of why and when of an alarm that stands. The life is that of the machine's last rows, or, of a machine that is
// not heard yet, of the row that is kept with the alarm; an old one is not told.
func (r *run) told(a alarm.Alarm, now time.Time) (why []event.Contributor, life *event.Life) {
	if a.Fault != event.FaultMachine || !a.Active {
		return nil, nil
	}
	data := dataOf(a)
	kept := insight{life: data.Life, lifeAt: data.RowTS}
	life = kept.lifeNow(now)
	if t := r.watch.things[a.Thing]; t != nil && (t.insight.life != nil || t.insight.without >= r.config.Window) {
		life = t.insight.lifeNow(now)
	}
	return data.Contributors, life
}

// reasons is told with why in words.
func (r *run) reasons(a alarm.Alarm, now time.Time) ([]string, *event.Life) {
	why, life := r.told(a, now)
	return words.Reasons(why, r.config.Languages[0]), life
}

// sentences are why and when of an alarm in the words of a language.
func (r *run) sentences(a alarm.Alarm, language string, now time.Time) alarm.Insight {
	why, life := r.told(a, now)
	return alarm.Insight{Reasons: words.Points(why, language, maxWhyText), Life: words.Life(life, language)}
}

// fit makes an alert as small as its transport takes: without names in other languages, with fewer reasons, and without texts in other
// languages, in this order.
func fit(a *event.Alert) {
	for {
		if payload, err := event.Encode(a); err == nil && len(payload) <= event.IoTCoreIPC.Limit()-maxPrefixes {
			return
		}
		if !dropInsight(&a.Contributors) {
			a.Texts = nil
			return
		}
		a.Reasons = a.Reasons[:len(a.Contributors)]
	}
}
