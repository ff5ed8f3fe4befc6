package forwarder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// operator does what persons on the device order.
type operator struct {
	rt       *component.Runtime
	out      *outboxes
	monitor  *monitor
	replayer *replayer
	desk     *request.Server
	waiting  []order // that wait for their streams to be open
}

// order is one to drop messages.
type order struct {
	request *request.Request
	event.SpoolDrop
	stream *stream
}

// look takes commands, and goes on with those that are not done yet.
func (o *operator) look(ctx context.Context) {
	for _, q := range o.desk.Take() {
		switch q.Command {
		case event.CommandReplay:
			o.replayer.ask(q)
		case event.CommandSpoolDrop:
			o.take(q)
		default:
			q.Unknown()
		}
	}
	o.drop(ctx)
	o.replayer.look(ctx)
}

// take takes an order to drop messages.
func (o *operator) take(q *request.Request) {
	d := order{request: q}
	err := q.Arguments(&d.SpoolDrop)
	d.stream = o.out.named(d.Stream)
	switch {
	case err != nil:
	case d.stream == nil:
		err = fmt.Errorf("there is no stream %q in use", d.Stream)
	case HasAlerts(d.Stream) && !d.Alerts:
		err = fmt.Errorf("%s has alerts, and the order does not say that they may be dropped", d.Stream)
	}
	if err != nil {
		q.Answer("", err)
		return
	}
	o.waiting = append(o.waiting, d)
}

// HasAlerts reports whether what people have to know waits in a stream.
func HasAlerts(stream string) bool { return strings.HasPrefix(stream, "alerts-") }

// drop obeys the orders whose streams are open. It waits for those a little: an order that waited for this process is there before
// its stream, which sends what is to be dropped.
func (o *operator) drop(ctx context.Context) {
	if len(o.waiting) == 0 {
		return
	}
	soon, cancel := context.WithTimeout(ctx, measureEvery)
	defer cancel()
	orders := o.waiting
	o.waiting = nil
	for _, d := range orders {
		if !opened(soon, d.stream) {
			d.request.Progress("the stream is not open yet: see the component's health")
			o.waiting = append(o.waiting, d)
			continue
		}
		if d.stream.queue.ID() != d.Queue {
			d.request.Answer("", errors.New("nothing is dropped: the stream has other messages than those that you were shown"))
			continue
		}
		n, err := o.monitor.drop(d.stream, d.Through)
		if n > 0 {
			o.rt.Log.Warn("messages are dropped, as a person wants it", "stream", d.Stream, "messages", n, "through", d.Through, "by", d.request.By)
		}
		text := fmt.Sprintf("%d messages of %s are dropped, and %d wait", n, d.Stream, d.stream.waiting())
		if err != nil {
			err = fmt.Errorf("%s; some may come back at a restart: %w", text, err)
		}
		d.request.Answer(text, err)
	}
	o.rt.ReportHealth()
}
