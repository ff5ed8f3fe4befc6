package localcore

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/classic"
)

func TestSlowSubscriberIsClosedAndNobodyElse(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.QueueBytes = 256 << 10 })
	token := f.external("com.test.A", allowAll)
	slow, quick, publisher := f.connect(token), f.connect(token), f.connect(token)
	slow.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	quick.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	payload := strings.Repeat("x", 64<<10)
	request := func(i int) string {
		return `{"topic":"x","publishMessage":{"jsonMessage":{"message":{"n":` + fmt.Sprint(i) + `,"p":"` + payload + `"}}}}`
	}
	n := 0
	for !strings.Contains(f.log.String(), "the client does not read") {
		n++
		if n > 1000 {
			t.Fatal("the slow subscriber is not closed")
		}
		if got := publisher.call(n, "PublishToTopic", request(n)); !strings.HasSuffix(got, "| {}") {
			t.Fatal(got)
		}
		if got, want := quick.recv(), fmt.Sprintf(`{"n":%d.0,`, n); !strings.Contains(got, want) {
			t.Fatalf("message %d: got %.80s", n, got)
		}
	}
	seen := 0
	for { // what it does get is in order, without a gap
		got := slow.recv()
		if got == "closed" || got == "cut off" {
			break
		}
		seen++
		if !strings.Contains(got, fmt.Sprintf(`{"n":%d.0,`, seen)) {
			t.Fatalf("message %d: got %.80s", seen, got)
		}
	}
	if seen == 0 || seen >= n {
		t.Errorf("the slow subscriber got %d of %d messages", seen, n)
	}
	publisher.call(n+1, "PublishToTopic", request(n+1))
	quick.recv()
}

func TestFramesThatAreNotAcceptable(t *testing.T) {
	good, err := eventstream.Append(nil, &eventstream.Message{Type: eventstream.Ping})
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Clone(good)
	spoiled[len(spoiled)-1]++
	tooLarge := binary.BigEndian.AppendUint32(nil, eventstream.MaxFrame+1)
	tooLarge = binary.BigEndian.AppendUint32(tooLarge, 0)
	tooLarge = binary.BigEndian.AppendUint32(tooLarge, crc32.ChecksumIEEE(tooLarge))
	bare := binary.BigEndian.AppendUint32(nil, 16) // no header at all
	bare = binary.BigEndian.AppendUint32(bare, 0)
	bare = binary.BigEndian.AppendUint32(bare, crc32.ChecksumIEEE(bare))
	bare = binary.BigEndian.AppendUint32(bare, crc32.ChecksumIEEE(bare))
	for _, c := range []struct {
		name  string
		frame []byte
		want  []string
		log   string
	}{
		{"wrong CRC", spoiled, []string{"closed"}, "check message CRC"},
		{"larger than 24 MiB", tooLarge, []string{"closed"}, "frame exceeds the limit"},
		{"without its headers", bare, []string{"6 0 0 | " + classic.BadMessage, "closed"}, "IPC protocol violated"},
		{"half a frame", good[:len(good)/2], nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, nil)
			client := f.connect(f.external("com.test.A", allowAll))
			client.write(c.frame)
			for _, want := range c.want {
				client.expect(want)
			}
			if !strings.Contains(f.log.String(), c.log) {
				t.Errorf("the log lacks %q", c.log)
			}
		})
	}
}

func TestLargeMessage(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect(f.external("com.test.A", allowAll))
	c.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 6<<20)) // larger than the queue's bound
	c.send(`0 0 2 op=PublishToTopic | {"topic":"x","publishMessage":{"binaryMessage":{"message":"` + text + `"}}}`)
	if got := c.recv(); !strings.Contains(got, text) {
		t.Errorf("got %d characters: %.60s", len(got), got)
	}
	c.expect("0 2 2 model=PublishToTopicResponse | {}")
}

func TestConnectionsOfOneToken(t *testing.T) {
	f := newFixture(t, nil)
	token := f.external("com.test.A", allowAll)
	var clients []*client
	for range 20 {
		clients = append(clients, f.connect(token))
	}
	for _, c := range clients { // stream ids are each connection's own
		c.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	}
	clients[0].send(`0 0 2 op=PublishToTopic | {"topic":"x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}`)
	for _, c := range clients {
		c.expect(`0 0 1 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"MQ\u003d\u003d","context":{"topic":"x"}}}`)
	}
	clients[1].nc.Close()
	eventually(t, "a connection that ended leaves no subscription", func() bool {
		return f.core.pubsub.Count() == len(clients)-1
	})
}
