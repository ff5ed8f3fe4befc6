package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

const maxModelEvents = 50

func (l *listener) prediction(m ipc.TopicMessage) error {
	p, err := l.decoder.Decode(m.Payload)
	if err == nil {
		l.predicted(&p)
	}
	return err
}

func (l *listener) predictions(m ipc.TopicMessage) error {
	batch, err := l.decoder.DecodeBatch(m.Payload)
	if err != nil {
		return err
	}
	for i := range batch {
		if batch[i].Err != nil {
			err = batch[i].Err
			continue
		}
		l.predicted(&batch[i].Prediction)
	}
	return err
}

func (l *listener) predicted(p *event.Prediction) {
	t, known := l.things[p.Thing]
	if !known && len(l.things) >= l.config.MaxThings {
		l.rt.Counter(CounterUnshown).Add(1)
		return
	}
	t = t.After(p, l.now().UnixMilli())
	l.things[p.Thing] = t
	life := math.NaN()
	if p.Life != nil {
		life = p.Life.Median
	}
	l.trends.Add(p.Thing, l.dated(p.TS), p.Probability, life, p.Watched)
	l.store.Set(picture.Things, p.Thing, t.Encode())
}

// dated is when a row counts for trends: at its own time, unless its clock is wrong.
func (l *listener) dated(ts time.Time) time.Time {
	if now := l.now(); ts.Sub(now).Abs() > wrongClock {
		return now
	}
	return ts
}

const wrongClock = 10 * time.Minute

func (l *listener) health(m ipc.TopicMessage) error {
	h, err := event.DecodeHealth(m.Payload)
	if err == nil {
		l.store.Set(picture.Components, h.Component, json.RawMessage(m.Payload))
	}
	return err
}

func (l *listener) model(m ipc.TopicMessage) error {
	e, err := event.DecodeModelEvent(m.Payload)
	if err == nil {
		l.keep(picture.Models, e.TS, e.ID, e, maxModelEvents)
	}
	return err
}

func (l *listener) drift(m ipc.TopicMessage) error {
	d, err := event.DecodeDrift(m.Payload)
	if err == nil {
		l.set(picture.Drifts, d.Line, d)
	}
	return err
}

func (l *listener) comparison(m ipc.TopicMessage) error {
	c, err := event.DecodeComparison(m.Payload)
	if err == nil {
		l.set(picture.Comparisons, string(event.RoleFault), c)
	}
	return err
}

// keep puts a record under its time and id, and removes the oldest beyond most.
func (l *listener) keep(kind picture.Kind, ts time.Time, id string, value any, most int) {
	l.set(kind, ts.UTC().Format("20060102T150405.000")+" "+id, value)
	if keys := l.store.Keys(kind); len(keys) > most {
		l.store.Delete(kind, keys[0])
	}
}

// refresh asks for the list of alarms: at the start, when changes were missed, and from time to time.
func (l *listener) refresh(ctx context.Context) {
	ticker := time.NewTicker(listEvery)
	defer ticker.Stop()
	soon := time.NewTimer(0)
	defer soon.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-l.whole:
			select { // a flood of changes asks once
			case <-ctx.Done():
				return
			case <-time.After(listPause):
			}
		case <-soon.C:
		case <-ticker.C:
		}
		payload, err := event.Encode(map[string]any{"v": event.Version, "do": "list", "id": fmt.Sprintf("console-list-%d", n)})
		if err == nil {
			err = l.rt.IPC().Publish(ctx, event.TopicOperatorAlarm, payload)
		}
		if ctx.Err() == nil {
			l.rt.Publication(event.TopicOperatorAlarm).Answered(err)
		}
		l.mu.Lock()
		none := l.number == 0
		l.mu.Unlock()
		if none { // the alarm manager may not be there yet
			soon.Reset(listAgain)
		}
	}
}

const (
	listEvery = time.Minute
	listPause = 250 * time.Millisecond
	listAgain = 3 * time.Second
)
