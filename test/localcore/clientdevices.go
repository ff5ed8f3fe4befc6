package localcore

import (
	"encoding/json"
	"errors"
	"fmt"

	"edgepdm/test/localcore/devices"
)

// bridgeComponent relays what client devices publish.
const bridgeComponent = "aws.greengrass.clientdevices.mqtt.Bridge"

// StartClientDevices lets a classic core take client devices: client device auth, an MQTT broker and the MQTT bridge, until
// Close. Options.Core, ToPubsub, ToIoTCore and Logger are the core's.
func (c *Core) StartClientDevices(o devices.Options) (*devices.Broker, error) {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	switch {
	case c.lite:
		return nil, errors.New("nucleus lite has no client devices")
	case !c.started || c.closed || c.devices != nil:
		return nil, errors.New("client devices need a core that runs and has none yet")
	}
	o.Core, o.Logger = c.opts.ThingName, c.log
	o.ToPubsub = func(topic string, payload []byte) {
		event, err := json.Marshal(map[string]any{"binaryMessage": map[string]any{"message": payload, "context": map[string]any{"topic": topic}}})
		if err != nil { // cannot be: bytes and a string
			c.log.Error("relay a device's message", "err", err)
			return
		}
		c.pubsub.Publish(bridgeComponent, topic, event)
	}
	o.ToIoTCore = func(topic string, payload []byte) {
		if err := c.broker.PublishFromCloud(topic, payload); err != nil {
			c.log.Error("relay a device's message", "err", err)
		}
	}
	var err error
	if c.devices, err = devices.Start(o); err != nil {
		return nil, fmt.Errorf("start client devices: %w", err)
	}
	return c.devices, nil
}
