package main

import (
	"context"
	"fmt"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

const (
	// models is how many machines are simulated; the others show what these do, at other times. To bring ten thousand to their
	// working temperature takes minutes.
	models      = 200
	timeScale   = 60
	lineThings  = 200 // machines of a line
	seed        = 1
	epoch       = "f1ee7001"
	faultyRound = 2  // rounds before the first simulated machine has a fault: so have things/models things
	underWay    = 32 // messages whose answer by the nucleus is outstanding
	lateGrace   = 2 * time.Second
)

// machines publish rows at an even pace: each machine one row a round.
type machines struct {
	options options
	client  *ipc.Client
	models  []*plant.Machine
	schema  string
	asked   uint64 // rows that are to be published

	published uint64
	refused   uint64        // rows that the nucleus did not take
	behind    time.Duration // the most that a message was late
	first     time.Time     // row
}

func newMachines(o options, client *ipc.Client) *machines {
	m := &machines{options: o, client: client, schema: event.SchemaOf(plant.Sensors())}
	for i := range min(models, o.things) {
		m.models = append(m.models, plant.New(seed, fmt.Sprintf("model-%d", i)))
	}
	m.asked = uint64(o.things) * uint64(o.length/o.every)
	return m
}

// run publishes all rounds, or ends a little after the time is over.
func (m *machines) run(ctx context.Context) error {
	pending := make(chan *ipc.Call, underWay)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for call := range pending {
			if call.Wait(ctx) != nil {
				m.refused += uint64(m.options.batch)
			}
		}
	}()
	err := m.publishAll(ctx, pending)
	close(pending)
	<-answered
	return err
}

func (m *machines) publishAll(ctx context.Context, pending chan<- *ipc.Call) error {
	var rows []event.Telemetry
	step := m.options.every / time.Duration(m.options.things)
	dt := time.Duration(len(m.models)) * step * timeScale
	timer := time.NewTimer(0)
	defer timer.Stop()
	m.first = time.Now()
	for n := range m.asked {
		thing := int(n % uint64(m.options.things))
		if n == faultyRound*uint64(m.options.things) {
			if err := m.models[0].Inject(plant.Overheating, 0); err != nil {
				return fmt.Errorf("inject a fault: %w", err)
			}
		}
		values := m.models[thing%len(m.models)].Step(dt).Values
		if thing%100 >= m.options.silent {
			rows = append(rows, event.Telemetry{
				V: event.Version, Thing: fmt.Sprintf("machine-%d", thing+1), Line: fmt.Sprintf("line-%d", thing/lineThings+1), Epoch: epoch,
				Seq: n/uint64(m.options.things) + 1, TS: time.Now().UTC(), Schema: m.schema, Packed: values, Simulated: true,
			})
		}
		if len(rows) < m.options.batch && n+1 < m.asked {
			continue
		}
		due := m.first.Add(time.Duration(n+1) * step)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		} else if m.behind = max(m.behind, -wait); time.Since(m.first) > m.options.length+lateGrace {
			return nil // what is missing is told
		}
		for i := range rows {
			rows[i].TS = time.Now().UTC()
		}
		if err := m.publish(rows, pending); err != nil {
			return err
		}
		rows = rows[:0]
	}
	return nil
}

// publish publishes rows, in smaller messages where they are too large for one.
func (m *machines) publish(rows []event.Telemetry, pending chan<- *ipc.Call) error {
	if len(rows) == 0 {
		return nil
	}
	topic, message := event.TopicTelemetryBatch, any(event.TelemetryBatch{V: event.Version, Rows: rows})
	if m.options.batch == 1 {
		topic, message = event.TelemetryTopic(rows[0].Thing), rows[0]
	}
	payload, err := event.Encode(message)
	if err != nil && len(rows) > 1 {
		if err := m.publish(rows[:len(rows)/2], pending); err != nil {
			return err
		}
		return m.publish(rows[len(rows)/2:], pending)
	}
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	call, err := m.client.StartPublish(context.Background(), topic, payload) // a row that has begun is published
	if err != nil {
		return fmt.Errorf("publish rows: %w", err)
	}
	pending <- call
	m.published += uint64(len(rows))
	return nil
}
