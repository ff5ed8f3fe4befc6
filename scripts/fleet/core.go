package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"edgepdm/scripts/demo/steps"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
)

const (
	driverName   = "com.edgepdm.Fleet"
	startTimeout = 3 * time.Minute
	settleTime   = time.Minute // until what was published has gone its way
	stopTimeout  = time.Minute
	queue        = 1 << 16 // messages that the driver may be behind
	poll         = 100 * time.Millisecond
)

//go:embed driver-recipe.yaml
var driverRecipe []byte

// suite is what runs, by the order in the report.
var suite = []string{event.InferenceEngine, event.AlarmManager, event.CloudForwarder, event.ModelFetcher, event.OperatorConsole}

// site is one core with the suite, and the machines that publish there.
type site struct {
	options options
	out     io.Writer
	cloud   *localcloud.Cloud
	core    *localcore.Core
	client  *ipc.Client
	console string // address of the page
	watcher *watcher
	message *ipc.Subscription[ipc.TopicMessage]
	watched chan struct{}
}

// measureCore lets ten thousand machines publish on one core.
func (r *report) measureCore(ctx context.Context, o options, out io.Writer) (err error) {
	s := &site{options: o, out: out, watcher: newWatcher(), watched: make(chan struct{})}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	say(out, "%d simulated machines are brought to their working temperature", min(models, o.things))
	m := newMachines(o, s.client)
	before := s.core.Components()
	say(out, "%d machines publish a row each %v on a %s core, %v long; logs are in %s/logs", o.things, o.every, o.mode, o.length, o.root)
	if err := m.run(ctx); err != nil {
		return err
	}
	took := time.Since(m.first)
	after := s.core.Components()
	s.settle(ctx, m)
	shown, failed := s.shown(ctx)
	r.Core = s.report(m, before, after, took, shown)
	r.Core.print(out)
	return errors.Join(failed, r.Core.judge())
}

func (s *site) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var errs []error
	if s.client != nil {
		errs = append(errs, s.client.Close())
		if s.message != nil {
			<-s.watched
		}
	}
	if s.core != nil {
		errs = append(errs, s.core.Close(ctx))
	}
	if s.cloud != nil {
		errs = append(errs, s.cloud.Close(ctx))
	}
	return errors.Join(errs...)
}

// open builds, starts and deploys, and waits until the suite works.
func (s *site) open(ctx context.Context) error {
	root := s.options.root
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("empty -root: %w", err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("make -root: %w", err)
	}
	stage := filepath.Join(root, "stage")
	b := steps.New(s.out, 2, 1)
	if err := b.Build(ctx, "the components", nil, []string{"./components/...", "./scripts/stage"}); err != nil {
		return err
	}
	if err := b.Run(ctx, "the staged tree", "go", "run", "-trimpath", "-buildvcs=false", "./scripts/stage", "-arch", "host", "-out", stage); err != nil {
		return err
	}
	if err := s.start(ctx, stage); err != nil {
		return err
	}
	return s.deploy(ctx, stage)
}

// start starts the cloud, the core and the driver's connection.
func (s *site) start(ctx context.Context, stage string) error {
	root := s.options.root
	file, err := os.Create(filepath.Join(root, "fleet.log"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	log := slog.New(slog.NewTextHandler(file, nil))
	s.cloud, err = localcloud.New(localcloud.Options{
		Dir: filepath.Join(root, "cloud"), Logger: log, Lite: s.options.nucleus() == localcore.Lite,
		Publish:     func(string, []byte) error { return nil },
		AcceptToken: func(token string) bool { return s.core.KnowsToken(token) },
	})
	if err != nil {
		return err
	}
	if err := s.cloud.Start(ctx); err != nil {
		return err
	}
	s.core, err = localcore.New(localcore.Options{
		Root: root, Stage: stage, Mode: s.options.nucleus(), Logger: log, CredentialsURL: s.cloud.Endpoints().TokenExchange,
	})
	if err != nil {
		return err
	}
	if err := s.core.Start(ctx); err != nil {
		return err
	}
	recipe := filepath.Join(root, "driver-recipe.yaml")
	if err := os.WriteFile(recipe, driverRecipe, 0o644); err != nil {
		return fmt.Errorf("write recipe: %w", err)
	}
	if s.client, err = s.core.Dial(ctx, driverName, recipe, queue); err != nil {
		return err
	}
	if s.message, err = s.client.Subscribe(ctx, "pdm/v1/#", ipc.ReceiveFromOthers); err != nil {
		return err
	}
	go func() {
		defer close(s.watched)
		s.watcher.watch(s.message)
	}()
	return nil
}

// deploy deploys the suite with its defaults, but for what ten thousand machines take.
func (s *site) deploy(ctx context.Context, stage string) error {
	versions, err := localcore.Staged(stage)
	if err != nil {
		return err
	}
	components := make(map[string]string)
	for _, name := range suite {
		components[name] = versions[name]
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("choose the console's port: %w", err)
	}
	s.console = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("choose the console's port: %w", err)
	}
	cloud := s.cloud.Endpoints()
	merges := map[string]map[string]any{
		event.InferenceEngine: {"maxThings": s.options.things},
		event.AlarmManager:    {"maxThings": s.options.things, "silence": max(30*time.Second, 3*s.options.every).String()},
		event.CloudForwarder: {
			"alertTopicArn": cloud.TopicARN, "parallel": 16,
			"endpoints": map[string]any{"iotData": cloud.IoTData, "sns": cloud.SNS, "caFile": cloud.CAFile},
		},
		event.ModelFetcher: {
			"bucket": cloud.Bucket, "allowUnsigned": true, "endpoints": map[string]any{"s3": cloud.S3},
		},
		event.OperatorConsole: {"maxThings": s.options.things, "address": s.console, "trends": map[string]any{"bytes": trendBytes}},
	}
	update := make(map[string]any)
	for name, merge := range merges {
		update[name] = map[string]any{"merge": merge}
	}
	within, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.core.Deploy(within, localcore.Deployment{Components: components, ConfigurationUpdate: update}); err != nil {
		return err
	}
	if !s.until(ctx, startTimeout, func() bool { return s.watcher.ok(suite...) }) {
		for _, name := range suite {
			h := s.watcher.of(name)
			say(s.out, "%s: %s %s", name, h.State, h.Detail)
		}
		return fmt.Errorf("the suite does not work within %v: see %s/logs", startTimeout, s.options.root)
	}
	return nil
}

// trendBytes is room for the trends of ten thousand machines.
const trendBytes = 2 << 30

// until waits until the condition holds, and reports whether it does.
func (s *site) until(ctx context.Context, limit time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); !condition(); {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		<-ticker.C
	}
	return true
}

// settle waits until all that was published has gone its way; what has not then shows in the report.
func (s *site) settle(ctx context.Context, m *machines) {
	s.until(ctx, settleTime, func() bool {
		predictions, waiting := s.watcher.seen()
		a := s.account(m)
		return waiting == 0 && a.forwarderDrained && predictions >= m.published && a.missing() == 0
	})
}
