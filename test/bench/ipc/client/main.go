// Command client is the benchmark's client with shared/ipc, and with nothing else, so that its memory is the library's.
// See ../ipc_test.go for what it takes and prints.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/bench/ipc/usage"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// gcPercent is for a program that has almost nothing of its own: with Go's 100, 4 MiB of messages that were read lie about until the
// first collection.
const gcPercent = 25

func run(args []string) error {
	numbers, err := usage.Numbers(args)
	if err != nil {
		return err
	}
	size, count, inFlight := numbers[0], numbers[1], numbers[2]
	debug.SetGCPercent(gcPercent)

	ctx := context.Background()
	options, err := ipc.FromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	client, err := ipc.Dial(ctx, options)
	if err != nil {
		return err
	}
	topic := "bench/" + strconv.Itoa(os.Getpid())
	events, err := client.Subscribe(ctx, topic, "")
	if err != nil {
		return err
	}
	p := &plant{ctx: ctx, client: client, topic: topic, events: events, payload: bytes.Repeat([]byte("x"), size),
		calls: make([]*ipc.Call, inFlight), begun: make([]time.Time, inFlight)}
	if err := p.run((count+4)/5, nil); err != nil { // warm up
		return err
	}
	latencies := make([]time.Duration, count)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, begin := usage.ProcessorTime(), time.Now()
	if err := p.run(count, latencies); err != nil {
		return err
	}
	elapsed := time.Since(begin)
	used = usage.ProcessorTime() - used
	runtime.ReadMemStats(&after)
	rss, err := usage.PeakKiB()
	if err != nil {
		return err
	}
	slices.Sort(latencies)
	n := float64(count)
	fmt.Printf(`{"seconds":%g,"p50_us":%g,"p99_us":%g,"cpu_us":%g,"allocs":%g,"rss_kib":%d}`+"\n", elapsed.Seconds(),
		usage.Micros(latencies[count/2]), usage.Micros(latencies[count*99/100]), usage.Micros(used)/n, float64(after.Mallocs-before.Mallocs)/n, rss)
	return client.Close()
}

// plant publishes to itself.
type plant struct {
	ctx     context.Context
	client  *ipc.Client
	topic   string
	events  *ipc.Subscription[ipc.TopicMessage]
	payload []byte
	calls   []*ipc.Call // of the messages under way, a ring
	begun   []time.Time
}

// run sends count messages, with as many under way as there are calls. A message is done when its response and its event
// have come.
func (p *plant) run(count int, latencies []time.Duration) error {
	window := len(p.calls)
	for i := range count + window {
		slot := i % window
		if done := i - window; done >= 0 {
			if err := p.finish(slot); err != nil {
				return err
			}
			if latencies != nil {
				latencies[done] = time.Since(p.begun[slot])
			}
		}
		if i >= count {
			continue
		}
		p.begun[slot] = time.Now()
		call, err := p.client.StartPublish(p.ctx, p.topic, p.payload)
		if err != nil {
			return err
		}
		p.calls[slot] = call
	}
	return nil
}

func (p *plant) finish(slot int) error {
	if p.calls[slot] == nil { // there were fewer messages than slots
		return nil
	}
	if err := p.calls[slot].Wait(p.ctx); err != nil {
		return err
	}
	p.calls[slot] = nil
	event, ok := <-p.events.Events()
	if !ok {
		return fmt.Errorf("subscription ended: %w", p.events.Err())
	}
	if len(event.Payload) != len(p.payload) {
		return errors.New("an event of another size")
	}
	return nil
}
