package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
)

const (
	engineName    = "com.edgepdm.InferenceEngine"
	simulatorName = "com.edgepdm.SensorSimulator"
	observerName  = "com.edgepdm.DemoObserver"
)

const (
	startTimeout  = 30 * time.Second
	settleTimeout = 5 * time.Second
	stopTimeout   = 20 * time.Second
	refresh       = 500 * time.Millisecond
	// observerQueue is how many messages the observer may be behind before it would lose some.
	observerQueue = 1 << 16
)

//go:embed observer-recipe.yaml
var observerRecipe []byte

// demo is a run of the demo.
type demo struct {
	options  options
	core     *localcore.Core
	client   *ipc.Client // the observer's
	messages *ipc.Subscription[ipc.TopicMessage]
	observer *observer
	watched  chan struct{} // closed when the observer has seen the last message
	out      io.Writer
}

// run runs the demo and returns an error when a published row was neither scored nor counted.
func run(ctx context.Context, o options, out io.Writer, live bool) (err error) {
	d := &demo{options: o, observer: newObserver(), watched: make(chan struct{}), out: out}
	if err := d.start(ctx); err != nil {
		return err
	}
	closed := false
	closeCore := func() error {
		if closed {
			return nil
		}
		closed = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return d.core.Close(ctx)
	}
	defer func() { err = errors.Join(err, closeCore()) }()

	if err := d.deploy(ctx); err != nil {
		return err
	}
	d.show(ctx, live)

	components, err := d.drain(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if err := closeCore(); err != nil {
		return err
	}
	r := makeReport(d.observer, components)
	d.summarise(r)
	if o.report != "" {
		if err := r.write(o.report); err != nil {
			return err
		}
	}
	if a := d.observer.balance(); !a.settled() {
		return fmt.Errorf("%d rows were neither scored nor counted: %d published, %d scored, %d invalid, %d missed",
			a.unscored-a.missed, a.published, a.predictions, a.invalid, a.missed)
	}
	return nil
}

// start starts the core and the observer, before any component.
func (d *demo) start(ctx context.Context) error {
	if err := emptyRoot(d.options.root); err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(d.options.root, "localcore.log"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	recipe := filepath.Join(d.options.root, "observer-recipe.yaml")
	if err := os.WriteFile(recipe, observerRecipe, 0o644); err != nil {
		return fmt.Errorf("write observer's recipe: %w", err)
	}
	d.core, err = localcore.New(localcore.Options{
		Root: d.options.root, Stage: d.options.stage, Logger: slog.New(slog.NewTextHandler(logFile, nil)),
	})
	if err != nil {
		return err
	}
	if err := d.core.Start(ctx); err != nil {
		return err
	}
	env, err := d.core.AddExternal(observerName, recipe)
	if err != nil {
		return err
	}
	options, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		return err
	}
	options.Queue = observerQueue
	if d.client, err = ipc.Dial(ctx, options); err != nil {
		return err
	}
	if d.messages, err = d.client.SubscribeToTopic(ctx, "pdm/v1/#", ipc.ReceiveAll); err != nil {
		return err
	}
	go func() {
		defer close(d.watched)
		d.observer.watch(d.messages)
	}()
	return nil
}

// rootMark is a file by which the demo knows a folder as its own, and may empty it.
const rootMark = ".edgepdm-demo"

func emptyRoot(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read -root: %w", err)
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(root, rootMark)); err != nil {
			return fmt.Errorf("-root: %s is not empty and not of an earlier demo", root)
		}
		if err := os.RemoveAll(root); err != nil {
			return fmt.Errorf("empty -root: %w", err)
		}
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make -root: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, rootMark), nil, 0o644); err != nil {
		return fmt.Errorf("mark -root: %w", err)
	}
	return nil
}

// deploy deploys the staged components, with the demo's configuration merged in.
func (d *demo) deploy(ctx context.Context) error {
	versions, err := localcore.Staged(d.options.stage)
	if err != nil {
		return err
	}
	simulator := map[string]any{
		"things": d.options.things, "rate": d.options.rate, "seed": d.options.seed, "healthInterval": "1s",
	}
	if d.options.input != "" {
		simulator["input"] = d.options.input
	} else {
		simulator["faults"] = faultPlan(d.options.things)
		simulator["meanTimeBF"] = "12h"
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return d.core.Deploy(ctx, localcore.Deployment{
		Components: versions,
		ConfigurationUpdate: map[string]any{
			engineName:    map[string]any{"merge": map[string]any{"model": d.options.model, "healthInterval": "1s"}},
			simulatorName: map[string]any{"merge": simulator},
		},
	})
}

// faultPlan makes something happen within the first minute.
func faultPlan(things int) []any {
	var plan []any
	for _, f := range []struct {
		machine             int
		name, after, length string
	}{
		{2, "bearing-wear", "8s", "25s"},
		{3, "sensor-dropout", "15s", "15s"},
		{1, "overheating", "40s", "25s"},
		{3, "air-leak", "70s", "30s"},
	} {
		if f.machine <= things {
			plan = append(plan, map[string]any{
				"thing": fmt.Sprintf("compressor-%d", f.machine), "fault": f.name, "after": f.after, "for": f.length, "grow": "6s",
			})
		}
	}
	return plan
}

// show lets the plant run until the time is over or the user ends it.
func (d *demo) show(ctx context.Context, live bool) {
	if d.options.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.options.duration)
		defer cancel()
	}
	if !live {
		fmt.Fprintf(d.out, "running %v; logs are in %s/logs\n", orForever(d.options.duration), d.options.root)
		<-ctx.Done()
		return
	}
	v := newView(d, d.out)
	v.open()
	defer v.close()
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		v.draw()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func orForever(d time.Duration) string {
	if d == 0 {
		return "until Ctrl-C"
	}
	return d.String()
}

// drain stops the plant, lets the engine finish, and returns the components' figures once nothing is under way.
func (d *demo) drain(ctx context.Context) ([]localcore.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := d.core.StopComponent(ctx, simulatorName); err != nil {
		return nil, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(settleTimeout); d.observer.balance().unscored > 0 && time.Now().Before(deadline); {
		<-ticker.C
	}
	components := d.core.Components() // while the engine lives, for its memory
	if err := d.core.StopComponent(ctx, engineName); err != nil {
		return nil, err
	}
	// The engine's last words are before the answer to this on the connection: then the observer has seen all.
	if _, err := d.client.ComponentConfiguration(ctx, engineName); err != nil {
		return nil, fmt.Errorf("wait for the last messages: %w", err)
	}
	if err := d.messages.Close(); err != nil {
		return nil, err
	}
	<-d.watched
	if n := d.messages.Dropped(); n > 0 {
		return nil, fmt.Errorf("the observer was too slow and lost %d messages: the account is void", n)
	}
	return components, d.client.Close()
}
