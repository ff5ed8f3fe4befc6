package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/simonvetter/modbus"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

const (
	things  = 50
	sensors = 100 // of a thing
	period  = 10 * time.Second
)

// counting is a Modbus server whose registers change each second.
type counting struct{ modbus.RequestHandler }

func (counting) HandleHoldingRegisters(r *modbus.HoldingRegistersRequest) ([]uint16, error) {
	values := make([]uint16, r.Quantity)
	for i := range values {
		values[i] = r.Addr + uint16(i) + uint16(time.Now().Unix()) //nolint:gosec // modulo 65536
	}
	return values, nil
}

// BenchmarkModbus and BenchmarkOPCUA run the real program with 5,000 tags that change each second, as 50 machines of 100 sensors with a
// row a second. %core is what the program takes of a core, MiB its resident memory at its peak. An operation is period.
func BenchmarkModbus(b *testing.B) {
	address := plantpeers.FreeAddress(b)
	server, err := modbus.NewServer(&modbus.ServerConfiguration{URL: "tcp://" + address, MaxClients: 4, Logger: log.New(io.Discard, "", 0)}, counting{})
	must.OK(b, err)
	must.OK(b, server.Start())
	b.Cleanup(func() { must.OK(b, server.Stop()) })
	measure(b, map[string]any{"name": "plant", "modbus": map[string]any{"address": address}}, "holding:%d", func() {})
}

func BenchmarkOPCUA(b *testing.B) {
	server := plantpeers.OPCUA(b)
	server.Do("many %d", things*sensors)
	measure(b, map[string]any{"name": "plant", "opcua": map[string]any{"endpoint": fmt.Sprintf("opc.tcp://127.0.0.1:%d", server.Port)}},
		"ns=2;s=Many%d", func() { server.Do("tick %d", things*sensors) })
}

// measure reads from a source the tags with numbers from 0 on. change makes all of them change.
func measure(b *testing.B, source map[string]any, tag string, change func()) {
	var list []any
	for i := range things {
		var names []any
		for j := range sensors {
			names = append(names, map[string]any{"sensor": fmt.Sprintf("s%d", j), "source": "plant", "tag": fmt.Sprintf(tag, i*sensors+j)})
		}
		list = append(list, map[string]any{"thing": fmt.Sprintf("press-%d", i), "sensors": names})
	}
	core := coretest.Start(b)
	client := coretest.Client(b, core)
	health := coretest.HealthOf(b, client, event.Ingest)
	env := coretest.Environment(b, core, event.Ingest, "ingest", slog.New(slog.DiscardHandler))
	coretest.Configure(b, core, event.Ingest, map[string]any{"healthInterval": "1s", "sources": []any{source}, "things": list})
	pid := coretest.StartProgram(b, env, nil, coretest.Build(b)).Process.Pid
	const published = "telemetry.published"
	first := health.Await("rows of all", func(h event.Health) bool { return h.Counters[published] >= 2*things })
	before := value(b, client)
	cpu, _ := usage(b, pid)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	seconds := 0
	for b.Loop() {
		for range int(period / time.Second) {
			<-ticker.C
			change()
			seconds++
		}
	}
	now, peak := usage(b, pid)
	if value(b, client) == before {
		b.Error("no value changed")
	}
	last := health.Await("rows of each second", func(h event.Health) bool {
		return h.Counters[published] >= first.Counters[published]+uint64(things*seconds) //nolint:gosec // not negative
	})
	if len(last.Conditions) > 0 {
		b.Errorf("conditions: %+v", last.Conditions)
	}
	b.ReportMetric(100*(now-cpu).Seconds()/b.Elapsed().Seconds(), "%core")
	b.ReportMetric(peak, "MiB")
}

// value is of the last tag, as it is published.
func value(b *testing.B, client *ipc.Client) float32 {
	b.Helper()
	sub := coretest.Subscribe(b, client, event.TopicTelemetryBatch)
	defer func() { must.OK(b, sub.Close()) }()
	late := time.After(coretest.Patience)
	for {
		select {
		case m := <-sub.Events():
			rows, err := event.DecodeTelemetryBatch(m.Payload)
			must.OK(b, err)
			for _, row := range rows {
				if row.Thing == fmt.Sprintf("press-%d", things-1) {
					return row.Readings[fmt.Sprintf("s%d", sensors-1)]
				}
			}
		case <-late:
			b.Fatal("no row of the last machine")
		}
	}
}

// usage is a process's processor time, and the peak of its resident memory in MiB.
func usage(b *testing.B, pid int) (cpu time.Duration, peak float64) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must.OK(b, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	for _, ticks := range fields[12:14] { // of a hundredth of a second: user, system
		n, err := strconv.Atoi(ticks)
		must.OK(b, err)
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must.OK(b, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	must.OK(b, err)
	return cpu, float64(kib) / 1024
}
