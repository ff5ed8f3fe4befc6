// Package opcuasource reads values from an OPC UA server, by a subscription. It never writes.
package opcuasource

import (
	"context"
	"fmt"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

const (
	timeout = 10 * time.Second // of a request
	// alive is how often the server's clock is to be heard in the subscription. A client can stay connected after its
	// subscription is gone; then nothing comes any more, and no error either.
	alive    = 2 * time.Second
	silence  = 5 * alive
	chunk    = 100         // items asked for at once; small servers take no more
	notices  = 64          // notifications that wait
	queue    = 1           // values that the server keeps of an item: the newest counts
	lifetime = time.Minute // without a request, after which the server drops the subscription
	maxNamed = 10          // nodes that are named in the log at once
)

// again is when nodes that the server does not have are asked for again.
var again = time.Minute

// aliveHandle is the item that tells the server's clock.
const aliveHandle = 1 << 31

// Check says whether the tags can be read: they are node ids, such as ns=2;s=Press1.Oil.Temp or i=2258.
func Check(tags []rows.Tag) error {
	for _, t := range tags {
		if _, err := ua.ParseNodeID(t.Address); err != nil {
			return fmt.Errorf("%q is no node id such as ns=2;s=Oil.Temp: %w", t.Address, err)
		}
	}
	return nil
}

// Run reads values until ctx ends.
func Run(ctx context.Context, e *source.Env, c mapping.OPCUA) {
	e.Keep(ctx, func(ctx context.Context, connected func()) error {
		client, err := Connect(ctx, c)
		if err != nil {
			return err
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout/5)
			defer cancel()
			_ = client.Close(closing) // the session ends by itself, too
		}()
		s := &subscriber{env: e, config: c, client: client}
		return s.run(ctx, connected)
	})
}

// Connect opens a session. It is not restored: whoever uses it makes another.
func Connect(ctx context.Context, c mapping.OPCUA) (*opcua.Client, error) {
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	options := []opcua.Option{
		opcua.SecurityPolicy(c.Policy), opcua.SecurityModeString(c.Mode), opcua.AutoReconnect(false), opcua.RequestTimeout(timeout),
		opcua.DialTimeout(timeout), opcua.SessionTimeout(time.Minute), opcua.ApplicationName("edgepdm ingest"),
	}
	if c.CertFile != "" {
		certificate, key, err := identity(c)
		if err != nil {
			return nil, err
		}
		options = append(options, opcua.Certificate(certificate), opcua.PrivateKey(key))
	}
	endpoints, err := opcua.GetEndpoints(asking, c.Endpoint, opcua.DialTimeout(timeout), opcua.RequestTimeout(timeout), opcua.AutoReconnect(false))
	if err != nil {
		return nil, fmt.Errorf("ask %s for its endpoints: %w", c.Endpoint, err)
	}
	endpoint, err := opcua.SelectEndpoint(endpoints, c.Policy, ua.MessageSecurityModeFromString(c.Mode))
	if err != nil {
		return nil, fmt.Errorf("choose an endpoint of %s, which has %s: %w", c.Endpoint, describe(endpoints), err)
	}
	endpoint.EndpointURL = c.Endpoint // what it says of itself may not be what it is reached by
	kind := ua.UserTokenTypeAnonymous
	if c.Username != "" {
		password, err := source.Secret(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		kind = ua.UserTokenTypeUserName
		options = append(options, opcua.AuthUsername(c.Username, password))
	} else {
		options = append(options, opcua.AuthAnonymous())
	}
	client, err := opcua.NewClient(c.Endpoint, append(options, opcua.SecurityFromEndpoint(endpoint, kind))...)
	if err != nil {
		return nil, fmt.Errorf("configure the connection to %s: %w", c.Endpoint, err)
	}
	if err := client.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Endpoint, err)
	}
	return client, nil
}

// subscriber reads over one session.
type subscriber struct {
	env    *source.Env
	config mapping.OPCUA
	client *opcua.Client
	sub    *opcua.Subscription
	lost   []rows.Tag        // of nodes that the server does not have
	tags   map[int]rows.Tag  // by index
	gone   map[uint32]bool   // of nodes that went away after they were monitored
	items  map[uint32]uint32 // the server's id of a monitored item, by handle
	alive  []rows.Tag        // those of items
}

func (s *subscriber) run(ctx context.Context, connected func()) error {
	notifications := make(chan *opcua.PublishNotificationData, notices)
	interval := min(s.config.Interval, alive)
	periods := uint32(lifetime / interval) //nolint:gosec // at most 6000
	var err error
	s.sub, err = s.client.Subscribe(ctx, &opcua.SubscriptionParameters{
		Interval: interval, LifetimeCount: periods, MaxKeepAliveCount: periods / 3,
	}, notifications)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.gone, s.items, s.tags = make(map[uint32]bool), make(map[uint32]uint32), make(map[int]rows.Tag)
	for _, t := range s.env.Tags {
		s.tags[t.Index] = t
	}
	clock := s.item(ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime), aliveHandle, alive)
	if _, err := s.sub.Monitor(ctx, ua.TimestampsToReturnBoth, clock); err != nil {
		return fmt.Errorf("watch the server's clock: %w", err)
	} // where the server has none, nothing is heard for silence
	if err := s.monitor(ctx, s.env.Tags); err != nil {
		return err
	}
	connected()
	retry := time.NewTicker(again)
	defer retry.Stop()
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-quiet.C:
			return fmt.Errorf("nothing came of the subscription for %v, not even the server's time", silence)
		case <-retry.C:
			if err := s.retry(ctx); err != nil {
				return err
			}
		case n := <-notifications:
			if n.Error != nil {
				return fmt.Errorf("subscription: %w", n.Error)
			}
			heard, err := s.take(n.Value)
			if err != nil {
				return err
			}
			if heard {
				quiet.Reset(silence)
				s.env.Table.Refresh(s.alive)
			}
		}
	}
}

func (*subscriber) item(node *ua.NodeID, handle uint32, interval time.Duration) *ua.MonitoredItemCreateRequest {
	r := opcua.NewMonitoredItemCreateRequestWithDefaults(node, ua.AttributeIDValue, handle)
	r.RequestedParameters.SamplingInterval = float64(interval.Milliseconds())
	r.RequestedParameters.QueueSize = queue
	return r
}

// monitor asks for tags, many at a time. Those that the server does not have are counted, and asked for again later.
func (s *subscriber) monitor(ctx context.Context, tags []rows.Tag) error {
	s.lost = nil
	for len(tags) > 0 {
		part := tags[:min(chunk, len(tags))]
		tags = tags[len(part):]
		requests := make([]*ua.MonitoredItemCreateRequest, len(part))
		for i, t := range part {
			node, err := ua.ParseNodeID(t.Address)
			if err != nil {
				return err // Check has seen it
			}
			requests[i] = s.item(node, uint32(t.Index), s.config.Interval) //nolint:gosec // at most MaxTags
		}
		response, err := s.sub.Monitor(ctx, ua.TimestampsToReturnBoth, requests...)
		if err != nil {
			return fmt.Errorf("monitor %d nodes: %w", len(part), err)
		}
		for i, result := range response.Results {
			handle := requests[i].RequestedParameters.ClientHandle
			if result.StatusCode != ua.StatusOK {
				s.lose(part[i], result.StatusCode)
				continue
			}
			s.items[handle] = result.MonitoredItemID
		}
	}
	s.alive = s.alive[:0]
	for handle := range s.items {
		s.alive = append(s.alive, s.tags[int(handle)])
	}
	return nil
}

func (s *subscriber) lose(t rows.Tag, status ua.StatusCode) {
	s.lost = append(s.lost, t)
	s.env.Count(rows.ReasonNoTag, 1)
	if len(s.lost) <= maxNamed {
		s.env.Log.Warn("a node cannot be read", "source", s.env.Name, "node", t.Address, "error", status)
	}
	s.env.Table.Drop(t)
}

// retry asks again for what the server did not have, or has no more.
func (s *subscriber) retry(ctx context.Context) error {
	s.verify(ctx)
	tags := s.lost
	var old []uint32
	for handle := range s.gone {
		tags = append(tags, s.tags[int(handle)])
		old = append(old, s.items[handle])
		delete(s.items, handle)
	}
	clear(s.gone)
	if len(old) > 0 {
		if _, err := s.sub.Unmonitor(ctx, old...); err != nil {
			return fmt.Errorf("end the watch of nodes that are gone: %w", err)
		}
	}
	if len(tags) == 0 {
		return nil
	}
	return s.monitor(ctx, tags)
}

// verify finds monitored nodes that are gone: not every server tells it. A server that does not answer is found by its silence.
func (s *subscriber) verify(ctx context.Context) {
	for tags := s.alive; len(tags) > 0; {
		part := tags[:min(chunk, len(tags))]
		tags = tags[len(part):]
		request := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither}
		for _, t := range part {
			node, err := ua.ParseNodeID(t.Address)
			if err != nil {
				return // Check has seen it
			}
			request.NodesToRead = append(request.NodesToRead, &ua.ReadValueID{NodeID: node, AttributeID: ua.AttributeIDNodeClass, DataEncoding: &ua.QualifiedName{}})
		}
		response, err := s.client.Read(ctx, request)
		if err != nil || len(response.Results) != len(part) {
			s.env.Log.Debug("nodes cannot be looked for", "source", s.env.Name, "error", err)
			return
		}
		for i, result := range response.Results {
			if result.Status == ua.StatusBadNodeIDUnknown {
				s.gone[uint32(part[i].Index)] = true //nolint:gosec // at most MaxTags
			}
		}
	}
}

// take reads a notification. It reports whether the server's clock was in it.
func (s *subscriber) take(value any) (heard bool, err error) {
	switch n := value.(type) {
	case *ua.StatusChangeNotification:
		return false, fmt.Errorf("the server ends the subscription: %w", n.Status)
	case *ua.DataChangeNotification:
		samples := make([]rows.Sample, 0, len(n.MonitoredItems))
		for _, item := range n.MonitoredItems {
			if item.ClientHandle == aliveHandle {
				heard = true
				continue
			}
			if _, known := s.items[item.ClientHandle]; !known || item.Value == nil {
				continue
			}
			if sample, ok := s.sample(item.ClientHandle, item.Value); ok {
				samples = append(samples, sample)
			}
		}
		s.env.Table.Put(samples...)
	}
	return heard, nil
}

// sample makes a sample of a value. It reports false for a type that is no number.
func (s *subscriber) sample(handle uint32, v *ua.DataValue) (rows.Sample, bool) {
	if v.Status == ua.StatusBadNodeIDUnknown || v.Status == ua.StatusBadNodeIDInvalid {
		s.gone[handle] = true
	}
	sample := rows.Sample{Tag: int(handle), TS: v.SourceTimestamp, Good: v.Status&severity == 0}
	if v.Value == nil || !sample.Good {
		sample.Good = false
		return sample, true
	}
	var number bool
	if sample.Value, number = toNumber(v.Value.Value()); !number {
		s.env.Count(reasonType, 1)
		s.env.Table.Drop(s.tags[sample.Tag])
	}
	return sample, number
}

// reasonType is of values that are no numbers.
const reasonType = "type"

// severity are the bits of a status that are 0 for a good value; uncertain and bad ones are not used.
const severity ua.StatusCode = 0xC0000000

func toNumber(v any) (float64, bool) {
	switch x := v.(type) {
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case int8:
		return float64(x), true
	case uint8:
		return float64(x), true
	case int16:
		return float64(x), true
	case uint16:
		return float64(x), true
	case int32:
		return float64(x), true
	case uint32:
		return float64(x), true
	case int64:
		return float64(x), true
	case uint64:
		return float64(x), true
	case float32:
		return float64(x), true
	case float64:
		return x, true
	}
	return 0, false
}
