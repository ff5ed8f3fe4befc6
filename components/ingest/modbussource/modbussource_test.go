package modbussource

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// peer is the source, of which each tag is a sensor of its name, and what it says.
type peer struct {
	env    *source.Env
	table  *rows.Table
	config mapping.Modbus

	mu       sync.Mutex
	counts   map[string]int
	problems chan error
}

func newPeer(t testing.TB, port int, tags ...string) *peer {
	t.Helper()
	c := mapping.Config{Sources: []mapping.Source{{Name: "plc", Modbus: &mapping.Modbus{Address: "127.0.0.1:" + strconv.Itoa(port), Poll: 20 * time.Millisecond}}}}
	for i, tag := range tags {
		if i%1000 == 0 {
			c.Things = append(c.Things, mapping.Thing{Thing: fmt.Sprint("m", i), Every: 10 * time.Millisecond})
		}
		last := &c.Things[len(c.Things)-1]
		last.Sensors = append(last.Sensors, mapping.Sensor{Sensor: "s" + strconv.Itoa(i), Source: "plc", Tag: tag})
	}
	must.OK(t, c.Validate())
	p := &peer{config: *c.Sources[0].Modbus, counts: make(map[string]int), problems: make(chan error, 1000)}
	p.table = rows.New(c, "e", time.Now, p.count)
	p.env = &source.Env{
		Name: "plc", Tags: p.table.Tags("plc"), Table: p.table, Log: slog.New(slog.DiscardHandler), Count: p.count,
		Problem: func(err error) { p.problems <- err },
	}
	return p
}

func (p *peer) count(reason string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[reason] += n
}

func (p *peer) counted(reason string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[reason]
}

// run reads until the test ends.
func (p *peer) run(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { Run(ctx, p.env, p.config) })
	t.Cleanup(func() { stop(); work.Wait() })
}

// await asks for rows until the sensors have values that ok accepts; nil: missing.
func (p *peer) await(t testing.TB, within time.Duration, ok func(values map[string]float64) bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	var last map[string]float64
	for time.Now().Before(deadline) {
		for _, row := range p.table.Due(nil) {
			last = make(map[string]float64)
			for name, x := range row.Readings {
				if x == x {
					last[name] = float64(x)
				}
			}
			if ok(last) {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not within %v; last %v, counted %v", within, last, p.counts)
}

func (p *peer) problem(t testing.TB, within time.Duration, ok func(error) bool) {
	t.Helper()
	timeout := time.After(within)
	for {
		select {
		case err := <-p.problems:
			if ok(err) {
				return
			}
		case <-timeout:
			t.Fatalf("it was not said within %v", within)
		}
	}
}

func TestTypesOrdersAndTables(t *testing.T) {
	server := plantpeers.Modbus(t)
	var tags []string
	want := make(map[string]float64)
	address := 0
	expect := func(tag string, value float64) {
		want["s"+strconv.Itoa(len(tags))] = float64(float32(value))
		tags = append(tags, tag)
	}
	for _, kind := range slices.Sorted(maps.Keys(examples())) {
		for _, order := range orders {
			example := examples()[kind]
			raw := inOrder(example.raw, order)
			line := "holding " + strconv.Itoa(address)
			for i := 0; i < len(raw); i += 2 {
				line += " " + strconv.Itoa(int(binary.BigEndian.Uint16(raw[i:])))
			}
			server.Do("%s", line)
			expect(fmt.Sprintf("holding:%d:%s:%s", address, kind, order), example.want)
			address += len(raw) / 2
		}
	}
	server.Do("input 7 32769")
	expect("input:7", 32769)
	expect("input:7.0", 1)
	expect("input:7.1", 0)
	expect("input:7.15", 1)
	server.Do("coil 3 1 0 1")
	expect("coil:3", 1)
	expect("coil:4", 0)
	server.Do("discrete 199 1")
	expect("discrete:199", 1)
	p := newPeer(t, server.Port, tags...)
	p.run(t)
	p.await(t, 10*time.Second, func(got map[string]float64) bool {
		return maps.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(b) })
	})
}

func TestAddressThatTheServerDoesNotHave(t *testing.T) {
	server := plantpeers.Modbus(t)
	server.Do("holding 195 1 2 3 4 5")
	p := newPeer(t, server.Port, "holding:195", "holding:198", "holding:199", "holding:200", "holding:205", "holding:199:int32")
	r := &reader{env: p.env}
	for _, tag := range p.env.Tags {
		parsed, err := parse(tag.Address)
		must.OK(t, err)
		r.points = append(r.points, &point{tag: parsed, Tag: tag})
	}
	ctx, stop := context.WithCancel(context.Background())
	connected := make(chan struct{})
	var work sync.WaitGroup
	c := p.config
	c.Poll = time.Hour // the test polls
	work.Go(func() { _ = r.run(ctx, c, func() { close(connected) }) })
	<-connected
	defer work.Wait()
	defer stop()
	values := func() map[string]float64 {
		var due []event.Telemetry
		for deadline := time.Now().Add(10 * time.Second); len(due) == 0 && time.Now().Before(deadline); {
			due = p.table.Due(nil)
		}
		got := make(map[string]float64)
		for _, row := range due {
			for name, x := range row.Readings {
				if x == x {
					got[name] = float64(x)
				}
			}
		}
		return got
	}
	want := map[string]float64{"s0": 1, "s1": 4, "s2": 5}
	if got := values(); !maps.Equal(got, want) || p.counted(rows.ReasonNoTag) != 3 {
		t.Errorf("got %v, %d unknown", got, p.counted(rows.ReasonNoTag))
	}
	now := r.built
	must.OK(t, r.poll(ctx, now.Add(time.Second)))
	if n := p.counted(rows.ReasonNoTag); n != 3 {
		t.Errorf("asked again after a second: %d", n)
	}
	must.OK(t, r.poll(ctx, now.Add(retryRefused)))
	if n := p.counted(rows.ReasonNoTag); n != 6 || r.refused != 3 {
		t.Errorf("not asked again after a minute: %d counted, %d refused", n, r.refused)
	}
	must.OK(t, r.poll(ctx, now.Add(-time.Hour))) // our clock was set back
	if n := p.counted(rows.ReasonNoTag); n != 9 {
		t.Errorf("a clock that was set back stops it: %d", n)
	}
}

func TestServerIsKilledAndStartedAgain(t *testing.T) {
	server := plantpeers.Modbus(t)
	server.Do("holding 1 11")
	p := newPeer(t, server.Port, "holding:1")
	p.run(t)
	is := func(x float64) func(map[string]float64) bool {
		return func(got map[string]float64) bool { return got["s0"] == x }
	}
	p.await(t, 10*time.Second, is(11))
	before := runtime.NumGoroutine()
	server.Kill()
	p.problem(t, 10*time.Second, func(err error) bool { return err != nil && strings.Contains(err.Error(), "127.0.0.1:") })
	p.table.Due(nil)
	if unheard := p.table.Unheard(); len(unheard) != 1 {
		t.Errorf("the value stays: %v", unheard)
	}
	server.Start()
	server.Do("holding 1 12")
	p.await(t, 30*time.Second, is(12))
	p.problem(t, time.Second, func(err error) bool { return err == nil })
	if n := p.counted(source.ReasonLost); n != 1 {
		t.Errorf("%d connections were lost", n)
	}
	if after := runtime.NumGoroutine(); after > before+1 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// A server that refuses every value, as one does that has not the unit, is the source's trouble: no value comes of it.
func TestUnitThatTheServerDoesNotHave(t *testing.T) {
	server := plantpeers.Modbus(t)
	p := newPeer(t, server.Port, "holding:1", "holding:2")
	p.config.Unit = 9
	p.run(t)
	for range 2 { // it is tried again, and never said to work
		select {
		case err := <-p.problems:
			if err == nil || !strings.Contains(err.Error(), "unit 9: every value is refused: ") {
				t.Fatalf("said: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nobody says that the unit is missing")
		}
	}
	if n := p.counted(source.ReasonLost); n != 0 {
		t.Errorf("%d connections were lost", n)
	}
}
