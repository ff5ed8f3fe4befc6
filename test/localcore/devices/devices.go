// Package devices is what a classic core runs for client devices: client device auth, the MQTT 3.1.1 broker that Moquette
// is, and the MQTT bridge. It takes devices with a certificate that AWS IoT's stand-in signed, on loopback only.
package devices

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Options configure a Broker.
type Options struct {
	Core      string         // the core's thing name
	Addr      string         // on loopback; "127.0.0.1:0" by default
	Addresses []string       // that the certificate is for; by default 127.0.0.1 and localhost
	Roots     *x509.CertPool // whose device certificates are taken
	// Associated says whether a device is associated with the core.
	Associated func(thing string) bool
	// Publishable are the filters that a device may publish on; ${thing} stands for its name.
	Publishable []string
	Mapping     map[string]Mapping // as in aws.greengrass.clientdevices.mqtt.Bridge's mqttTopicMapping
	ToPubsub    func(topic string, payload []byte)
	ToIoTCore   func(topic string, payload []byte)
	Logger      *slog.Logger // discards by default
}

// Mapping is an entry of the bridge's mqttTopicMapping. Only messages from LocalMqtt are relayed here.
type Mapping struct {
	Topic             string `json:"topic"`
	Source            string `json:"source"`
	Target            string `json:"target"`
	TargetTopicPrefix string `json:"targetTopicPrefix,omitempty"`
}

// The ends of a bridge.
const (
	LocalMQTT = "LocalMqtt"
	Pubsub    = "Pubsub"
	IoTCore   = "IotCore"
)

// Broker takes client devices.
type Broker struct {
	options   Options
	authority atomic.Pointer[authority]
	server    *mqtt.Server
	listener  listeners.Listener
}

// Start opens the broker.
func Start(o Options) (*Broker, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if len(o.Addresses) == 0 {
		o.Addresses = []string{"127.0.0.1", "localhost"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	host, _, err := net.SplitHostPort(o.Addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q of the broker is not on loopback", o.Addr)
	}
	for name, m := range o.Mapping {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("mqttTopicMapping.%s: %w", name, err)
		}
	}
	b := &Broker{options: o}
	if err := b.Rotate(); err != nil {
		return nil, err
	}
	b.server = mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("set up broker: %w", err)
	}
	b.listener = listeners.NewTCP(listeners.Config{ID: "devices", Address: o.Addr, TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: o.Roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &b.authority.Load().server, nil },
	}})
	if err := b.server.AddListener(b.listener); err != nil {
		return nil, fmt.Errorf("listen for devices: %w", err)
	}
	if err := b.server.Serve(); err != nil {
		return nil, errors.Join(fmt.Errorf("serve devices: %w", err), b.server.Close())
	}
	return b, nil
}

func (m Mapping) check() error {
	switch {
	case m.Topic == "":
		return errors.New("topic is missing")
	case m.Source != LocalMQTT:
		return fmt.Errorf("source %q: only %s is relayed here", m.Source, LocalMQTT)
	case m.Target != Pubsub && m.Target != IoTCore:
		return fmt.Errorf("target %q is neither %s nor %s", m.Target, Pubsub, IoTCore)
	}
	return nil
}

// Rotate makes a new core device CA. Who is connected stays so.
func (b *Broker) Rotate() error {
	a, err := newAuthority(b.options.Core, b.options.Addresses)
	if err != nil {
		return err
	}
	b.authority.Store(a)
	return nil
}

// CA returns the core device CA as PEM, as discovery gives it.
func (b *Broker) CA() string { return b.authority.Load().pem }

// Port returns where the broker listens on loopback.
func (b *Broker) Port() int {
	_, port, _ := net.SplitHostPort(b.listener.Address()) //nolint:errcheck // it is the listener's own
	n, _ := strconv.Atoi(port)                            //nolint:errcheck // likewise
	return n
}

// Disconnect ends all connections.
func (b *Broker) Disconnect() {
	for _, c := range b.server.Clients.GetAll() {
		c.Stop(errors.New("disconnected by the test"))
	}
}

// Close ends it.
func (b *Broker) Close() error { return b.server.Close() }

// hook is client device auth and the bridge.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

func (*hook) ID() string { return "devices" }

func (*hook) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck || b == mqtt.OnPublished
}

// OnConnectAuthenticate takes a device whose certificate is that of its client id, and that is associated with the core.
func (h *hook) OnConnectAuthenticate(c *mqtt.Client, _ packets.Packet) bool {
	conn, ok := c.Net.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	chain := conn.ConnectionState().PeerCertificates
	o := h.broker.options
	known := len(chain) > 0 && chain[0].Subject.CommonName == c.ID && (o.Associated == nil || o.Associated(c.ID))
	if !known {
		o.Logger.Warn("a client device is refused", "client", c.ID)
	}
	return known
}

// OnACLCheck lets a device publish where it may, and subscribe to nothing.
func (h *hook) OnACLCheck(c *mqtt.Client, topic string, write bool) bool {
	for _, filter := range h.broker.options.Publishable {
		if write && matches(strings.ReplaceAll(filter, "${thing}", c.ID), topic) {
			return true
		}
	}
	h.broker.options.Logger.Warn("a client device is not authorized", "client", c.ID, "topic", topic, "publish", write)
	return false
}

// OnPublished relays.
func (h *hook) OnPublished(_ *mqtt.Client, pk packets.Packet) {
	for _, m := range h.broker.options.Mapping {
		if !matches(m.Topic, pk.TopicName) {
			continue
		}
		to := h.broker.options.ToPubsub
		if m.Target == IoTCore {
			to = h.broker.options.ToIoTCore
		}
		if to != nil {
			to(m.TargetTopicPrefix+pk.TopicName, bytes.Clone(pk.Payload))
		}
	}
}

// matches says whether an MQTT filter covers a topic.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
