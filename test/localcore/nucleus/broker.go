package nucleus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxSpoolBytes is a classic nucleus's default.
const maxSpoolBytes = 2_621_440

// Broker stands for IoT Core: an MQTT broker on loopback that admits everyone, and the nucleus's connection to it, which
// can be cut. What arrives meanwhile is lost, as no component of the project subscribes. Known limit of mochi 2.7: the
// filter a/# does not match the topic a.
type Broker struct {
	log    *slog.Logger
	server *mqtt.Server
	client *mqtt.Client // the nucleus's own
	addr   string
	online atomic.Bool
	nextID atomic.Int32 // of a subscription

	mu       sync.Mutex // orders what the nucleus publishes, and what watchers hear
	spool    []packets.Packet
	spooled  int // bytes of payload
	watchers map[*func(online bool)]bool
}

func newBroker(log *slog.Logger) *Broker {
	b := &Broker{log: log, watchers: make(map[*func(bool)]bool)}
	b.online.Store(true)
	return b
}

// Start listens on addr, which must be on loopback: the broker admits everyone.
func (b *Broker) Start(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("broker address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("broker address %s is not on loopback", addr)
	}
	b.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(new(auth.AllowHook), nil); err != nil {
		return fmt.Errorf("set up broker: %w", err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "iotcore", Address: addr})
	if err := b.server.AddListener(l); err != nil {
		return fmt.Errorf("listen for MQTT: %w", err)
	}
	if err := b.server.Serve(); err != nil {
		return errors.Join(fmt.Errorf("serve MQTT: %w", err), b.server.Close())
	}
	b.addr = l.Address()
	b.client = b.server.NewClient(nil, "local", "localcore", true)
	b.client.Properties.ProtocolVersion = 5
	return nil
}

// Close ends it, if it was started.
func (b *Broker) Close() error {
	if b.server == nil {
		return nil
	}
	if err := b.server.Close(); err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}

// Watch tells whether there is a connection, at once and at each change, until the returned function is called.
func (b *Broker) Watch(heard func(online bool)) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[&heard] = true
	heard(b.online.Load())
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, &heard)
	}
}

// SetOnline cuts or restores the connection. On the way back, what was spooled is published before SetOnline returns.
func (b *Broker) SetOnline(online bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.online.Swap(online) == online {
		return
	}
	if online {
		for _, pk := range b.spool {
			b.inject(pk)
		}
		b.spool, b.spooled = nil, 0
	}
	for heard := range b.watchers {
		(*heard)(online)
	}
}

func (b *Broker) inject(pk packets.Packet) {
	if err := b.server.InjectPacket(b.client, pk); err != nil {
		b.log.Error("publish to the broker", "topic", pk.TopicName, "err", err)
	}
}

// Publish hands a message to the connection, or to the spool while there is none. The error has the nucleus's text.
func (b *Broker) Publish(pk packets.Packet) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.online.Load():
		b.inject(pk)
		return nil
	case pk.FixedHeader.Qos == 0:
		return errors.New("Device is offline. Dropping QoS 0 message.")
	case b.spooled+len(pk.Payload) > maxSpoolBytes:
		return errors.New("Message spool is full. Message could not be added.")
	}
	b.spool = append(b.spool, pk)
	b.spooled += len(pk.Payload)
	return nil
}

// PublishOnline hands a message to the connection, and says whether there is one.
func (b *Broker) PublishOnline(pk packets.Packet) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.online.Load() {
		return false
	}
	b.inject(pk)
	return true
}

// Subscribe calls deliver with what arrives, in order, until cancel is called. deliver must not block.
func (b *Broker) Subscribe(filter string, deliver func(packets.Packet)) (cancel func(), _ error) {
	id := int(b.nextID.Add(1))
	err := b.server.Subscribe(filter, id, func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
		if b.online.Load() {
			deliver(pk)
		}
	})
	return func() {
		if err := b.server.Unsubscribe(filter, id); err != nil {
			b.log.Debug("unsubscribe from the broker", "filter", filter, "err", err)
		}
	}, err
}

// Addr is where the broker listens.
func (b *Broker) Addr() string { return b.addr }

// PublishFromCloud publishes past the nucleus's connection.
func (b *Broker) PublishFromCloud(topic string, payload []byte) error {
	if b.client == nil {
		return errors.New("publish from the cloud: the core is not started")
	}
	return b.server.InjectPacket(b.client, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: topic, Payload: payload,
		PacketID: 1, // the broker demands one, and gives subscribers their own
	})
}
