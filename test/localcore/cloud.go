package localcore

import (
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"
)

// PublishFromCloud publishes a message on the broker that stands for IoT Core, as the cloud's own services do: it does
// not pass the core's connection, which may be cut.
func (c *Core) PublishFromCloud(topic string, payload []byte) error {
	if c.broker.client == nil {
		return errors.New("publish from the cloud: the core is not started")
	}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: topic, Payload: payload,
		PacketID: 1, // the broker demands one, and gives subscribers their own
	}
	return c.broker.server.InjectPacket(c.broker.client, pk)
}

// KnowsToken tells whether a token is that of a component or external that lives, as the token exchange service asks.
func (c *Core) KnowsToken(token string) bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.server.tokens[token] != nil && !c.server.refusing
}
