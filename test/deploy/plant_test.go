package deploy

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	suite "edgepdm/test/plant"
)

const patience = 90 * time.Second

// plant is an embedded core with a cloud, and what an observer on the core saw.
type plant struct {
	*suite.Plant
	observer ipc.Options

	mu         sync.Mutex
	prediction event.Prediction // the last one
	health     map[string]event.Health
	alerts     map[string]event.Alert // by id
	accepted   map[string]bool        // ids that the forwarder acknowledged
}

func newPlant(t *testing.T, stage string, mode localcore.Mode, set ...func(*localcore.Options)) *plant {
	t.Helper()
	p := &plant{health: make(map[string]event.Health), alerts: make(map[string]event.Alert), accepted: make(map[string]bool)}
	log := slog.New(slog.NewTextHandler(coretest.LogFile(t), nil))
	p.Plant = suite.Start(t, suite.Options{
		Stage: stage, Mode: mode, Cloud: func(o *localcloud.Options) { o.Logger = log },
		Core: func(o *localcore.Options) {
			o.Logger, o.MergeRestartDelay, o.StopTimeout = log, 100*time.Millisecond, 20*time.Second
			for _, f := range set {
				f(o)
			}
			t.Cleanup(func() { printLogs(t, o.Root) }) // when the core is closed
		},
	})
	p.observer = coretest.Granted(t, p.Core, "com.edgepdm.TestObserver")
	p.listen()
	return p
}

// printLogs prints the components' logs of a test that failed.
func printLogs(t *testing.T, root string) {
	if !t.Failed() {
		return
	}
	files, _ := filepath.Glob(filepath.Join(root, "logs", "*.log"))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		t.Logf("%s:\n%s", filepath.Base(file), data[max(0, len(data)-1500):])
	}
}

// listen subscribes to everything until the core ends; once more after a crash of a daemon of the nucleus.
func (p *plant) listen() {
	p.T.Helper()
	options := p.observer
	options.Queue = 1 << 14
	client, err := ipc.Dial(p.T.Context(), options)
	must.OK(p.T, err)
	messages, err := client.Subscribe(p.T.Context(), "pdm/v1/#", ipc.ReceiveAll)
	must.OK(p.T, err)
	var watching sync.WaitGroup
	watching.Go(func() {
		for m := range messages.Events() {
			p.see(m)
		}
	})
	p.T.Cleanup(func() {
		_ = client.Close()
		watching.Wait()
	})
}

func (p *plant) see(m ipc.TopicMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(m.Topic, event.PredictionTopic("")):
		if v, err := event.DecodePrediction(m.Payload); err == nil {
			p.prediction = v
		}
	case m.Topic == event.TopicPredictionBatch:
		if batch, err := event.DecodePredictionBatch(m.Payload); err == nil && len(batch) > 0 {
			p.prediction = batch[len(batch)-1].Prediction
		}
	case strings.HasPrefix(m.Topic, event.AlertTopic("")):
		if v, err := event.DecodeAlert(m.Payload); err == nil {
			p.alerts[v.ID] = v
		}
	case m.Topic == event.TopicAckAlert || m.Topic == event.TopicAckPrediction:
		if v, err := event.DecodeAck(m.Payload); err == nil {
			for _, id := range v.IDs {
				p.accepted[id] = true
			}
		}
	case strings.HasPrefix(m.Topic, event.HealthTopic("")):
		if v, err := event.DecodeHealth(m.Payload); err == nil {
			p.health[v.Component] = v
		}
	}
}

// await waits until the condition, which is called with the plant locked, holds.
func (p *plant) await(what string, condition func() bool) {
	p.T.Helper()
	holds := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return condition()
	}
	if !suite.Until(patience, holds) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.T.Fatalf("waited in vain until %s; health %+v, last prediction %+v", what, p.health, p.prediction)
	}
}

// deploy deploys versions, and merges what update has for each component.
func (p *plant) deploy(versions map[string]string, update map[string]map[string]any) error {
	p.T.Helper()
	return p.carryOut(localcore.Deployment{Components: versions, ConfigurationUpdate: updates(update)})
}

// carryOut deploys within the test's patience.
func (p *plant) carryOut(d localcore.Deployment) error {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.T.Context(), patience)
	defer cancel()
	return p.Core.Deploy(ctx, d)
}

// updates is what a deployment merges into each component's configuration.
func updates(merges map[string]map[string]any) map[string]any {
	out := make(map[string]any)
	for name, merge := range merges {
		out[name] = map[string]any{"merge": merge}
	}
	return out
}

// configuration is what a deployment merges: the plant's cloud instead of AWS, all predictions to the cloud, alarms that
// rise at once.
func (p *plant) configuration() map[string]map[string]any {
	cloud := p.Cloud.Endpoints()
	keys := []any{base64.StdEncoding.EncodeToString(p.Key.Public().(ed25519.PublicKey))}
	update := map[string]map[string]any{
		event.AlarmManager:    {"raise": 0.000001, "silence": "0s", "uplinkDown": "0s", "republish": "1s"},
		event.InferenceEngine: {"publicKeys": keys},
		event.ModelFetcher: {
			"bucket": cloud.Bucket, "prefix": suite.Prefix, "publicKeys": keys, "poll": "1s", "timeout": "2s",
			"endpoints": map[string]any{"s3": cloud.S3},
		},
		event.CloudForwarder: {
			"alertTopicArn": cloud.TopicARN, "sample": "0s", "retryMax": "1s", "timeout": "2s",
			"endpoints": map[string]any{"iotData": cloud.IoTData, "sns": cloud.SNS, "caFile": cloud.CAFile},
		},
		event.SensorSimulator: {"rate": 10},
	}
	for _, merge := range update {
		merge["healthInterval"] = "300ms"
	}
	return update
}

// pid is the process of a component.
func (p *plant) pid(name string) int {
	for _, c := range p.Core.Components() {
		if c.Name == name {
			return c.PID
		}
	}
	return 0
}

// alarms are the machines' alarms that were raised. The plant must be locked.
func (p *plant) alarms() (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(p.alerts)) {
		if a := p.alerts[id]; a.Fault == event.FaultMachine && a.State == event.AlarmUnacknowledged {
			ids = append(ids, id)
		}
	}
	return ids
}
