package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/must"
)

// message is one that every party publishes: an object, or bytes.
type message struct {
	JSON   map[string]any `json:"json,omitzero"`
	Binary []byte         `json:"binary,omitzero"`
}

func messages() []message {
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	return []message{
		{JSON: map[string]any{"text": "Grüße, 世界 🚀 \"\\/\b\f\n\r\t\u007f", "ratio": -1.5e-7, "whole": 9007199254740991.0,
			"list": []any{1.0, "two", true, []any{}}, "object": map[string]any{"ключ": map[string]any{}}}},
		{JSON: map[string]any{}},
		{JSON: map[string]any{"text": strings.Repeat("x", 4096)}},
		// The Python client sends 6 bytes for each of these, and nucleus lite takes a frame of 10,000.
		{JSON: map[string]any{"text": strings.Repeat("ü", 1024)}},
		{Binary: octets},
		{Binary: []byte{}},
		{Binary: bytes.Repeat([]byte{0xff}, 4096)},
		{Binary: []byte(`{"text":"Grüße"}`)},
	}
}

// party is one that takes part in an exchange.
type party struct {
	name    string
	start   func()                    // lets it publish
	receive func() map[string]message // waits until it has everything, and returns that by topic
}

// TestExchange lets the Go, JavaScript and Python clients publish the same messages to each other at the same time.
func TestExchange(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			for _, p := range peers() {
				p.setUp(t) // before the clock runs
			}
			text := must.JSON(t, messages())
			file := filepath.Join(t.TempDir(), "messages.json")
			must.OK(t, os.WriteFile(file, text, 0o600))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			env := startCore(t, kind.options, "com.edgepdm.Go", "com.edgepdm.JavaScript", "com.edgepdm.Python")
			parties := []party{goParty(ctx, t, env[0])}
			for i, p := range peers() {
				parties = append(parties, peerParty(ctx, t, p, env[i+1], file))
			}
			for _, p := range parties {
				p.start()
			}
			for _, p := range parties {
				got := p.receive()
				for _, from := range parties {
					for i, want := range messages() {
						if from.name == p.name {
							continue
						}
						topic := fmt.Sprintf("exchange/%s/%d", from.name, i)
						if !reflect.DeepEqual(got[topic], want) {
							t.Errorf("%s got on %s\n%v\nwant\n%v", p.name, topic, got[topic], want)
						}
						delete(got, topic)
					}
				}
				for topic := range got {
					t.Errorf("%s got a message on %s that nobody published", p.name, topic)
				}
			}
		})
	}
}

// peerParty starts the exchange program of an official client, and returns when it is subscribed.
func peerParty(ctx context.Context, t *testing.T, p peer, env map[string]string, file string) party {
	cmd := p.script(ctx, t, env, "exchange", p.name, file, "2")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	must.OK(t, err)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	must.OK(t, err)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, or the test has failed
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	next := func() []byte {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			_ = cmd.Wait()
			t.Fatalf("%s ended: %v\n%s", p.name, err, &errs)
		}
		return line
	}
	if line := next(); string(line) != "ready\n" {
		t.Fatalf("%s said %s", p.name, line)
	}
	return party{
		name: p.name,
		start: func() {
			if _, err := io.WriteString(in, "go\n"); err != nil {
				t.Fatal(err)
			}
		},
		receive: func() map[string]message {
			var got map[string]message
			if line := next(); json.Unmarshal(line, &got) != nil {
				t.Fatalf("%s said %s", p.name, line)
			}
			return got
		},
	}
}

// publish publishes a message with shared/ipc.
func publish(ctx context.Context, client *ipc.Client, topic string, m message) error {
	if m.JSON == nil {
		return client.Publish(ctx, topic, m.Binary)
	}
	document, err := ipc.NewDocument(m.JSON)
	if err != nil {
		return err
	}
	err = client.PublishToTopic(ctx, ipc.PublishToTopicRequest{
		Topic: topic, PublishMessage: ipc.PublishMessage{JSONMessage: &ipc.JSONMessage{Message: document}},
	})
	return err
}

// goParty is shared/ipc's part in the exchange.
func goParty(ctx context.Context, t *testing.T, env map[string]string) party {
	options, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	must.OK(t, err)
	client, err := ipc.Dial(ctx, options)
	must.OK(t, err)
	t.Cleanup(func() { _ = client.Close() })
	subscription, err := client.Subscribe(ctx, "exchange/#", ipc.ReceiveAll)
	must.OK(t, err)
	return party{
		name: "go",
		start: func() {
			for i, m := range messages() {
				topic := fmt.Sprintf("exchange/go/%d", i)
				must.OK(t, publish(ctx, client, topic, m))
			}
		},
		receive: func() map[string]message {
			got := make(map[string]message)
			for len(got) < 2*len(messages()) {
				select {
				case event, ok := <-subscription.Events():
					if !ok {
						t.Fatalf("subscription ended: %v", subscription.Err())
					}
					if strings.HasPrefix(event.Topic, "exchange/go/") {
						continue
					}
					m := message{Binary: event.Payload}
					if event.JSON {
						m = message{}
						must.OK(t, json.Unmarshal(event.Payload, &m.JSON))
					}
					got[event.Topic] = m
				case <-ctx.Done():
					t.Fatalf("only %d messages came", len(got))
				}
			}
			return got
		},
	}
}
