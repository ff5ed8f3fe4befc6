package deploy

import (
	"bytes"
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
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	modelPrefix = "models/compressor"
	patience    = 90 * time.Second
)

const observerRecipe = `RecipeFormatVersion: "2020-01-25"
ComponentName: com.edgepdm.TestObserver
ComponentVersion: 1.0.0
ComponentConfiguration:
  DefaultConfiguration:
    accessControl:
      aws.greengrass.ipc.pubsub:
        com.edgepdm.TestObserver:pubsub:1:
          operations: ["aws.greengrass#SubscribeToTopic"]
          resources: ["pdm/v1/#"]
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`

// plant is an embedded core with a cloud, and what an observer on the core saw.
type plant struct {
	t     *testing.T
	root  string // of the core
	core  *localcore.Core
	cloud *localcloud.Cloud
	key   ed25519.PrivateKey // of the models

	observer ipc.Options

	mu         sync.Mutex
	prediction event.Prediction // the last one
	health     map[string]event.Health
	alerts     map[string]event.Alert // by id
	accepted   map[string]bool        // ids that the forwarder acknowledged
}

func newPlant(t *testing.T, stage string, mode localcore.Mode, set ...func(*localcore.Options)) *plant {
	t.Helper()
	dir := t.TempDir()
	p := &plant{t: t, health: make(map[string]event.Health), alerts: make(map[string]event.Alert), accepted: make(map[string]bool)}
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logFile.Close() })
	log := slog.New(slog.NewTextHandler(logFile, nil))
	p.cloud, err = localcloud.New(localcloud.Options{Dir: filepath.Join(dir, "cloud"), Logger: log, Lite: mode == localcore.Lite})
	if err == nil {
		err = p.cloud.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	end := func(closer func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := closer(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { end(p.cloud.Close) })
	p.root = filepath.Join(dir, "root")
	options := localcore.Options{
		Root: p.root, Stage: stage, Mode: mode, Logger: log, CredentialsURL: p.cloud.Endpoints().TokenExchange,
		MergeRestartDelay: 100 * time.Millisecond, StopTimeout: 20 * time.Second,
	}
	for _, f := range set {
		f(&options)
	}
	p.core, err = localcore.New(options)
	if err == nil {
		err = p.core.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.printLogs()
		}
	})
	t.Cleanup(func() { end(p.core.Close) })
	if p.key, err = envelope.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	p.observe(dir)
	return p
}

func (p *plant) printLogs() {
	files, _ := filepath.Glob(filepath.Join(p.root, "logs", "*.log"))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		p.t.Logf("%s:\n%s", filepath.Base(file), data[max(0, len(data)-1500):])
	}
}

// observe subscribes to everything; the subscription ends with the core.
func (p *plant) observe(dir string) {
	p.t.Helper()
	file := filepath.Join(dir, "observer.yaml")
	if err := os.WriteFile(file, []byte(observerRecipe), 0o600); err != nil {
		p.t.Fatal(err)
	}
	env, err := p.core.AddExternal("com.edgepdm.TestObserver", file)
	if err != nil {
		p.t.Fatal(err)
	}
	options, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		p.t.Fatal(err)
	}
	p.observer = options
	p.listen()
}

// listen subscribes once more, as after a crash of a daemon of the nucleus.
func (p *plant) listen() {
	p.t.Helper()
	options := p.observer
	options.Queue = 1 << 14
	client, err := ipc.Dial(p.t.Context(), options)
	if err != nil {
		p.t.Fatal(err)
	}
	messages, err := client.Subscribe(p.t.Context(), "pdm/v1/#", ipc.ReceiveAll)
	if err != nil {
		p.t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for m := range messages.Events() {
			p.see(m)
		}
	})
	p.t.Cleanup(func() {
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
	p.t.Helper()
	holds := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return condition()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("waited in vain until %s; health %+v, last prediction %+v", what, p.health, p.prediction)
		}
	}
}

// deploy deploys versions, and merges what update has for each component.
func (p *plant) deploy(versions map[string]string, update map[string]map[string]any) error {
	p.t.Helper()
	return p.carryOut(localcore.Deployment{Components: versions, ConfigurationUpdate: updates(update)})
}

// carryOut deploys within the test's patience.
func (p *plant) carryOut(d localcore.Deployment) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	return p.core.Deploy(ctx, d)
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
	cloud := p.cloud.Endpoints()
	keys := []any{base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))}
	update := map[string]map[string]any{
		event.AlarmManager:    {"raise": 0.000001, "silence": "0s", "uplinkDown": "0s", "republish": "1s"},
		event.InferenceEngine: {"publicKeys": keys},
		event.ModelFetcher: {
			"bucket": cloud.Bucket, "prefix": modelPrefix, "publicKeys": keys, "poll": "1s", "timeout": "2s",
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

// publishModel publishes the demo's second model as a signed version.
func (p *plant) publishModel(version string) {
	p.t.Helper()
	dir := filepath.Join(need.Root(p.t), "scripts", "demo", "second-model")
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, filepath.Join(dir, "model.ubj"))
	if err != nil {
		p.t.Fatal(err)
	}
	now := time.Now()
	manifest, err := envelope.BuildManifest(filepath.Join(dir, "model.ubj"), filepath.Join(dir, "golden.csv"), envelope.Build{
		Version: version, Created: now, Expires: now.Add(time.Hour), Archive: packed.Archive,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	sealed, err := envelope.Sign(manifest, p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	ends, keys := p.cloud.InternalEndpoints(), p.cloud.Credentials()
	client := s3.New(s3.Options{
		Region: ends.Region, BaseEndpoint: aws.String(ends.S3), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken),
	})
	for _, object := range []struct {
		key  string
		data []byte
	}{
		{modelPrefix + "/" + version + "/" + inbox.ArchiveFile, archive.Bytes()},
		{modelPrefix + "/" + envelope.EnvelopeFile, sealed},
	} {
		_, err := client.PutObject(p.t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(ends.Bucket), Key: aws.String(object.key), Body: bytes.NewReader(object.data),
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// pid is the process of a component.
func (p *plant) pid(name string) int {
	for _, c := range p.core.Components() {
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
