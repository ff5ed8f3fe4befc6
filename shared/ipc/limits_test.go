package ipc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
)

// nucleus accepts every request; it is lite or classic for those who ask. sent counts the requests beside that question.
func nucleus(t *testing.T, lite bool) (client *ipc.Client, sent *atomic.Int32) {
	t.Helper()
	sent = new(atomic.Int32)
	return dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		switch {
		case !strings.Contains(string(m.Payload), "aws.greengrass.NucleusLite"):
			sent.Add(1)
			p.respond(m, "{}", eventstream.TerminateStream)
		case lite:
			p.respond(m, `{"componentName":"aws.greengrass.NucleusLite","value":{}}`, 0)
		default:
			p.send(eventstream.Message{Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: m.StreamID,
				ServiceModelType: "aws.greengrass#ResourceNotFoundError", ContentType: eventstream.ContentTypeJSON, Payload: []byte(`{}`)})
		}
	})), sent
}

func TestNucleus(t *testing.T) {
	for lite, want := range map[bool]ipc.NucleusKind{true: ipc.Lite, false: ipc.Classic} {
		client, _ := nucleus(t, lite)
		for range 2 {
			if got, err := client.Nucleus(t.Context()); got != want || err != nil {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
		}
	}
}

// What nucleus lite would lose, corrupt or hang up on is refused before it is sent; a classic nucleus gets it.
func TestLimitsOfLite(t *testing.T) {
	publish := func(document string) func(c *ipc.Client) error {
		return func(c *ipc.Client) error {
			return c.PublishToTopic(t.Context(), ipc.PublishToTopicRequest{Topic: "t",
				PublishMessage: ipc.PublishMessage{JSONMessage: &ipc.JSONMessage{Message: ipc.Document(document)}}})
		}
	}
	binary := func(n int) func(c *ipc.Client) error {
		return func(c *ipc.Client) error { return c.Publish(t.Context(), "t", make([]byte, n)) }
	}
	cloud := func(n int) func(c *ipc.Client) error {
		return func(c *ipc.Client) error {
			return c.PublishToIoTCore(t.Context(), ipc.PublishToIoTCoreRequest{TopicName: "t", QoS: "1", Payload: make([]byte, n)})
		}
	}
	update := func(document string) func(c *ipc.Client) error {
		return func(c *ipc.Client) error {
			return c.UpdateConfiguration(t.Context(), ipc.UpdateConfigurationRequest{Timestamp: ipc.Timestamp{Time: time.Unix(1, 0)}, ValueToMerge: ipc.Document(document)})
		}
	}
	object := func(n int) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"m%d":0`, i))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	for name, c := range map[string]struct {
		send func(c *ipc.Client) error
		want string // of the refusal on lite; empty: it is sent
	}{
		"binary that fits":            {binary(7200), ""},
		"binary over a frame":         {binary(7600), "nucleus lite takes 10012"},
		"44 elements":                 {publish(list(44)), ""},
		"45 elements":                 {publish(list(45)), "publishMessage.jsonMessage.message: more values than"},
		"42 elements in a member":     {publish(`{"l":` + list(42) + `}`), ""},
		"43 elements in a member":     {publish(`{"l":` + list(43) + `}`), "more values than"},
		"23 members":                  {publish(object(23)), ""},
		"24 members":                  {publish(object(24)), "more values than"},
		"deep, just enough":           {publish(`{"a":{"b":` + list(15) + `},"c":[{"d":` + list(18) + `}]}`), ""},
		"deep, too much":              {publish(`{"a":{"b":` + list(18) + `},"c":[{"d":` + list(18) + `}]}`), "more values than"},
		"strings that look like keys": {publish(`{"a":"b","c":["d","e"]}`), ""},
		"integer of 18 characters":    {publish(`{"n":-17954481473572531}`), ""},
		"integer of 19 characters":    {publish(`{"n":1795448147357253123}`), "more than 18 characters, such as 1795448147357253123"},
		"negative integer of 19":      {publish(`[-179544814735725312]`), "more than 18 characters"},
		"long fraction":               {publish(`{"n":1795448147.3572531230000}`), ""},
		"digits in a string":          {publish(`{"n":"1795448147357253123"}`), ""},
		"configuration integer":       {update(`{"n":1795448147357253123}`), "valueToMerge: nucleus lite corrupts"},
		"configuration values":        {update(`{"l":` + list(200) + `}`), ""},
		"packet that fits":            {cloud(4900), ""},
		"packet that is lost":         {cloud(5000), "payload: MQTT packet of"},
	} {
		t.Run(name, func(t *testing.T) {
			client, sent := nucleus(t, true)
			switch err := c.send(client); {
			case c.want == "" && (err != nil || sent.Load() != 1):
				t.Errorf("%v, sent %d", err, sent.Load())
			case c.want != "" && (!errors.Is(err, ipc.ErrTooLarge) || !strings.Contains(fmt.Sprint(err), c.want) || sent.Load() != 0):
				t.Errorf("%v, want %q; sent %d", err, c.want, sent.Load())
			}
			classic, sent := nucleus(t, false)
			if err := c.send(classic); err != nil || sent.Load() != 1 {
				t.Errorf("classic: %v, sent %d", err, sent.Load())
			}
		})
	}
}

// Small messages cost no question about the runtime.
func TestKindOfNucleusIsAskedOnlyWhenItMatters(t *testing.T) {
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		if strings.HasSuffix(m.Operation, "GetConfiguration") {
			t.Error("the nucleus was asked")
		}
		p.respond(m, "{}", 0)
	}))
	if err := client.Publish(t.Context(), "t", make([]byte, 7000)); err != nil {
		t.Error(err)
	}
}

// What StartPublish may have to ask before it sends a large payload ends with its context.
func TestStartPublishEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := dial(t, listen(t, true, func(*peer, *eventstream.Message) { cancel() })) // it never answers
	if call, err := client.StartPublish(ctx, "t", make([]byte, 10<<10)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v, want Canceled", call, err)
	}
	if call, err := client.StartPublish(ctx, "t", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v, %v", call, err)
	}
	if _, err := client.StartPublish(t.Context(), "t", nil); err != nil {
		t.Errorf("the connection goes on: %v", err)
	}
}
