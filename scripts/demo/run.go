package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
)

const (
	observerName = "com.edgepdm.DemoObserver"
	mailFile     = "mail.txt"
)

const (
	startTimeout   = time.Minute
	lifeTimeout    = 15 * time.Second // until there is a life model; what is missing then shows in the report
	settleTimeout  = 5 * time.Second
	deliverTimeout = 45 * time.Second
	stopTimeout    = 90 * time.Second
	refresh        = 500 * time.Millisecond
	poll           = 20 * time.Millisecond
	// observerQueue is how many messages the observer may be behind before it would lose some.
	observerQueue = 1 << 16
	// flushTime is longer than the forwarder needs to put a prediction on disk and say so.
	flushTime = time.Second
)

//go:embed observer-recipe.yaml
var observerRecipe []byte

// demo is a run of the demo.
type demo struct {
	options   options
	lock      io.Closer // of the root
	core      *localcore.Core
	cloud     *localcloud.Cloud
	publisher *publisher
	client    *ipc.Client // the observer's
	messages  *ipc.Subscription[ipc.TopicMessage]
	observer  *observer
	watched   chan struct{} // closed when the observer has seen the last message
	out       io.Writer
	up        atomic.Bool       // the uplink
	ran       time.Duration     // from the plant's start to its end
	saved     map[string]string // sound files by their key in the cloud
	newest    string            // sound file
	page      string            // address of the console; empty: there is none
	devices   []*exec.Cmd       // machines that are client devices

	live bool
	note atomic.Pointer[string] // what the demo did last, for the view
}

// run runs the demo and returns an error when a row was neither scored nor counted, or a message was lost.
func run(ctx context.Context, o options, out io.Writer, live bool) (err error) {
	d := &demo{options: o, observer: newObserver(), watched: make(chan struct{}), out: out, live: live, saved: make(map[string]string)}
	defer func() { err = errors.Join(err, d.close(context.WithoutCancel(ctx))) }()
	if d.lock, err = takeRoot(o.root); err != nil {
		return err
	}
	if o.build {
		if err := d.build(ctx); err != nil {
			return err
		}
	}
	if err := d.openConsole(ctx); err != nil {
		return err
	}
	d.print("starting the embedded cloud and core")
	if err := d.start(ctx); err != nil {
		return err
	}
	d.print("deploying the components")
	if err := d.deploy(ctx); err != nil {
		return err
	}
	if err := d.show(ctx); err != nil {
		return err
	}
	components, err := d.drain(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	audio, err := d.saveAudio()
	if err := errors.Join(err, d.saveMails()); err != nil {
		return err
	}
	r := makeReport(d.observer, components, d.cloud.Journal())
	r.Asked = d.asked()
	d.summarise(r, audio)
	for _, c := range components {
		if c.State == localcore.StateBroken {
			d.print("%s is BROKEN: it failed three times within an hour, and the nucleus gave it up", c.Name)
		}
	}
	if o.report != "" {
		if err := r.write(o.report); err != nil {
			return err
		}
	}
	return d.judge(r, ctx.Err() != nil)
}

// close ends what was started, the cloud last.
func (d *demo) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	errs := []error{d.stopDevices()}
	if d.client != nil {
		errs = append(errs, d.client.Close())
	}
	if d.core != nil {
		errs = append(errs, d.core.Close(ctx))
	}
	if d.cloud != nil {
		errs = append(errs, d.cloud.Close(ctx))
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// start starts the cloud, the core and the observer, before any component.
func (d *demo) start(ctx context.Context) error {
	logFile, err := os.Create(filepath.Join(d.options.root, "demo.log"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	log := slog.New(slog.NewTextHandler(logFile, nil))
	recipe := filepath.Join(d.options.root, "observer-recipe.yaml")
	if err := os.WriteFile(recipe, observerRecipe, 0o644); err != nil {
		return fmt.Errorf("write observer's recipe: %w", err)
	}
	if err := d.startCloud(ctx, log); err != nil {
		return err
	}
	d.up.Store(true)
	if d.publisher, err = newPublisher(d); err != nil {
		return err
	}
	d.core, err = localcore.New(localcore.Options{
		Root: d.options.root, Stage: d.options.stage, Mode: d.options.nucleus(), Logger: log, CredentialsURL: d.cloud.Endpoints().TokenExchange,
	})
	if err != nil {
		return err
	}
	if err := d.core.Start(ctx); err != nil {
		return err
	}
	if d.client, err = d.core.Dial(ctx, observerName, recipe, observerQueue); err != nil {
		return err
	}
	if d.messages, err = d.client.Subscribe(ctx, "pdm/v1/#", ipc.ReceiveAll); err != nil {
		return err
	}
	if d.options.drift {
		d.observer.drift.from = d.options.driftsFrom()
	}
	go func() {
		defer close(d.watched)
		d.observer.watch(d.messages)
	}()
	return nil
}

// deploy deploys the staged components, with the demo's configuration merged in.
func (d *demo) deploy(ctx context.Context) error {
	versions, err := localcore.Staged(d.options.stage)
	if err != nil {
		return err
	}
	delete(versions, event.Ingest) // it reads the plants of others
	if d.page == "" {
		delete(versions, event.OperatorConsole)
	}
	lifePrefix := ""
	if d.tellsLife() {
		lifePrefix = lifeModel.prefix
		if err := d.publisher.publish(ctx, lifeModel, "1.0.0", nil, nil); err != nil {
			return err
		}
	}
	cloud := d.cloud.Endpoints()
	forwarder := map[string]any{
		"alertTopicArn": cloud.TopicARN, "sample": "0s", "retryMax": "1s", "timeout": "2s",
		"endpoints": map[string]any{"iotData": cloud.IoTData, "sns": cloud.SNS, "caFile": cloud.CAFile},
	}
	keys := []any{d.publisher.publicKey()}
	voice, err := d.floor()
	if err != nil {
		return err
	}
	update, merges := make(map[string]any), map[string]map[string]any{
		event.InferenceEngine: d.options.engine(keys),
		event.ModelFetcher: {
			"bucket": cloud.Bucket, "prefix": secondModel.prefix, "lifePrefix": lifePrefix, "publicKeys": keys, "poll": "1s", "timeout": "2s",
			"endpoints": map[string]any{"s3": cloud.S3},
		},
		event.AlarmManager:    {"silence": "20s", "uplinkDown": "10s", "republish": "1s", "voice": voice, "languages": strings.Split(d.options.languages, ",")},
		event.SensorSimulator: d.options.plant(d.options.length()), event.CloudForwarder: forwarder,
	}
	if err := d.consoleConfig(merges); err != nil {
		return err
	}
	for name, merge := range merges {
		merge["healthInterval"] = "500ms"
		update[name] = map[string]any{"merge": merge}
	}
	// The plant comes last: what it publishes before the suite listens would be lost on the way.
	suite, plant := maps.Clone(versions), map[string]string{event.SensorSimulator: versions[event.SensorSimulator]}
	delete(suite, event.SensorSimulator)
	plantUpdate := map[string]any{event.SensorSimulator: update[event.SensorSimulator]}
	delete(update, event.SensorSimulator)
	within, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := d.core.Deploy(within, localcore.Deployment{Components: suite, ConfigurationUpdate: update}); err != nil {
		return err
	}
	for _, name := range []string{event.CloudForwarder, event.AlarmManager, event.InferenceEngine} {
		if err := d.awaitHealth(ctx, name); err != nil {
			return err
		}
	}
	if d.tellsLife() {
		d.until(lifeTimeout, func() bool {
			h, _ := d.observer.health(event.InferenceEngine)
			return ctx.Err() != nil || h.LifeModel != nil
		})
	}
	if d.options.devices {
		return d.startDevices(ctx, plant[event.SensorSimulator])
	}
	tree := filepath.Join(d.options.root, "plant")
	if err := treeOf(d.options.stage, event.SensorSimulator, plant[event.SensorSimulator], tree); err != nil {
		return err
	}
	within, cancel = context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return d.core.Deploy(within, localcore.Deployment{Components: plant, ConfigurationUpdate: plantUpdate, Stage: tree})
}

// floor is the alarm manager's configuration of its voice. Its loudspeaker is a folder of sound files; without espeak-ng it is silent.
func (d *demo) floor() (map[string]any, error) {
	dir, err := d.soundDir()
	if err != nil {
		return nil, err
	}
	_, missing := exec.LookPath("espeak-ng")
	return map[string]any{"enabled": missing == nil, "player": []any{"cp", "--backup=numbered", "-t", dir}, "repeat": "10s", "rtp": map[string]any{"address": d.options.rtp}}, nil
}

// soundDir is the folder of what is spoken on the floor.
func (d *demo) soundDir() (string, error) {
	dir, err := filepath.Abs(filepath.Join(d.options.root, "floor"))
	if err == nil {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil {
		return "", fmt.Errorf("make the folder of what is spoken on the floor: %w", err)
	}
	return dir, nil
}

// awaitHealth waits until a component says that it works.
func (d *demo) awaitHealth(ctx context.Context, name string) error {
	var h event.Health
	d.until(startTimeout, func() bool {
		h, _ = d.observer.health(name)
		return ctx.Err() != nil || h.State == event.StateOK
	})
	if h.State == event.StateOK || ctx.Err() != nil {
		return ctx.Err()
	}
	if h.Component == "" {
		return fmt.Errorf("%s said nothing within %v: see %s/logs", name, startTimeout, d.options.root)
	}
	return fmt.Errorf("%s does not work: %s: %s", name, h.State, h.Detail)
}

// show lets the plant run, and the story happen, until the time is over or the user ends it.
func (d *demo) show(ctx context.Context) error {
	begun := time.Now()
	defer func() { d.ran = time.Since(begun) }()
	if d.options.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.options.duration)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		d.tell(ctx, d.acts(d.options.length()))
	}()
	proved := make(chan struct{})
	go func() {
		defer close(proved)
		if d.options.drift {
			d.proveModels(ctx)
		}
	}()
	ordered := make(chan struct{})
	go func() {
		defer close(ordered)
		d.takeOrders(ctx)
	}()
	defer func() {
		cancel()
		<-ordered
		<-told
		<-proved
	}()
	if !d.live {
		length := "until Ctrl-C"
		if d.options.duration > 0 {
			length = d.options.duration.String()
		}
		d.print("running %s; logs are in %s/logs", length, d.options.root)
		<-ctx.Done()
		return nil
	}
	v := newView(d, d.out)
	v.open()
	defer v.close()
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		if err := v.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// did notes what the demo did, and prints it where there is no live view.
func (d *demo) did(what string, err error) {
	if err != nil {
		what += " failed: " + err.Error()
	}
	d.note.Store(&what)
	if !d.live {
		d.print("%s", what)
	}
}

func (d *demo) print(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// drain stops the plant from the front to the back, so that everything under way arrives, and returns the components'
// figures.
func (d *demo) drain(ctx context.Context) ([]localcore.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := d.setUplink(true); err != nil {
		return nil, err
	}
	if d.options.devices {
		if err := d.stopDevices(); err != nil {
			return nil, err
		}
	} else if err := d.core.StopComponent(ctx, event.SensorSimulator); err != nil {
		return nil, err
	}
	d.until(settleTimeout, func() bool { return d.observer.balance().unscored == 0 })
	for _, name := range []string{event.ModelFetcher, event.InferenceEngine, event.AlarmManager} {
		if name == event.AlarmManager { // whose alerts must be taken by the forwarder first
			d.until(deliverTimeout, func() bool {
				h, _ := d.observer.health(event.AlarmManager)
				return h.Counters[event.CounterAlertPending] == 0
			})
		}
		if err := d.core.StopComponent(ctx, name); err != nil {
			return nil, err
		}
	}
	// What the forwarder received last is on disk, and acknowledged, after flushTime.
	flushed := time.Now().Add(flushTime)
	d.until(deliverTimeout, func() bool {
		h, _ := d.observer.health(event.CloudForwarder)
		delivery := d.observer.delivery(d.cloud.Journal())
		return h.TS.After(flushed) && h.Drained() && delivery.lost == 0 &&
			(delivery.unaccepted == 0 || time.Since(flushed) > settleTimeout) && (delivery.alerts == 0 || delivery.audio > 0)
	})
	components := d.core.Components()
	if err := d.core.StopComponent(ctx, event.CloudForwarder); err != nil {
		return nil, err
	}
	// The components' last words are before the answer to this on the connection: then the observer has seen all.
	if _, err := d.client.ComponentConfiguration(ctx, event.InferenceEngine); err != nil {
		return nil, fmt.Errorf("wait for the last messages: %w", err)
	}
	if err := d.messages.Close(); err != nil {
		return nil, err
	}
	<-d.watched
	if n := d.messages.Dropped(); n > 0 {
		return nil, fmt.Errorf("the observer was too slow and lost %d messages: the account is void", n)
	}
	return components, nil
}

// until waits until the condition holds, or the time is over: what is missing then shows in the report.
func (d *demo) until(timeout time.Duration, condition func() bool) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for deadline := time.Now().Add(timeout); !condition() && time.Now().Before(deadline); {
		<-ticker.C
	}
}
