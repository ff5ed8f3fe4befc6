// Command floor sends and receives the same bytes as ../client, in frames that were made before, and decodes none of the answers:
// what it costs in Go whoever does it. Its memory is that before the frames are made, of a program that is connected.
// See ../ipc_test.go for what it takes and prints.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/bench/ipc/usage"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const model = "aws.greengrass#"

func run(args []string) error {
	numbers, err := usage.Numbers(args)
	if err != nil {
		return err
	}
	size, count, inFlight := numbers[0], numbers[1], numbers[2]
	options, err := ipc.FromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", options.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	topic := "bench/" + strconv.Itoa(os.Getpid())
	p := &plant{conn: conn}
	if err := p.connect(options.AuthToken, topic); err != nil {
		return err
	}
	rss, err := usage.PeakKiB()
	if err != nil {
		return err
	}
	warm := (count + 4) / 5
	if err := p.makeFrames(topic, size, 1+warm+count); err != nil {
		return err
	}
	if err := p.learn(); err != nil {
		return err
	}
	if _, err := p.run(warm, inFlight); err != nil {
		return err
	}
	used, begin := usage.ProcessorTime(), time.Now()
	latencies, err := p.run(count, inFlight)
	if err != nil {
		return err
	}
	elapsed := time.Since(begin)
	used = usage.ProcessorTime() - used
	slices.Sort(latencies)
	fmt.Printf(`{"seconds":%g,"p50_us":%g,"p99_us":%g,"cpu_us":%g,"rss_kib":%d}`+"\n", elapsed.Seconds(),
		usage.Micros(latencies[count/2]), usage.Micros(latencies[count*99/100]), usage.Micros(used)/float64(count), rss)
	return nil
}

type plant struct {
	conn   net.Conn
	frames [][]byte // to be sent, each a message
	answer int      // bytes of what comes for each: its response and its event
}

// connect connects and subscribes: stream 1.
func (p *plant) connect(token, topic string) error {
	who, err := json.Marshal(map[string]string{"authToken": token})
	if err != nil {
		return err
	}
	request, err := json.Marshal(map[string]string{"topic": topic})
	if err != nil {
		return err
	}
	decoder := eventstream.NewDecoder(p.conn, eventstream.MaxFrame)
	for _, m := range []eventstream.Message{
		{Type: eventstream.Connect, Version: eventstream.Version, ContentType: eventstream.ContentTypeJSON, Payload: who},
		{StreamID: 1, Operation: model + "SubscribeToTopic", ServiceModelType: model + "SubscribeToTopicRequest", ContentType: eventstream.ContentTypeJSON, Payload: request},
	} {
		frame, err := eventstream.Append(nil, &m)
		if err != nil {
			return err
		}
		if _, err := p.conn.Write(frame); err != nil {
			return err
		}
		if err := decoder.Decode(&m); err != nil {
			return err
		}
		if m.Type != eventstream.ConnectAck && m.Type != eventstream.ApplicationMessage {
			return fmt.Errorf("%v: %s", m.Type, m.Payload)
		}
	}
	return nil
}

func (p *plant) makeFrames(topic string, size, count int) error {
	message := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), size))
	payload := fmt.Appendf(nil, `{"topic":%q,"publishMessage":{"binaryMessage":{"message":%q}}}`, topic, message)
	for i := range count {
		frame, err := eventstream.Append(nil, &eventstream.Message{
			StreamID: int32(i + 2), Operation: model + "PublishToTopic", ServiceModelType: model + "PublishToTopicRequest",
			ContentType: eventstream.ContentTypeJSON, Payload: payload,
		})
		if err != nil {
			return err
		}
		p.frames = append(p.frames, frame)
	}
	return nil
}

// learn sends a message, and learns how much comes for it.
func (p *plant) learn() error {
	if _, err := p.conn.Write(p.frames[0]); err != nil {
		return err
	}
	p.frames = p.frames[1:]
	counted := &counter{from: p.conn}
	decoder := eventstream.NewDecoder(counted, eventstream.MaxFrame)
	var m eventstream.Message
	for range 2 {
		if err := decoder.Decode(&m); err != nil {
			return err
		}
	}
	p.answer = counted.n
	return nil
}

type counter struct {
	from io.Reader
	n    int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += n
	return n, err
}

// run sends the next count frames, with so many under way.
func (p *plant) run(count, inFlight int) ([]time.Duration, error) {
	done, failed := make(chan int, count), make(chan error, 1)
	go func() { // ends with the last answer, and at the latest with the connection
		buffer, came := make([]byte, 16<<10), 0
		for told := 0; told < count; {
			n, err := p.conn.Read(buffer)
			if err != nil {
				failed <- err
				return
			}
			came += n
			if now := came / p.answer; now > told {
				done <- now - told
				told = now
			}
		}
	}()
	latencies, begun := make([]time.Duration, 0, count), make([]time.Time, 0, count)
	for len(latencies) < count {
		if len(begun) < count && len(begun)-len(latencies) < inFlight {
			begun = append(begun, time.Now())
			if _, err := p.conn.Write(p.frames[0]); err != nil {
				return nil, err
			}
			p.frames = p.frames[1:]
			continue
		}
		select {
		case n := <-done:
			for range n {
				latencies = append(latencies, time.Since(begun[len(latencies)]))
			}
		case err := <-failed:
			return nil, errors.Join(errors.New("read"), err)
		}
	}
	return latencies, nil
}
