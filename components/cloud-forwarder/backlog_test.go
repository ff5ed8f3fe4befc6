package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
)

// F2 and F3: the real program, killed with SIGKILL while a backlog of weeks leaves as objects, delivers every prediction of it, each
// once in the bucket as it is in the end, and to AWS IoT Core none.
func TestKilledProgramDrainsABacklogAsObjects(t *testing.T) {
	const n = 20_000
	core := coretest.Start(t)
	health := coretest.HealthOf(t, coretest.Client(t, core), event.CloudForwarder)
	cloud := cloudtest.Start(t)
	env := coretest.Environment(t, core, event.CloudForwarder, "cloud-forwarder", slog.New(slog.DiscardHandler))
	ends := cloud.Endpoints()
	coretest.Configure(t, core, event.CloudForwarder, map[string]any{
		"heartbeat": "0s", "healthInterval": "100ms", "retryMax": "100ms", "archive": map[string]any{"bucket": ends.Bucket, "maxObjectMB": 1},
		"endpoints": map[string]any{"iotData": ends.IoTData, "s3": ends.S3, "caFile": ends.CAFile},
	})
	queue, err := spool.Open(filepath.Join(env.WorkDir, "spool", "predictions"), spool.Options{})
	must.OK(t, err)
	begin := time.Date(2026, 11, 9, 10, 0, 0, 0, time.UTC)
	want := make(map[string]int)
	var records []spool.Record
	for i := range n {
		thing, at := fmt.Sprintf("press-%d", i%10), begin.Add(time.Duration(i)*time.Minute)
		p := event.Prediction{
			V: 1, ID: fmt.Sprintf("%s-5f3a-%d", thing, i), Thing: thing, Line: "line-7", Epoch: "5f3a", Seq: uint64(i + 1), TS: at,
			Model: event.ModelRef{Version: "1.0.0"}, Label: event.LabelNotFaulty, Threshold: 0.5, Platform: "linux/arm64",
		}
		want[p.ID] = 1
		payload := fmt.Appendf(nil, `{"topic":%q,"message":%s}`, event.PredictionTopic(thing), must.JSON(t, p))
		records = append(records, spool.Record{Stream: "predictions", ID: p.ID, Time: at.UnixNano(), Payload: payload})
	}
	for part := range slices.Chunk(records, 500) {
		must.OK(t, queue.Append(t.Context(), part...))
	}
	must.OK(t, queue.Close())

	program := coretest.Build(t)
	var vars []string
	for name, value := range cloudtest.Environment(cloud) {
		vars = append(vars, name+"="+value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
	defer cancel()
	objects := 0
	for range 3 {
		run := coretest.StartProgram(t, env, append(vars, os.Environ()...), program)
		must.OK(t, cloud.Wait(ctx, func(j localcloud.Journal) bool { return j.Count(localcloud.KindS3Put) > objects+4 }))
		must.OK(t, run.Process.Kill())
		_ = run.Wait() // it was killed
		health.Ended()
		objects = cloud.Journal().Count(localcloud.KindS3Put)
	}
	coretest.StartProgram(t, env, append(vars, os.Environ()...), program)
	last := health.Await("all sent", func(h event.Health) bool { return h.Drained() && h.State == event.StateOK })

	got := make(map[string]int)
	newest := make(map[string]localcloud.Entry)
	again := 0
	for _, e := range cloud.Journal() {
		switch e.Kind {
		case localcloud.KindS3Put:
			if _, before := newest[e.Name]; before {
				again++
			}
			newest[e.Name] = e
		case localcloud.KindIoT:
			t.Errorf("%s left by itself", e.IDs)
		}
	}
	for _, e := range newest {
		for _, id := range e.IDs {
			got[id]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d predictions arrived, want %d, each once", len(got), len(want))
	}
	t.Logf("%d objects, %d came again; %d of %d messages were sent by the last process", len(newest), again, last.Counters["stream.predictions.archived"], n)
}
