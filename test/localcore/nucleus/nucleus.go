// Package nucleus is what a Greengrass nucleus of either kind serves its components with: the IPC socket, configuration,
// authorisation, local topics and the connection to IoT Core. A Dialect, classic or lite, says in what the two differ.
package nucleus

import (
	"context"
	"log/slog"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"edgepdm/shared/ipc/eventstream"
)

// Variables of a component's environment that both nuclei set.
const (
	SocketVariable      = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
	CredentialsVariable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
)

// Options are what the parts of a nucleus need to know; package localcore describes them.
type Options struct {
	Root, ThingName, CredentialsURL          string
	ShadowManager, Offline, ConnectionStatus bool
	NucleusAlias                             bool
	QueueBytes                               int
	Log                                      *slog.Logger
	Now                                      func() time.Time
}

// Nucleus holds the parts.
type Nucleus struct {
	Options
	Dialect Dialect
	Store   *Store
	Authz   *Authz
	PubSub  *PubSub
	Broker  *Broker
	Server  *Server
}

// New makes a nucleus that speaks the dialect which makeDialect makes for it.
func New(o Options, makeDialect func(*Nucleus) Dialect) *Nucleus {
	n := &Nucleus{Options: o, Broker: newBroker(o.Log)}
	n.Dialect = makeDialect(n)
	n.Store = newStore(n.Dialect.Traits().ExactKeys)
	n.PubSub = &PubSub{dialect: n.Dialect}
	n.Authz = newAuthz(o.Log, n.Dialect, o.ShadowManager)
	n.Server = newServer(o.Log, o.QueueBytes, n.Dialect)
	return n
}

// Empty is the response of an operation that answers nothing.
var Empty = []byte("{}")

// ConnectionStatus is the operation that tells whether there is a connection to IoT Core.
const ConnectionStatus = OperationPrefix + "SubscribeToIoTCoreConnectionStatus"

// Traits are the differences of the two nuclei that are values.
type Traits struct {
	Name           string // the component that it is; its configuration tells a client which nucleus it speaks to
	Runtime        string // as a recipe's Platform names it
	Version        string
	Endpoint       string            // iotDataEndpoint in the nucleus's configuration
	MaxFrame       int               // of a client, in bytes
	MaxAnswer      int               // of a frame to a client, in bytes
	MaxConnections int               // of all clients
	Unary          eventstream.Flags // on the response of an operation without events
	ExactKeys      bool              // keys of the configuration are case-sensitive
}

// Dialect is what the two nuclei do differently, as far as a component sees it while it runs. The packages classic and lite
// implement it. What a deployment does differently stands where it is done, in localcore.
type Dialect interface {
	Traits() Traits
	// Handle routes a frame; m is nil for a whole frame whose headers cannot be read. The connection is closed on false.
	Handle(c *Conn, m *eventstream.Message) bool
	// Failure is an error as it is sent, without its stream.
	Failure(e *Error) eventstream.Message
	AppendJSON(b []byte, v any) []byte

	// Matches tells whether a message on a local topic is for a subscription to filter.
	Matches(filter, topic string) bool
	// CheckPolicies refuses the policies of one service that the nucleus ignores as a whole.
	CheckPolicies(policies map[string]any) error
	// Resource is a policy's resource as it is compared.
	Resource(pattern string) (string, error)
	// CheckConfiguration refuses what the nucleus cannot store.
	CheckConfiguration(values map[string]any) error
	// Validate asks components whether their configuration to be is valid.
	Validate(ctx context.Context, configs map[string]map[string]any) error

	// Environment adds to a script's environment; credentials says that the component depends on the token exchange.
	Environment(env map[string]string, credentials bool)
	// Fill fills recipe variables in.
	Fill(text string, inScript bool, lookup func(namespace, key string) (any, bool)) (string, error)
}

// WatchConfiguration tells the stream what changes at or below path. name is what the component stored is called in events.
func (n *Nucleus) WatchConfiguration(s *Stream, name, stored string, path []string) ([]byte, *Error) {
	cancel, ok := n.Store.Watch(stored, path, func(changed []string) {
		s.Event("ConfigurationUpdateEvents", n.Dialect.AppendJSON(nil, Object{"configurationUpdateEvent",
			Object{"componentName", name, "keyPath", changed}}))
	})
	if !ok {
		return nil, Errorf(ResourceNotFound, "Key not found")
	}
	s.OnClose(cancel)
	return Empty, nil
}

// WatchConnection tells the stream whether there is a connection to IoT Core. It needs no grant.
func (n *Nucleus) WatchConnection(s *Stream) ([]byte, *Error) {
	s.OnClose(n.Broker.Watch(func(online bool) {
		status := "DISCONNECTED"
		if online && !n.Offline {
			status = "CONNECTED"
		}
		s.Event("IoTCoreConnectionStatusEvent", []byte(`{"connectionStatusEvent":{"status":"`+status+`"}}`))
	}))
	return Empty, nil
}

// SubscribeToCloud tells the stream of messages on an IoT Core topic. event prints a message, or returns nil to leave it
// out; failure is the text of an error.
func (n *Nucleus) SubscribeToCloud(s *Stream, topic string, event func(packets.Packet) []byte, failure func(error) string) ([]byte, *Error) {
	cancel, err := n.Broker.Subscribe(topic, func(pk packets.Packet) {
		if text := event(pk); text != nil {
			s.Event("IoTCoreMessage", text)
		}
	})
	if err != nil {
		return nil, Errorf(ServiceError, "%s", failure(err))
	}
	s.OnClose(cancel)
	return Empty, nil
}
