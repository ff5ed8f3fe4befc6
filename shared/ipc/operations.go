package ipc

import (
	"context"
	"encoding/json"
	"errors"
)

// ReceiveMode says whether a subscriber gets its own messages.
type ReceiveMode string

// The receive modes. A classic nucleus defaults to others-only for filters with a wildcard; nucleus lite ignores the mode
// and always delivers all.
const (
	ReceiveAll        ReceiveMode = "RECEIVE_ALL_MESSAGES"
	ReceiveFromOthers ReceiveMode = "RECEIVE_MESSAGES_FROM_OTHERS"
)

// TopicMessage is a message of local publish/subscribe.
type TopicMessage struct {
	Topic   string
	Payload []byte // the bytes of a binaryMessage, or the JSON text of a jsonMessage
	JSON    bool   // it was a jsonMessage
}

type publishToTopicRequest struct {
	Topic   string         `json:"topic"`
	Message publishMessage `json:"publishMessage"`
}

type publishMessage struct {
	Binary struct {
		Message []byte `json:"message"`
	} `json:"binaryMessage"`
}

// StartPublishToTopic sends payload as a binaryMessage to the local topic and returns without waiting for the response.
// Messages of one goroutine arrive in the order in which they were started.
func (c *Client) StartPublishToTopic(topic string, payload []byte) (*Call, error) {
	request := publishToTopicRequest{Topic: topic}
	request.Message.Binary.Message = payload
	s, err := c.start("PublishToTopic", request, nil)
	if err != nil {
		return nil, err
	}
	return &Call{c, s}, nil
}

// PublishToTopic sends payload as a binaryMessage to the local topic. Nothing tells whether anybody receives it.
func (c *Client) PublishToTopic(ctx context.Context, topic string, payload []byte) error {
	call, err := c.StartPublishToTopic(topic, payload)
	if err != nil {
		return err
	}
	return call.Wait(ctx)
}

// SubscribeToTopic subscribes to the local topics that match filter (MQTT wildcards + and #).
// An empty mode leaves the choice to the nucleus.
func (c *Client) SubscribeToTopic(ctx context.Context, filter string, mode ReceiveMode) (*Subscription[TopicMessage], error) {
	request := struct {
		Topic       string      `json:"topic"`
		ReceiveMode ReceiveMode `json:"receiveMode,omitempty"`
	}{filter, mode}
	return subscribe(ctx, c, "SubscribeToTopic", request, decodeTopicMessage)
}

func decodeTopicMessage(payload []byte) (TopicMessage, error) {
	type eventContext struct {
		Topic string `json:"topic"`
	}
	var e struct {
		Binary *struct {
			Message []byte       `json:"message"`
			Context eventContext `json:"context"`
		} `json:"binaryMessage"`
		JSON *struct {
			Message json.RawMessage `json:"message"`
			Context eventContext    `json:"context"`
		} `json:"jsonMessage"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return TopicMessage{}, err
	}
	switch {
	case e.Binary != nil:
		return TopicMessage{Topic: e.Binary.Context.Topic, Payload: e.Binary.Message}, nil
	case e.JSON != nil:
		return TopicMessage{Topic: e.JSON.Context.Topic, Payload: e.JSON.Message, JSON: true}, nil
	default:
		return TopicMessage{}, errors.New("it is neither a binaryMessage nor a jsonMessage")
	}
}

// QoS is an MQTT quality of service; on the wire it is a string.
type QoS string

// The qualities of service that IoT Core has.
const (
	AtMostOnce  QoS = "0"
	AtLeastOnce QoS = "1"
)

// IoTCoreMessage is a message from or to AWS IoT Core. Nucleus lite carries topic, payload and QoS only.
type IoTCoreMessage struct {
	TopicName string `json:"topicName"`
	Payload   []byte `json:"payload,omitempty"`
	QoS       QoS    `json:"qos,omitempty"` // for publishing
	Retain    bool   `json:"retain,omitempty"`
}

// PublishToIoTCore hands a message to the nucleus for AWS IoT Core. Success is not delivery: a classic nucleus answers when
// the message is in its spooler, nucleus lite when the packet is out, and it loses packets over 5,000 bytes.
func (c *Client) PublishToIoTCore(ctx context.Context, m IoTCoreMessage) error {
	if m.QoS == "" {
		m.QoS = AtLeastOnce
	}
	if m.Payload == nil {
		m.Payload = []byte{} // a classic nucleus demands the member
	}
	request := struct {
		IoTCoreMessage
		Payload []byte `json:"payload"`
	}{m, m.Payload}
	return c.call(ctx, "PublishToIoTCore", request, nil)
}

// SubscribeToIoTCore subscribes to the AWS IoT Core topics that match filter.
func (c *Client) SubscribeToIoTCore(ctx context.Context, filter string, qos QoS) (*Subscription[IoTCoreMessage], error) {
	request := struct {
		TopicName string `json:"topicName"`
		QoS       QoS    `json:"qos"`
	}{filter, qos}
	return subscribe(ctx, c, "SubscribeToIoTCore", request, func(payload []byte) (IoTCoreMessage, error) {
		var e struct {
			Message IoTCoreMessage `json:"message"`
		}
		err := json.Unmarshal(payload, &e)
		return e.Message, err
	})
}

// GetConfiguration returns the value at keyPath of the component's own configuration; no keys mean all of it. The value
// of a map is the map, of a leaf or list {"<last key>": value}. A missing key is an OperationError with
// CodeResourceNotFound. Nucleus lite gives the scalars of YAML recipes as strings.
func (c *Client) GetConfiguration(ctx context.Context, keyPath ...string) (map[string]any, error) {
	return c.ComponentConfiguration(ctx, "", keyPath...)
}

// ComponentConfiguration is GetConfiguration of another component: any component may read it.
func (c *Client) ComponentConfiguration(ctx context.Context, component string, keyPath ...string) (map[string]any, error) {
	request := struct {
		ComponentName string   `json:"componentName,omitempty"`
		KeyPath       []string `json:"keyPath,omitempty"`
	}{component, keyPath}
	var response struct {
		Value map[string]any `json:"value"`
	}
	err := c.call(ctx, "GetConfiguration", request, &response)
	return response.Value, err
}

// ConfigurationUpdate names a configuration key that changed; ask for its value with GetConfiguration.
type ConfigurationUpdate struct {
	ComponentName string   `json:"componentName"`
	KeyPath       []string `json:"keyPath"`
}

// SubscribeToConfigurationUpdate reports changes of the component's own configuration at and below keyPath, one event
// for each leaf; no keys mean all of it. The key must exist.
func (c *Client) SubscribeToConfigurationUpdate(ctx context.Context, keyPath ...string) (*Subscription[ConfigurationUpdate], error) {
	if keyPath == nil {
		keyPath = []string{}
	}
	request := struct {
		KeyPath []string `json:"keyPath"`
	}{keyPath}
	return subscribe(ctx, c, "SubscribeToConfigurationUpdate", request, func(payload []byte) (ConfigurationUpdate, error) {
		var e struct {
			Event ConfigurationUpdate `json:"configurationUpdateEvent"`
		}
		err := json.Unmarshal(payload, &e)
		return e.Event, err
	})
}

// LifecycleState is a state that a component may report of itself.
type LifecycleState string

// The reportable states. ERRORED makes a classic nucleus restart the component; nucleus lite ignores it.
const (
	StateRunning LifecycleState = "RUNNING"
	StateErrored LifecycleState = "ERRORED"
)

// UpdateState reports the component's state.
func (c *Client) UpdateState(ctx context.Context, state LifecycleState) error {
	request := struct {
		State LifecycleState `json:"state"`
	}{state}
	return c.call(ctx, "UpdateState", request, nil)
}
