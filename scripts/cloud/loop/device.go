package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"edgepdm/scripts/demo/steps"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
)

// The machines of the core. Their times are those of a story of minutes instead of days, as in make demo ARGS=-drift.
const (
	things   = 12
	rate     = 12. // rows a second
	timeStep = 20 * time.Minute
	driftAt  = 30 * time.Second

	observerName   = "com.edgepdm.DemoObserver"
	observerRecipe = "scripts/demo/observer-recipe.yaml"
	observerQueue  = 1 << 16

	startTimeout  = time.Minute
	driftTimeout  = 90 * time.Second
	decideTimeout = 90 * time.Second
)

// device is the core on which the suite runs, and what it has told.
type device struct {
	core    *localcore.Core
	client  *ipc.Client
	watched chan struct{} // closed when the last message has been seen; nil: nobody watches
	changed chan struct{} // something was told

	mu         sync.Mutex
	drift      *event.Drift // the first that AWS IoT Core got
	comparison event.Comparison
	health     map[string]event.Health
	models     []event.ModelEvent
}

func newDevice() *device {
	return &device{changed: make(chan struct{}, 1), health: make(map[string]event.Health)}
}

// heard takes what the forwarder publishes in AWS IoT Core: it stands for the rule and the alarm that start the state machine.
func (d *device) heard(topic string, payload []byte) error {
	if !strings.Contains(topic, "/"+event.DriftTopic(line)) {
		return nil
	}
	told, err := event.DecodeDrift(payload)
	if err != nil {
		return err
	}
	d.mu.Lock()
	if d.drift == nil && told.State == event.DriftFound {
		d.drift = &told
	}
	d.mu.Unlock()
	d.tell()
	return nil
}

func (d *device) tell() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// watch takes what the components say on the core.
func (d *device) watch(messages *ipc.Subscription[ipc.TopicMessage]) {
	for m := range messages.Events() {
		d.mu.Lock()
		switch {
		case strings.HasPrefix(m.Topic, event.HealthTopic("")):
			if h, err := event.DecodeHealth(m.Payload); err == nil {
				d.health[h.Component] = h
			}
		case m.Topic == event.TopicComparison:
			if c, err := event.DecodeComparison(m.Payload); err == nil {
				d.comparison = c
			}
		case strings.HasPrefix(m.Topic, event.ModelTopic("")):
			if e, err := event.DecodeModelEvent(m.Payload); err == nil {
				d.models = append(d.models, e)
			}
		}
		d.mu.Unlock()
		d.tell()
	}
}

// await waits until something was told, and says what the components said last if it was not.
func (d *device) await(ctx context.Context, limit time.Duration, what string, told func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		d.mu.Lock()
		ok := told()
		d.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			d.mu.Lock()
			defer d.mu.Unlock()
			var last []string
			for _, e := range d.models {
				last = append(last, fmt.Sprintf("%s %s %s", e.Event, e.Version, e.Detail))
			}
			return fmt.Errorf("%s: not within %v; of models was told: %s; comparison %+v", what, limit, strings.Join(last, ", "), d.comparison)
		case <-d.changed:
		}
	}
}

// active is the version of the model that the engine scores with.
func (d *device) active() string {
	if m := d.health[event.InferenceEngine].Model; m != nil {
		return m.Version
	}
	return ""
}

func (d *device) close(ctx context.Context) error {
	if d.core == nil {
		return nil
	}
	var errs []error
	if d.client != nil {
		errs = append(errs, d.client.Close())
	}
	if d.watched != nil {
		<-d.watched
	}
	return errors.Join(append(errs, d.core.Close(ctx))...)
}

// startDevice builds the suite and runs it on an embedded core, without machines.
func (l *loop) startDevice(ctx context.Context) (string, error) {
	stage := filepath.Join(l.work, "stage")
	b := steps.New(l.out, 2, 1)
	if err := b.Build(ctx, "the components", nil, []string{"./components/...", "./scripts/stage"}); err != nil {
		return "", err
	}
	if err := b.Run(ctx, "the staged tree", "go", "run", "-trimpath", "-buildvcs=false", "./scripts/stage", "-arch", "host", "-out", stage); err != nil {
		return "", err
	}
	d, cloud := l.device, l.cloud.Endpoints()
	var err error
	d.core, err = localcore.New(localcore.Options{Root: filepath.Join(l.work, "core"), Stage: stage, CredentialsURL: cloud.TokenExchange})
	if err != nil {
		return "", err
	}
	if err := d.core.Start(ctx); err != nil {
		return "", err
	}
	if d.client, err = d.core.Dial(ctx, observerName, filepath.Join(l.root, observerRecipe), observerQueue); err != nil {
		return "", err
	}
	messages, err := d.client.Subscribe(ctx, "pdm/v1/#", ipc.ReceiveAll)
	if err != nil {
		return "", err
	}
	d.watched = make(chan struct{})
	go func() {
		defer close(d.watched)
		d.watch(messages)
	}()
	versions, err := localcore.Staged(stage)
	if err != nil {
		return "", err
	}
	for _, other := range []string{event.Ingest, event.OperatorConsole, event.SensorSimulator} {
		delete(versions, other)
	}
	keys := []any{base64.StdEncoding.EncodeToString(l.key.Public().(ed25519.PublicKey))}
	update := make(map[string]any)
	for name, merge := range map[string]map[string]any{
		event.InferenceEngine: {
			"publicKeys": keys,
			"drift":      map[string]any{"every": "40ms", "learn": "10s"},
			// The active model calls three of four rows faulty where machines have drifted so: who replaces it must be allowed to disagree.
			"candidate": map[string]any{"rows": 600, "time": "3s", "report": "1s", "agreement": 0.1, "psi": 20, "faultRatio": 100, "latency": 10},
		},
		event.ModelFetcher: {"bucket": cloud.Bucket, "prefix": prefix, "publicKeys": keys, "poll": "1s", "timeout": "2s", "endpoints": map[string]any{"s3": cloud.S3}},
		event.AlarmManager: {"voice": map[string]any{"enabled": false}},
		event.CloudForwarder: {
			"alertTopicArn": cloud.TopicARN, "retryMax": "1s", "timeout": "2s",
			"endpoints": map[string]any{"iotData": cloud.IoTData, "sns": cloud.SNS, "caFile": cloud.CAFile},
		},
	} {
		merge["healthInterval"] = "1s"
		update[name] = map[string]any{"merge": merge}
	}
	within, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.core.Deploy(within, localcore.Deployment{Components: maps.Clone(versions), ConfigurationUpdate: update}); err != nil {
		return "", err
	}
	err = d.await(ctx, startTimeout, "the engine takes the active model", func() bool {
		for _, name := range []string{event.CloudForwarder, event.AlarmManager, event.InferenceEngine} {
			if d.health[name].State != event.StateOK {
				return false
			}
		}
		return d.active() == l.report.Active.Version
	})
	return "the engine scores with " + l.report.Active.Version, err
}

// awaitDrift lets the machines run on the core, and waits until AWS IoT Core is told of drift.
func (l *loop) awaitDrift(ctx context.Context) (string, error) {
	d := l.device
	drifts, err := simulatedDrifts(l.options.drift)
	if err != nil {
		return "", err
	}
	versions, err := localcore.Staged(filepath.Join(l.work, "stage"))
	if err != nil {
		return "", err
	}
	plant := map[string]any{"things": things, "rate": rate, "seed": l.options.seed, "lines": 1, "timeScale": timeStep.Seconds() * rate, "drifts": drifts}
	within, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	begun := time.Now()
	err = d.core.Deploy(within, localcore.Deployment{
		Components:          map[string]string{event.SensorSimulator: versions[event.SensorSimulator]},
		ConfigurationUpdate: map[string]any{event.SensorSimulator: map[string]any{"merge": plant}},
	})
	if err != nil {
		return "", err
	}
	if err := d.await(ctx, driftAt+driftTimeout, "drift is found", func() bool { return d.drift != nil }); err != nil {
		return "", err
	}
	if early := time.Since(begun); early < driftAt {
		return "", fmt.Errorf("drift was found after %v, and the machines drift after %v", early.Round(time.Second), driftAt)
	}
	l.report.Drift = d.drift
	var names []string
	for _, f := range d.drift.Found[:min(3, len(d.drift.Found))] {
		names = append(names, strings.TrimSpace(string(f.Kind)+" "+f.Sensor))
	}
	return fmt.Sprintf("%s is not as usual: %s", d.drift.Line, strings.Join(names, ", ")), nil
}

// simulatedDrifts are drifts as generate has them, as the simulator's configuration has them.
func simulatedDrifts(names string) ([]any, error) {
	var drifts []any
	for name := range strings.SplitSeq(names, ",") {
		name, size, sized := strings.Cut(name, "=")
		name, sensor, _ := strings.Cut(name, ":")
		drift := map[string]any{"drift": name, "sensor": sensor, "line": line, "after": driftAt.String()}
		if sized {
			value, err := strconv.ParseFloat(size, 64)
			if err != nil {
				return nil, fmt.Errorf("-drift: %w", err)
			}
			drift["size"] = value
		}
		drifts = append(drifts, drift)
	}
	return drifts, nil
}

// deviceReport is what the device did with the candidate.
type deviceReport struct {
	Candidate string         `json:"candidate"`
	Rows      uint64         `json:"rows"` // that both models scored
	Agreement float64        `json:"agreement"`
	Decision  event.Decision `json:"decision"`
	Active    string         `json:"active"` // version after
}

// awaitPromotion waits until the device has decided about the candidate. Only a promoted one is a success.
func (l *loop) awaitPromotion(ctx context.Context) (string, error) {
	if l.report.Candidate == nil {
		return "", fmt.Errorf("no candidate was published: %s", l.report.Outcome.text())
	}
	d, version := l.device, l.report.Candidate.Version
	err := d.await(ctx, decideTimeout, "the engine promotes "+version, func() bool {
		c := d.comparison
		return c.Candidate.Version == version && c.Decision == event.DecisionReject || c.Decision == event.DecisionPromote && d.active() == version
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.comparison
	l.report.Device = &deviceReport{Candidate: version, Rows: c.Rows, Agreement: c.Agreement, Decision: c.Decision, Active: d.active()}
	if err == nil && d.active() != version {
		err = fmt.Errorf("the device refused %s: %+v", version, c.Rules)
	}
	return fmt.Sprintf("%s: %s after %d rows, agreement %.3f; the engine scores with %s", version, c.Decision, c.Rows, c.Agreement, d.active()), err
}

// stopDevice ends the core, and removes what was built for it.
func (l *loop) stopDevice(ctx context.Context) error {
	if l.device == nil {
		return nil
	}
	err := l.device.close(ctx)
	return errors.Join(err, os.RemoveAll(filepath.Join(l.work, "stage")))
}
