// Package ingest is the component that brings the plant's own data in: it reads values from MQTT brokers, OPC UA and Modbus servers,
// and publishes rows of them as telemetry. It only reads.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/modbussource"
	"edgepdm/components/ingest/mqttsource"
	"edgepdm/components/ingest/opcuasource"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/random"
)

// Config is the component's configuration.
type Config mapping.Config

// Default returns the configuration with no key set.
func Default() Config { return Config(mapping.Default()) }

// Validate names the field that is wrong.
func (c *Config) Validate() error {
	m := (*mapping.Config)(c)
	if err := m.Validate(); err != nil {
		return err
	}
	sources := make(map[string]*mapping.Source, len(m.Sources))
	for i := range m.Sources {
		sources[m.Sources[i].Name] = &m.Sources[i]
	}
	for i, t := range m.Things {
		for j, s := range t.Sensors {
			if err := checkTag(sources[s.Source], s.Tag); err != nil {
				return fmt.Errorf("things[%d].sensors[%d].tag: %w", i, j, err)
			}
		}
	}
	return nil
}

func checkTag(s *mapping.Source, tag string) error {
	tags := []rows.Tag{{Address: tag}}
	switch {
	case s.MQTT != nil:
		return mqttsource.Check(*s.MQTT, tags)
	case s.OPCUA != nil:
		return opcuasource.Check(tags)
	default:
		return modbussource.Check(tags)
	}
}

// Names of the counters in the health messages.
const (
	counterRows     = "telemetry.published"
	counterRefused  = "telemetry.refused"
	counterUnused   = "value." // + reason: values, or messages, that are not used
	counterTooLarge = "telemetry.oversized"
)

// pendingLimit bounds the messages whose acknowledgement by the nucleus is outstanding.
const pendingLimit = 32

// Run reads and publishes until ctx ends. It is the component's Run.
func Run(ctx context.Context, rt *component.Runtime, config Config) error {
	logged := newReasons(rt)
	table := rows.New(mapping.Config(config), random.ID(), time.Now, logged.count)
	work, ctx := errgroup.WithContext(ctx)
	for i := range config.Sources {
		s := &config.Sources[i]
		env := &source.Env{
			Name: s.Name, Tags: table.Tags(s.Name), Table: table, Count: logged.count, Log: rt.Log,
			Problem: func(err error) { rt.Conditions().Set(event.CodeInput, "source "+s.Name, err) },
		}
		work.Go(func() error {
			Read(ctx, env, s, event.Ingest)
			return nil
		})
	}
	p := &publisher{rt: rt, pending: make(chan *ipc.Call, pendingLimit)}
	work.Go(func() error { p.confirm(ctx); return nil })
	work.Go(func() error {
		defer close(p.pending)
		return p.run(ctx, table)
	})
	if len(config.Sources) == 0 {
		rt.Log.Info("nothing to read: the configuration has no sources")
	}
	rt.SetState(event.StateOK, "")
	return work.Wait()
}

// Read reads a source until ctx ends. who tells the clients of several components apart.
func Read(ctx context.Context, env *source.Env, s *mapping.Source, who string) {
	switch {
	case s.MQTT != nil:
		c := *s.MQTT
		if c.ClientID == "" {
			c.ClientID = who + "-" + s.Name + "-" + random.ID()
		}
		mqttsource.Run(ctx, env, c)
	case s.OPCUA != nil:
		opcuasource.Run(ctx, env, *s.OPCUA)
	default:
		modbussource.Run(ctx, env, *s.Modbus)
	}
}

// publisher publishes rows.
type publisher struct {
	rt      *component.Runtime
	pending chan *ipc.Call
}

func (p *publisher) run(ctx context.Context, table *rows.Table) error {
	ticker := time.NewTicker(table.Tick())
	defer ticker.Stop()
	var due []event.Telemetry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		due = table.Due(due[:0])
		for left := due; len(left) > 0; {
			sent, err := p.publish(ctx, left)
			if err != nil {
				return err
			}
			left = left[sent:]
		}
	}
}

// publish publishes the first of the rows, as many as a message carries, and returns how many those are.
func (p *publisher) publish(ctx context.Context, list []event.Telemetry) (sent int, err error) {
	topic, payload, sent, err := encode(list)
	if err != nil {
		p.rt.Counter(counterTooLarge).Add(1)
		p.rt.Conditions().Set(event.CodeConfiguration, "thing "+list[0].Thing,
			fmt.Errorf("a row of it is larger than a message may be (%w): list the sensors in the model's order and set packed", err))
		return 1, nil //nolint:nilerr // the condition tells it
	}
	call, err := p.rt.IPC().StartPublish(context.Background(), topic, payload) // what was read leaves, also at the end
	if err != nil {
		return 0, fmt.Errorf("publish telemetry: %w", err)
	}
	select {
	case p.pending <- call:
	case <-ctx.Done():
	}
	p.rt.Counter(counterRows).Add(uint64(sent)) //nolint:gosec // not negative
	return sent, nil
}

// encode makes a message of the first rows: of one on the topic of its thing, of several in a batch.
func encode(list []event.Telemetry) (topic string, payload []byte, taken int, err error) {
	single, err := event.Encode(list[0])
	if err != nil {
		return "", nil, 0, err
	}
	topic, payload, taken = event.TelemetryTopic(list[0].Thing), single, 1
	if len(list) == 1 {
		return topic, payload, taken, nil
	}
	rows := make([][]byte, 0, len(list))
	for _, row := range list {
		encoded, err := event.Encode(row)
		if err != nil {
			break // its own turn comes
		}
		rows = append(rows, encoded)
	}
	if batch, n := event.JoinTelemetry(rows); n > 1 {
		return event.TopicTelemetryBatch, batch, n, nil
	}
	return topic, payload, taken, nil
}

// confirm waits for the nucleus's answers.
func (p *publisher) confirm(ctx context.Context) {
	answers := p.rt.Publication(event.FilterTelemetry)
	for call := range p.pending {
		err := call.Wait(ctx)
		if ctx.Err() != nil {
			continue
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			p.rt.Counter(counterRefused).Add(1)
		}
		answers.Answered(err)
	}
}

// Spec is the component.
func Spec(version string) component.Spec[Config] {
	return component.Spec[Config]{Name: event.Ingest, Version: version, Default: Default, Run: Run}
}
