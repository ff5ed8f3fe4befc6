package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
)

// The recipe of the component that the examples are: it may use topics that begin with demo/.
const exampleRecipe = `
RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.Component
ComponentVersion: 1.0.0
ComponentConfiguration:
  DefaultConfiguration:
    interval: 5
    limits: {low: 1, high: 9}
    accessControl:
      aws.greengrass.ipc.pubsub:
        one:
          operations: ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"]
          resources: ["demo/*"]
      aws.greengrass.ipc.mqttproxy:
        one:
          operations: ["aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"]
          resources: ["demo/*"]
Manifests:
  - Platform: {os: linux}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`

// startNucleus starts an embedded classic nucleus that plays the real one's part. A component has os.Getenv for getenv.
func startNucleus() (getenv func(string) string, stop func()) {
	root, err := os.MkdirTemp("", "ipc-example")
	if err != nil {
		log.Fatal(err)
	}
	recipe := filepath.Join(root, "recipe.yaml")
	if err := os.WriteFile(recipe, []byte(exampleRecipe), 0o600); err != nil {
		log.Fatal(err)
	}
	core, err := localcore.New(localcore.Options{Root: filepath.Join(root, "core"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	if err := core.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	env, err := core.AddExternal("com.example.Component", recipe)
	if err != nil {
		log.Fatal(err)
	}
	return func(name string) string { return env[name] }, func() {
		if err := errors.Join(core.Close(context.Background()), os.RemoveAll(root)); err != nil {
			log.Fatal(err)
		}
	}
}

// connect is what a component does at its start, here against an embedded nucleus.
func connect() (client *ipc.Client, stop func()) {
	getenv, stopNucleus := startNucleus()
	options, err := ipc.FromEnvironment(getenv)
	if err != nil {
		log.Fatal(err)
	}
	client, err = ipc.Dial(context.Background(), options)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		_ = client.Close()
		stopNucleus()
	}
}

// A component connects with what the nucleus put into its environment, subscribes, and publishes.
func Example() {
	ctx := context.Background()
	getenv, stop := startNucleus()
	defer stop()

	options, err := ipc.FromEnvironment(getenv) // os.Getenv in a component
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := ipc.Dial(ctx, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()

	sub, err := client.Subscribe(ctx, "demo/+/state", ipc.ReceiveAll)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.Publish(ctx, "demo/press-1/state", []byte("running")); err != nil {
		fmt.Println(err)
		return
	}
	m := <-sub.Events()
	fmt.Printf("%s: %s\n", m.Topic, m.Payload)
	// Output: demo/press-1/state: running
}

// Many messages under way at once: their order is kept, and each answer is waited for later.
func ExampleClient_StartPublish() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	var calls []*ipc.Call
	for i := range 3 {
		call, err := client.StartPublish(ctx, "demo/rows", fmt.Append(nil, i))
		if err != nil {
			fmt.Println(err)
			return
		}
		calls = append(calls, call)
	}
	for _, call := range calls {
		if err := call.Wait(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(len(calls), "messages taken")
	// Output: 3 messages taken
}

// A message of JSON, for subscribers that want one. Publish, for bytes, has fewer traps.
func ExampleClient_PublishToTopic() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	sub, err := client.SubscribeToTopic(ctx, ipc.SubscribeToTopicRequest{Topic: "demo/reading", ReceiveMode: ipc.ReceiveAll})
	if err != nil {
		fmt.Println(err)
		return
	}
	document, err := ipc.NewDocument(map[string]any{"oil": 71})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.PublishToTopic(ctx, ipc.PublishToTopicRequest{
		Topic:          "demo/reading",
		PublishMessage: ipc.PublishMessage{JSONMessage: &ipc.JSONMessage{Message: document}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	event := <-sub.Events()
	fmt.Printf("%s: %s\n", event.JSONMessage.Context.Topic, event.JSONMessage.Message) // a classic nucleus makes doubles
	// Output: demo/reading: {"oil":71.0}
}

// Messages to and from the cloud. Success is not delivery: the nucleus has the message.
func ExampleClient_PublishToIoTCore() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	sub, err := client.SubscribeToIoTCore(ctx, ipc.SubscribeToIoTCoreRequest{TopicName: "demo/+", QoS: ipc.AtLeastOnce})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.PublishToIoTCore(ctx, ipc.PublishToIoTCoreRequest{TopicName: "demo/press-1", QoS: ipc.AtLeastOnce, Payload: []byte("hot")})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := (<-sub.Events()).Message
	fmt.Printf("%s: %s\n", m.TopicName, m.Payload)
	// Output: demo/press-1: hot
}

// A component that cannot work says so; the nucleus restarts it then. RUNNING it need not say.
func ExampleClient_UpdateState() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	err := client.UpdateState(ctx, ipc.UpdateStateRequest{State: ipc.StateErrored})
	_, external := errors.AsType[*ipc.ResourceNotFoundError](err)
	fmt.Println("a program that the nucleus did not start has no state:", external)
	// Output: a program that the nucleus did not start has no state: true
}

func ExampleClient_Configuration() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	all, err := client.Configuration(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	limits, err := client.Configuration(ctx, "limits")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Configuration(ctx, "no", "such", "key")
	_, missing := errors.AsType[*ipc.ResourceNotFoundError](err)
	fmt.Println(all["interval"], limits["high"], missing)
	// Output: 5 9 true
}

// Events name what changed; the value is read again.
func ExampleClient_SubscribeToConfigurationUpdate() {
	ctx := context.Background()
	client, stop := connect()
	defer stop()

	changes, err := client.SubscribeToConfigurationUpdate(ctx, ipc.SubscribeToConfigurationUpdateRequest{KeyPath: []string{"limits"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = client.UpdateConfiguration(ctx, ipc.UpdateConfigurationRequest{
		KeyPath: []string{"limits"}, ValueToMerge: ipc.Document(`{"high": 12}`), Timestamp: ipc.Timestamp{Time: time.Now()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	change := (<-changes.Events()).ConfigurationUpdateEvent
	value, err := client.Configuration(ctx, change.KeyPath...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(change.KeyPath, value)
	// Output: [limits high] map[high:12]
}

// Each kind of error is a type of its own, and all of them are an *OperationError.
func ExampleOperationError() {
	client, stop := connect()
	defer stop()

	err := client.Publish(context.Background(), "somewhere/else", nil)
	if denied, is := errors.AsType[*ipc.UnauthorizedError](err); is {
		fmt.Println(denied.Operation, "is not granted")
	}
	if refused, is := errors.AsType[*ipc.OperationError](err); is {
		fmt.Println(refused.Code)
	}
	// Output:
	// PublishToTopic is not granted
	// UnauthorizedError
}

// What a nucleus does not have is a way to work, not a failure.
func ExampleClient_GetSecretValue() {
	client, stop := connect()
	defer stop()

	secret, err := client.GetSecretValue(context.Background(), ipc.GetSecretValueRequest{SecretID: "password"})
	switch {
	case errors.Is(err, ipc.ErrNotSupported):
		fmt.Println("this core has no secrets: the password comes from the configuration")
	case err != nil:
		fmt.Println(err)
		return
	case secret.SecretValue.SecretString != nil:
		fmt.Println("got", len(*secret.SecretValue.SecretString), "bytes")
	}
	// Output: this core has no secrets: the password comes from the configuration
}

// After a lost connection a component connects again, unless its token died with the nucleus.
func ExampleRedial() {
	getenv, stop := startNucleus()
	defer stop()

	options := ipc.Options{Socket: getenv(ipc.EnvSocket), AuthToken: "of an earlier nucleus"}
	_, err := ipc.Redial(context.Background(), options, func(ctx context.Context, attempt int, _ error) {
		select { // while the nucleus starts
		case <-time.After(time.Duration(min(attempt, 30)) * time.Second):
		case <-ctx.Done():
		}
	})
	if errors.Is(err, ipc.ErrRefused) {
		fmt.Println("exit: a new nucleus starts the component with a new token")
	}
	// Output: exit: a new nucleus starts the component with a new token
}
