package alarms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// cloudCommands are the orders that come from AWS IoT Core, where that is configured.
type cloudCommands struct {
	orders chan ipc.MQTTMessage
	cancel context.CancelFunc
	work   sync.WaitGroup
}

const cloudRetry = 30 * time.Second

// listenToCloud subscribes to the commands from the cloud, again and again until the nucleus takes it.
func (r *run) listenToCloud(ctx context.Context) *cloudCommands {
	ctx, cancel := context.WithCancel(ctx)
	c := &cloudCommands{orders: make(chan ipc.MQTTMessage), cancel: cancel}
	if !r.config.CloudCommands {
		return c
	}
	filter := r.cloudTopic("pdm/v1/command/+/alarm")
	place := "SubscribeToIoTCore " + filter
	tell := func(err error) {
		_, refused := errors.AsType[*ipc.UnauthorizedError](err)
		code, other := event.CodeCloudAccess, event.CodeNotAuthorized
		if refused {
			code, other = other, code
		}
		r.rt.Conditions().Set(code, place, err)
		r.rt.Conditions().Set(other, place, nil)
	}
	c.work.Go(func() {
		retry := time.NewTicker(cloudRetry)
		defer retry.Stop()
		for ctx.Err() == nil {
			sub, err := r.rt.IPC().SubscribeToIoTCore(ctx, ipc.SubscribeToIoTCoreRequest{TopicName: filter, QoS: ipc.AtLeastOnce})
			if err == nil {
				tell(nil)
				c.receive(ctx, sub)
				err = sub.Err()
			}
			if ctx.Err() == nil && err != nil {
				tell(fmt.Errorf("commands from the cloud are not heard: %w", err))
			}
			select {
			case <-ctx.Done():
			case <-retry.C:
			}
		}
	})
	return c
}

func (c *cloudCommands) receive(ctx context.Context, sub *ipc.Subscription[ipc.IoTCoreMessage]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-sub.Events():
			if !open {
				return
			}
			if m.Message == nil {
				continue
			}
			select {
			case c.orders <- *m.Message:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *cloudCommands) stop() {
	c.cancel()
	c.work.Wait()
}

// cloudTopic is where a local topic is in AWS IoT Core.
func (r *run) cloudTopic(local string) string {
	return strings.Join([]string{r.config.TopicPrefix, r.core, local}, "/")
}

// cloudOrder obeys an order from the cloud, and replies there.
func (r *run) cloudOrder(m ipc.MQTTMessage, now time.Time) {
	var who role
	switch m.TopicName {
	case r.cloudTopic(event.TopicOperatorAlarm):
		who = operator
	case r.cloudTopic(event.TopicEngineerAlarm):
		who = engineer
	default:
		r.rt.Counter(CounterInvalid).Add(1)
		return
	}
	o, err := decodeOrder(m.Payload, who)
	text := ""
	if err == nil {
		o.By = event.Cut("cloud: "+o.By, maxBy)
		text, err = r.order(o, func(part []byte) { r.teller.toCloud(r.cloudTopic(event.TopicAlarmSnapshot), part) }, now)
	}
	if err != nil {
		r.rt.Counter(CounterInvalid).Add(1)
	}
	if reply, encodeErr := event.EncodeReply(o.ID, text, err, now); encodeErr == nil {
		local := event.TopicOperatorAlarm
		if who == engineer {
			local = event.TopicEngineerAlarm
		}
		r.teller.toCloud(r.cloudTopic(event.ReplyTopic(local)), reply)
	}
}
