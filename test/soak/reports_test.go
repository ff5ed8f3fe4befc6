package soak

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/plant"
)

// skipped is how many rows of each thing never come before the first one after a start: a ledger that is whole counts them.
const skipped = 2

// engineReport is the model that scores, its verdicts, and how many rows are missed.
func (d *damageTest) engineReport(begun time.Time) string {
	var ids []string
	for thing := range things {
		row := event.Telemetry{
			V: event.Version, Thing: thingName(thing), Epoch: d.l.epoch, Seq: d.l.seq[thing] + skipped + 1, TS: time.Now(), Values: d.l.faulty,
		}
		d.publish(event.TelemetryTopic(row.Thing), row)
		ids = append(ids, row.ID())
	}
	plant.Until(patience, func() bool { return d.w.has(d.w.scored, ids...) })
	h := d.counted("telemetry.missed", things*skipped, begun)
	version := "no model"
	if h.Model != nil {
		version = h.Model.Version + " " + h.Model.SHA256
	}
	return fmt.Sprintf("%s; %d missed, %d unheard; %s", version, h.Counters["telemetry.missed"], h.Counters["telemetry.unheard"], d.w.said())
}

// managerReport are the alerts that waited, the alarms that end, and how many predictions are missed.
func (d *damageTest) managerReport(begun time.Time) string {
	const rows = 5
	for thing := range things {
		for i := range uint64(rows) {
			d.publish(event.PredictionTopic(thingName(thing)), d.prediction(thing, i))
		}
	}
	h := d.counted("prediction.missed", things*skipped, begun)
	plant.Until(patience, func() bool { return d.enough > 0 && len(d.w.said()) >= d.enough })
	return fmt.Sprintf("%d missed; %s", h.Counters["prediction.missed"], d.w.said())
}

// forwarderReport is what does not arrive of what arrives from sound files, and how many predictions are missed.
func (d *damageTest) forwarderReport(begun time.Time) string {
	var ids []string
	for thing := range things {
		p := d.prediction(thing, 0)
		d.publish(event.PredictionTopic(p.Thing), p)
		ids = append(ids, p.ID)
	}
	plant.Until(patience, func() bool { return d.w.has(d.w.accepted, ids...) })
	at := time.Now()
	plant.Until(patience, func() bool {
		h, known := d.w.state(event.CloudForwarder, at)
		return known && emptied(h)
	})
	h := d.counted("prediction.missed", things*skipped, begun)
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.arrives == nil {
		d.arrives = slices.Sorted(maps.Keys(d.w.arrived))
	}
	lost := slices.DeleteFunc(slices.Clone(d.arrives), func(id string) bool { return d.w.arrived[id] > 0 })
	return fmt.Sprintf("%d missed; %d of %d lost: %.5q; without the mark: %d", h.Counters["prediction.missed"], len(lost), len(d.arrives), lost, len(d.w.unmarked))
}

// fetcherReport is the answer to a command, what is told of models, and what is in the inbox.
func (d *damageTest) fetcherReport(time.Time) string {
	d.Command("model-fetch", `{"v":1}`)
	plant.Until(patience, func() bool { return strings.Contains(d.w.said(), "reply") })
	ready, err := os.ReadDir(filepath.Join(d.work(), "inbox", "ready"))
	return fmt.Sprintf("%d in the inbox, %v; %s", len(ready), err, d.w.said())
}

func thingName(thing int) string { return fmt.Sprintf("press-%d", thing+1) }

// prediction is one of a machine that works, after some that never came.
func (d *damageTest) prediction(thing int, i uint64) event.Prediction {
	seq := d.l.seq[thing] + skipped + 1 + i
	return event.Prediction{
		V: event.Version, ID: fmt.Sprintf("%s-%s-%d", thingName(thing), d.l.epoch, seq), Thing: thingName(thing), Line: "1", Epoch: d.l.epoch, Seq: seq,
		TS: time.Now(), Model: event.ModelRef{Version: "1.1.0"}, Probability: 0.01, Threshold: 0.5, Label: event.LabelNotFaulty,
	}
}

func (d *damageTest) publish(topic string, message any) {
	d.T.Helper()
	payload, err := event.Encode(message)
	if err == nil {
		err = d.Client.Publish(d.T.Context(), topic, payload)
	}
	if err != nil {
		d.T.Fatal(err)
	}
}

// counted waits until a counter is at least n, and returns the health message that says so, or the last one.
func (d *damageTest) counted(counter string, n uint64, begun time.Time) (h event.Health) {
	plant.Until(patience, func() bool {
		h, _ = d.w.state(d.name, begun)
		return h.Counters[counter] >= n
	})
	return h
}
