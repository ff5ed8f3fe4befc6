package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
)

// BenchmarkDrain runs the real program until a backlog is delivered, over each sink in turn. The cloud and the core are in this
// process, so that cpu-us/msg is the program's own: its processor time, kernel included, from the first message that arrives to
// the last. FORWARDER_BASE=FILE measures another build too, in turns, and tells the ratio.
func BenchmarkDrain(b *testing.B) {
	programs := []string{coretest.Build(b)}
	if base := os.Getenv("FORWARDER_BASE"); base != "" {
		programs = append(programs, base)
	}
	for _, c := range []struct {
		name   string
		stream string
		n      int // messages that wait
		config map[string]any
	}{
		{"iot-data", "predictions", 5000, nil},
		{"iot-data, 16 in parallel", "predictions", 5000, map[string]any{"parallel": 16}},
		{"sns", "alerts-sns", 5000, nil},
		{"iotcore-ipc", "predictions", 5000, map[string]any{"predictionSink": "iotcore-ipc"}},
		{"s3", "predictions", 60_000, map[string]any{"archive": map[string]any{"bucket": bucket}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			used := make([][]time.Duration, len(programs)) // a message
			var took time.Duration
			sent, peak := 0, 0.0
			for b.Loop() {
				for i, program := range programs {
					d := drain(b, program, c.stream, c.n, c.config)
					used[i] = append(used[i], d.cpu/time.Duration(d.n))
					if i == 0 {
						took, sent, peak = took+d.took, sent+d.n, max(peak, d.peak)
					}
				}
			}
			own := median(used[0])
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(own.Nanoseconds())/1000, "cpu-us/msg")
			b.ReportMetric(float64(sent)/took.Seconds(), "msg/s")
			b.ReportMetric(peak, "MiB")
			if len(used) > 1 {
				b.ReportMetric(float64(median(used[1]))/float64(own), "base/own")
			}
		})
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

type drained struct {
	n         int // messages after the first, or after the first object
	cpu, took time.Duration
	peak      float64 // MiB of resident memory
}

// bucket is the embedded cloud's.
const bucket = "edgepdm-local"

// drain lets the program deliver a backlog in a stream.
func drain(b *testing.B, program, stream string, backlog int, config map[string]any) drained {
	b.Helper()
	core := coretest.Start(b)
	client := coretest.Client(b, core)
	cloud := cloudtest.Start(b)
	env := coretest.Environment(b, core, event.CloudForwarder, "cloud-forwarder", slog.New(slog.DiscardHandler))
	ends := cloud.Endpoints()
	merge := map[string]any{
		"alertTopicArn": ends.TopicARN, "heartbeat": "0s", "endpoints": map[string]any{"iotData": ends.IoTData, "sns": ends.SNS, "s3": ends.S3, "caFile": ends.CAFile},
	}
	maps.Copy(merge, config)
	coretest.Configure(b, core, event.CloudForwarder, merge)
	store(b, env, stream, backlog)

	seen, heard := 0, 0                // entries of the cloud's journal, and messages in them
	arrived := func(n int) (all int) { // waits for n messages, and returns how many there are
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		must.OK(b, cloud.Wait(ctx, func(j localcloud.Journal) bool {
			for ; seen < len(j); seen++ {
				heard += len(j[seen].IDs)
			}
			return heard >= n
		}))
		return heard
	}
	if config["predictionSink"] == "iotcore-ipc" {
		sub, err := client.SubscribeToIoTCore(b.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "edgepdm/#", QoS: ipc.AtLeastOnce})
		must.OK(b, err)
		arrived = func(n int) int {
			late := time.After(time.Minute)
			for ; heard < n; heard++ {
				select {
				case <-sub.Events():
				case <-late:
					b.Fatalf("%d of %d messages arrived", heard, n)
				}
			}
			return heard
		}
	}
	var vars []string
	for name, value := range cloudtest.Environment(cloud) {
		vars = append(vars, name+"="+value)
	}
	run := coretest.StartProgram(b, env, append(vars, os.Environ()...), program)
	first := arrived(1)
	began, before := time.Now(), usage(b, run.Process.Pid)
	arrived(backlog)
	took, after := time.Since(began), usage(b, run.Process.Pid)
	must.OK(b, run.Process.Signal(syscall.SIGTERM))
	must.OK(b, run.Wait())
	return drained{backlog - first, after.cpu - before.cpu, took, after.peak}
}

// store puts the backlog into a stream of a forwarder that does not run.
func store(b *testing.B, env component.Environment, stream string, backlog int) {
	b.Helper()
	queue, err := spool.Open(filepath.Join(env.WorkDir, "spool", stream), spool.Options{})
	must.OK(b, err)
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	records := make([]spool.Record, backlog)
	for i := range records {
		id := fmt.Sprintf("press-1-5f3a-%d", i)
		topic, message := event.PredictionTopic("press-1"), must.JSON(b, event.Prediction{
			V: 1, ID: id, Thing: "press-1", Line: "line-7", Epoch: "5f3a", Seq: uint64(i + 1), TS: at.Add(time.Duration(i) * time.Second),
			Model: event.ModelRef{Version: "1.0.0", SHA256: strings.Repeat("5e", 32)}, Probability: 0.0731, Label: event.LabelNotFaulty, Threshold: 0.5,
			Platform: "linux/arm64", Text: event.PredictionText(event.LabelNotFaulty, time.Millisecond, "linux/arm64"),
		})
		if stream != "predictions" {
			topic, message = event.AlertTopic("press-1"), must.JSON(b, event.Alert{
				V: 1, ID: id, Thing: "press-1", Line: "line-7", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Severity: event.SeverityHigh,
				Since: at, TS: at, Probability: 0.971, Text: "Fault found on line 7, press 1. Immediate attention required.",
			})
		}
		records[i] = spool.Record{
			Stream: stream, ID: id, Time: at.UnixNano(),
			Payload: fmt.Appendf(nil, `{"topic":%q,"message":%s}`, topic, message),
		}
	}
	for part := range slices.Chunk(records, 500) {
		must.OK(b, queue.Append(b.Context(), part...))
	}
	must.OK(b, queue.Close())
}

// used is what a process has taken.
type used struct {
	cpu  time.Duration
	peak float64 // MiB of resident memory
}

func usage(b *testing.B, pid int) (u used) {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	must.OK(b, err)
	for _, path := range threads {
		n, err := strconv.ParseInt(string(bytes.Fields(must.Read(b, path))[0]), 10, 64)
		must.OK(b, err)
		u.cpu += time.Duration(n)
	}
	_, after, _ := strings.Cut(string(must.Read(b, fmt.Sprintf("/proc/%d/status", pid))), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	must.OK(b, err)
	u.peak = float64(kib) / 1024
	return u
}
