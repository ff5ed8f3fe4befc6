// Package ipc is a client of AWS IoT Greengrass v2 inter-process communication (IPC), for components written in Go. It
// has every operation of the Greengrass IPC model with its types, speaks to both kinds of nucleus, classic (Java) and
// lite (C), and needs nothing but the standard library.
//
// # Connect
//
// The nucleus puts the path of its socket and a token into the component's environment:
//
//	options, err := ipc.FromEnvironment(os.Getenv)
//	…
//	client, err := ipc.Dial(ctx, options)
//	…
//	defer client.Close()
//
// A Client is one connection, for all goroutines of the component. Calls take a context, and end after [Options.CallTimeout]
// where that has no deadline.
//
// # The common eight
//
// Of the 35 operations most components need eight:
//
//   - [Client.Publish] and [Client.Subscribe]: messages to and from components on the same core; [Client.StartPublish] for
//     many of them, as it does not wait for the answers.
//   - [Client.PublishToIoTCore] and [Client.SubscribeToIoTCore]: messages to and from the cloud.
//   - [Client.Configuration]: what the component is to do; [Client.SubscribeToConfigurationUpdate] tells when it changes, and
//     [Client.UpdateConfiguration] changes it.
//   - [Client.UpdateState]: the component works, or does not.
//
// All others are methods of the same shape: a context, a request, and what comes back. In requests a member that is empty is
// left out; one that the model requires is checked, and the error, which wraps [ErrInvalidRequest], names it: nothing was
// sent then. Unions are structs of pointers of which exactly one is set, which holds in every event that a Subscription
// delivers.
//
// # Publish and subscribe
//
//	err := client.Publish(ctx, "pdm/v1/state/press-1", payload)
//
//	sub, err := client.Subscribe(ctx, "pdm/v1/state/+", ipc.ReceiveFromOthers)
//	…
//	for m := range sub.Events() { // until Close, or the end of the connection
//		handle(m.Topic, m.Payload)
//	}
//	return sub.Err()
//
// Local messages are not queued for anybody: what is published while nobody is subscribed is gone. A subscriber that is
// too slow loses its oldest events and holds up nobody else: [Subscription.Dropped] counts them, [Options.OnDrop] tells of
// each, and [Options.Logger] gets a line.
//
// # Configuration
//
//	all, err := client.Configuration(ctx)                       // a map
//	limits, err := client.Configuration(ctx, "alarm", "limits") // the map below a key
//
// Scalars may arrive as strings (nucleus lite, YAML recipes) and whole numbers as doubles (classic, after
// UpdateConfiguration): accept both. An event of [Client.SubscribeToConfigurationUpdate] names the key that has changed;
// read it again then.
//
// # Errors
//
// What the nucleus answers is an [*OperationError], and mostly one of the typed errors, such as [*UnauthorizedError] or
// [*ResourceNotFoundError], for errors.As; the connection stays usable. Further errors, for errors.Is:
//
//   - [ErrNotSupported]: this nucleus does not have the operation, and will not have it later. See the table in README.md.
//   - [ErrInvalidRequest]: the request lacks a member or has a value that cannot be; [ErrTooLarge]: this kind of nucleus
//     cannot take a message of that size. Nothing was sent.
//   - [ErrTimeout]: no answer in time. Whether the request was carried out is unknown.
//   - [ErrConnectionLost]: the connection broke. Every call and subscription ends with it at once.
//   - [ErrRefused]: from [Dial], the token is not accepted. [ErrClosed]: after Close.
//
// # Reconnect or exit
//
// No subscription outlives its connection. After [ErrConnectionLost] call [Redial], which tries until it succeeds, and
// subscribe again. When it says [ErrRefused] the token has died with the nucleus that gave it: exit, and be started again
// with a new one.
//
// # Classic and lite
//
// [Client.Nucleus] tells them apart, where it matters:
//
//   - Lite has 12 of the 35 operations: no shadows, secrets, component updates, validation of configurations.
//   - Lite closes the connection on a frame of more than 10,000 bytes: some 7.2 kB of payload in a binary message.
//   - Lite loses a JSON message of more than some 40 values, and with it the subscription of whoever should receive it,
//     and corrupts integers of 19 characters and more. Classic turns all numbers in JSON messages into doubles. Binary
//     messages, which [Client.Publish] sends, have none of that.
//   - Lite answers success to a message for AWS IoT Core of more than 5,000 bytes and loses it, and drops its MQTT 5
//     properties and its retain flag.
//   - Lite ignores the receive mode: a component's own messages come back to it.
//   - Lite restarts a component whose configuration a deployment changes; classic tells it.
//
// Operations and shapes follow the Smithy model awslabs/smithy-iot-device-sdk-greengrass-ipc; model/greengrass.yaml
// describes them, and go generate makes their code. The frames are those of package eventstream.
package ipc

//go:generate go run ./internal/generate
