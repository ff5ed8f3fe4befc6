package soak

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/plant"
)

const (
	things    = 4
	rowsEvery = 10 * time.Millisecond // of one thing after the other
	inBlock   = 8                     // rows of a kind, before the thing fails or works again: alarms are raised and end
)

// load publishes rows whose ids are known.
type load struct {
	plant          *plant.Plant
	witness        *witness
	normal, faulty event.Values
	epoch          string
	seq            [things]uint64
	failing        atomic.Bool // all rows are of a machine that fails
	stop           context.CancelFunc
	done           chan struct{}
	err            error
}

func startLoad(t *testing.T, p *plant.Plant, w *witness) *load {
	t.Helper()
	l := &load{plant: p, witness: w, epoch: strconv.FormatInt(time.Now().Unix(), 36), done: make(chan struct{})}
	l.normal, l.faulty = sampleRows(t)
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-l.done
	})
	return l
}

func (l *load) run(ctx context.Context) {
	ticker := time.NewTicker(rowsEvery)
	defer ticker.Stop()
	for i := 0; ; i = (i + 1) % things {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, l.err = l.row(i); l.err != nil {
			return
		}
	}
}

// row publishes the next row of a thing, and returns its id.
func (l *load) row(thing int) (string, error) {
	l.seq[thing]++
	row := event.Telemetry{
		V: event.Version, Thing: thingName(thing), Line: "1", Epoch: l.epoch, Seq: l.seq[thing], TS: time.Now(), Values: l.normal,
	}
	if (l.seq[thing]/inBlock)%2 == 1 || l.failing.Load() {
		row.Values = l.faulty
	}
	payload, err := event.Encode(row)
	if err != nil {
		return "", err
	}
	l.witness.mu.Lock() // before it is scored
	l.witness.sent[row.ID()] = true
	l.witness.mu.Unlock()
	if err := l.plant.Client.Publish(context.Background(), event.TelemetryTopic(row.Thing), payload); err != nil {
		return "", fmt.Errorf("publish a row: %w", err)
	}
	return row.ID(), nil
}

// finish ends the load with a row of each thing that is scored, so that what was missed before is told.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	<-l.done
	if l.err != nil {
		t.Fatal(l.err)
	}
	var last []string
	if !plant.Until(time.Minute, func() bool {
		for i := range things {
			id, err := l.row(i)
			if err != nil {
				t.Fatal(err)
			}
			last = append(last[max(0, len(last)-2*things):], id)
		}
		return l.witness.has(l.witness.scored, last[:min(len(last), things)]...)
	}) {
		t.Fatal("the last rows are not scored")
	}
	if !plant.Until(time.Minute, func() bool { return l.witness.has(l.witness.scored, last...) }) {
		t.Fatal("the very last rows are not scored")
	}
}
