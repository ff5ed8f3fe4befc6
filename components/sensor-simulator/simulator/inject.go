package simulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// growth is the share of its time that an ordered fault takes to full severity.
const growth = 4

// order injects the fault that somebody orders, and says what came of it.
func (s *simulator) order(ctx context.Context, m ipc.TopicMessage, elapsed time.Duration) {
	o, err := event.DecodeDemoOrder(m.Payload)
	switch {
	case err != nil:
	case o.Do != event.DemoInject:
		err = fmt.Errorf("do: %.40q is not %s", o.Do, event.DemoInject)
	default:
		length := time.Duration(o.ForS) * time.Second
		err = s.inject(Injection{Thing: o.Thing, Fault: o.Fault, After: elapsed, For: length, Grow: length / growth})
	}
	reply := event.Reply{V: event.Version, ID: o.ID, OK: err == nil, Text: fmt.Sprintf("%s: %s for %d s", o.Thing, o.Fault, o.ForS), TS: time.Now().UTC()}
	if err != nil {
		reply.Text = err.Error()
	}
	payload, err := event.Encode(reply)
	if err == nil {
		err = s.rt.IPC().Publish(ctx, event.ReplyTopic(event.TopicDemoFault), payload)
	}
	if ctx.Err() == nil {
		s.rt.Publication(event.ReplyTopic(event.TopicDemoFault)).Answered(err)
	}
}

func (s *simulator) inject(f Injection) error {
	plan, ok := s.source.(*simulation)
	if !ok {
		return errors.New("no fault can be injected into rows replayed from input")
	}
	if _, err := plant.ParseFault(f.Fault); err != nil {
		return err
	}
	if s.config.index(f.Thing) < 0 {
		return fmt.Errorf("thing: %.60q is none of %s to %s", f.Thing, s.config.thing(0), s.config.thing(s.config.Things-1))
	}
	// It takes the place of one that is under way.
	plan.injections = slices.DeleteFunc(plan.injections, func(other injection) bool { return other.Thing == f.Thing && other.begun })
	plan.injections = append(plan.injections, injection{Injection: f})
	return nil
}
