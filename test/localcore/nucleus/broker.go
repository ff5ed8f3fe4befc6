package nucleus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	maxSpoolBytes = 2_621_440 // 2.5 MB, the nucleus's default
)

// Broker stands for IoT Core: an MQTT broker on loopback that admits everyone, and the nucleus's connection to it, which
// can be cut. Known limit of mochi 2.7: the filter a/# does not match the topic a.
type Broker struct {
	log    *slog.Logger
	server *mqtt.Server
	client *mqtt.Client // the nucleus's own
	addr   string

	out     sync.Mutex // orders what the nucleus publishes
	online  bool
	spool   []packets.Packet
	spooled int // bytes of payload

	in      sync.Mutex // orders what subscribers get
	away    bool       // offline, as subscriptions see it
	nextID  int
	held    []func() // deliveries that wait for the connection
	waiting []func() // subscriptions that do

	watching sync.Mutex // orders what watchers hear
	watchers map[int]func(online bool)
	watched  bool // what they heard last
}

func newBroker(log *slog.Logger) *Broker {
	return &Broker{log: log, online: true, watched: true, watchers: make(map[int]func(bool))}
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
	b.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
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
	b.watching.Lock()
	defer b.watching.Unlock()
	id := len(b.watchers)
	for b.watchers[id] != nil {
		id++
	}
	b.watchers[id] = heard
	heard(b.watched)
	return func() {
		b.watching.Lock()
		defer b.watching.Unlock()
		delete(b.watchers, id)
	}
}

// tell is how watchers hear of a change.
func (b *Broker) tell(online bool) {
	b.watching.Lock()
	defer b.watching.Unlock()
	if b.watched == online {
		return
	}
	b.watched = online
	for _, heard := range b.watchers {
		heard(online)
	}
}

// SetOnline cuts or restores the connection. On the way back, what subscribers missed is delivered and what was spooled
// is published before setOnline returns.
func (b *Broker) SetOnline(online bool) {
	defer b.tell(online)
	b.out.Lock()
	defer b.out.Unlock()
	b.online = online
	b.in.Lock()
	for online && len(b.held) > 0 { // what arrives meanwhile queues behind
		held := b.held
		b.held = nil
		b.in.Unlock()
		for _, deliver := range held {
			deliver()
		}
		b.in.Lock()
	}
	b.away = !online
	var waiting []func()
	if online {
		waiting, b.waiting = b.waiting, nil
	}
	b.in.Unlock()
	if !online {
		return
	}
	for _, subscribe := range waiting {
		subscribe()
	}
	for _, pk := range b.spool {
		b.inject(pk)
	}
	b.spool, b.spooled = nil, 0
}

func (b *Broker) inject(pk packets.Packet) {
	if err := b.server.InjectPacket(b.client, pk); err != nil {
		b.log.Error("publish to the broker", "topic", pk.TopicName, "err", err)
	}
}

// Publish hands a message to the connection, or to the spool while there is none. The error has the nucleus's text.
func (b *Broker) Publish(pk packets.Packet) error {
	b.out.Lock()
	defer b.out.Unlock()
	if b.online {
		b.inject(pk)
		return nil
	}
	if pk.FixedHeader.Qos == 0 {
		return errors.New("Device is offline. Dropping QoS 0 message.")
	}
	if b.spooled+len(pk.Payload) > maxSpoolBytes {
		return errors.New("Message spool is full. Message could not be added.")
	}
	b.spool = append(b.spool, pk)
	b.spooled += len(pk.Payload)
	return nil
}

// PublishOnline hands a message to the connection, and says whether there is one.
func (b *Broker) PublishOnline(pk packets.Packet) bool {
	b.out.Lock()
	defer b.out.Unlock()
	if b.online {
		b.inject(pk)
	}
	return b.online
}

// Subscribe registers deliver for filter and then calls ready; without a connection both wait for it. deliver is called
// in order and must not block. The function that it returns ends the subscription.
func (b *Broker) Subscribe(filter string, qos byte, ready func(error), deliver func(packets.Packet)) (cancel func()) {
	b.in.Lock()
	b.nextID++
	id := b.nextID
	b.in.Unlock()
	var mu sync.Mutex
	cancelled := false
	handler := func(_ *mqtt.Client, _ packets.Subscription, pk packets.Packet) {
		b.in.Lock()
		defer b.in.Unlock()
		switch {
		case !b.away:
			deliver(pk)
		case min(pk.FixedHeader.Qos, qos) > 0: // IoT Core keeps it for the nucleus's persistent session
			b.held = append(b.held, func() { deliver(pk) })
		}
	}
	begin := func() {
		mu.Lock()
		gone := cancelled
		var err error
		if !gone {
			err = b.server.Subscribe(filter, id, handler)
		}
		mu.Unlock()
		if !gone {
			ready(err)
		}
	}
	b.in.Lock()
	away := b.away
	if away {
		b.waiting = append(b.waiting, begin)
	}
	b.in.Unlock()
	if !away {
		begin()
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		cancelled = true
		if err := b.server.Unsubscribe(filter, id); err != nil {
			b.log.Debug("unsubscribe from the broker", "filter", filter, "err", err)
		}
	}
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
