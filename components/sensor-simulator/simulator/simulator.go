package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/random"
	"edgepdm/shared/shadow"
)

// Run publishes telemetry until ctx ends. It is the component's Run.
func Run(ctx context.Context, rt *component.Runtime, config Config) error {
	src, err := openSource(config)
	if err != nil { // the file may be there after the next change of configuration
		rt.Conditions().Set(event.CodeInput, placeRows, err)
		rt.SetState(event.StateOK, "")
		<-ctx.Done()
		return nil
	}
	defer func() { _ = src.close() }()
	stop, err := awaitConsumer(ctx, rt, config.WaitFor, config.WaitLimit)
	if err != nil {
		return err
	}
	defer stop()
	s := &simulator{
		config: config, source: src, schema: event.SchemaOf(src.columns()), epoch: random.ID(),
		seq: make([]uint64, config.Things), pending: make(chan *ipc.Call, pendingLimit), rt: rt,
	}
	rt.SetState(event.StateOK, "")
	return s.run(ctx)
}

// counterUnpublished counts in the health messages.
const counterUnpublished = "telemetry.oversized" // rows that no local message carries

// placeRows is where a condition says what is wrong with the rows.
const placeRows = "rows"

// unreadableLimit is from how many unreadable rows on, with no other between them, the input is no good.
const unreadableLimit = 10

// pendingLimit bounds the messages whose acknowledgement by the nucleus is outstanding.
const pendingLimit = 32

type simulator struct {
	config     Config
	source     source
	schema     string
	epoch      string
	seq        []uint64 // by machine
	batch      []event.Telemetry
	unreadable int // rows of the input, since the last that was not
	pending    chan *ipc.Call
	shadows    *shadow.Writer // nil: the rows go to publish/subscribe
	rt         *component.Runtime
}

func (s *simulator) run(ctx context.Context) error {
	confirmed := make(chan struct{})
	go func() {
		defer close(confirmed)
		s.confirm(ctx)
	}()
	defer func() {
		close(s.pending)
		<-confirmed
	}()
	if s.config.Output == ToShadow {
		defer s.startShadows(ctx)()
	}
	orders, err := s.rt.Subscribe(ctx, event.TopicDemoFault)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicDemoFault, err)
	}
	period := time.Duration(float64(time.Second) / s.config.Rate)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	s.rt.Log.Info("publishing", "things", s.config.Things, "rate", s.config.Rate, "sensors", len(s.source.columns()), "epoch", s.epoch)
	for elapsed := time.Duration(0); ; elapsed += period {
		for machine := range s.config.Things {
			err := s.publishRow(machine, period, elapsed)
			if errors.Is(err, io.EOF) {
				s.rt.Log.Info("the input is at its end: nothing more to publish")
				err = s.flush()
				if err == nil {
					<-ctx.Done()
				}
			}
			if err != nil || ctx.Err() != nil {
				return err
			}
		}
		if err := s.flush(); err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case m, open := <-orders.Events():
				if !open {
					return fmt.Errorf("receive orders: %w", orders.Err())
				}
				s.order(ctx, m, elapsed)
			case <-ticker.C:
				waiting = false
			}
		}
	}
}

// publishRow publishes the machine's next row, or adds it to the batch. A row of the input that cannot be read is
// counted and skipped.
func (s *simulator) publishRow(machine int, dt, elapsed time.Duration) error {
	r, err := s.source.next(machine, dt, elapsed)
	if errors.Is(err, io.EOF) {
		return err
	}
	if _, ofLine := errors.AsType[*dataset.LineError](err); ofLine {
		s.unreadable++
		s.rt.Counter(event.CounterInputUnreadable).Add(1)
		switch s.unreadable {
		case 1:
			s.rt.Log.Warn("rows of the input are skipped", "error", err)
		case unreadableLimit:
			s.rt.Conditions().Set(event.CodeInput, placeRows, fmt.Errorf("of the input, %d and more are unreadable: %w", unreadableLimit, err))
		}
		return nil
	}
	if err != nil { // another start would not help
		s.rt.Conditions().Set(event.CodeInput, placeRows, err)
		return io.EOF
	}
	if s.unreadable >= unreadableLimit {
		s.rt.Conditions().Set(event.CodeInput, placeRows, nil)
	}
	s.unreadable = 0
	if s.shadows != nil && s.putShadow(s.config.thing(machine), r.values) {
		return nil
	}
	s.seq[machine]++
	t := event.Telemetry{
		V: event.Version, Thing: s.config.thing(machine), Line: s.config.line(machine), Epoch: s.epoch, Seq: s.seq[machine],
		TS: time.Now().UTC(), Schema: s.schema, Simulated: true, Faulty: r.faulty, Remaining: r.remaining,
	}
	if s.config.Batch == 1 {
		t.Values = r.values
		return s.publish(t)
	}
	t.Packed = r.values
	s.batch = append(s.batch, t)
	if len(s.batch) == s.config.Batch {
		return s.flush()
	}
	return nil
}

func (s *simulator) flush() error {
	if len(s.batch) == 0 {
		return nil
	}
	rows := s.batch
	s.batch = s.batch[:0]
	return s.publish(rows...)
}

// publish publishes rows: one as that of its thing, several as a batch. What is too large for a local message goes in smaller
// ones, and in the compact form; a row that is too large even so is counted.
func (s *simulator) publish(rows ...event.Telemetry) error {
	topic, message := event.TopicTelemetryBatch, any(event.TelemetryBatch{V: event.Version, Rows: rows})
	if len(rows) == 1 && s.config.Batch == 1 {
		topic, message = event.TelemetryTopic(rows[0].Thing), rows[0]
	}
	payload, err := event.Encode(message)
	switch {
	case err != nil && len(rows) > 1:
		half := len(rows) / 2
		if err := s.publish(rows[:half]...); err != nil {
			return err
		}
		return s.publish(rows[half:]...)
	case err != nil && rows[0].Values != nil:
		rows[0].Packed, rows[0].Values = event.Packed(rows[0].Values), nil
		return s.publish(rows[0])
	case err != nil:
		s.rt.Counter(counterUnpublished).Add(1)
		s.rt.Conditions().Set(event.CodeInput, placeRows, fmt.Errorf("rows of %d sensors are larger than a local message may be", len(s.source.columns())))
		return nil //nolint:nilerr // the condition tells it
	}
	call, err := s.rt.IPC().StartPublish(context.Background(), topic, payload) // a row that has begun is published
	if err != nil {
		return fmt.Errorf("publish telemetry: %w", err)
	}
	s.pending <- call
	s.rt.Counter("telemetry.published").Add(uint64(len(rows)))
	return nil
}

// confirm waits for the nucleus's answers.
func (s *simulator) confirm(ctx context.Context) {
	answers := s.rt.Publication(event.FilterTelemetry)
	for call := range s.pending {
		err := call.Wait(ctx)
		if ctx.Err() != nil {
			continue
		}
		if err != nil {
			s.rt.Counter("telemetry.refused").Add(1)
		}
		answers.Answered(err)
	}
}
