package component_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

const name = "com.edgepdm.SensorSimulator" // any component with a recipe

type config struct {
	Things int `json:"things"`
}

func (c config) Validate() error {
	if c.Things > 100 {
		return fmt.Errorf("things: %d is above 100", c.Things)
	}
	return nil
}

// start runs a component whose Run is work, and returns a function that stops it and gives its error.
func start(t *testing.T, env component.Environment, work func(context.Context, *component.Runtime, config) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- component.Run(ctx, component.Spec[config]{
			Name: name, Version: "1.2.3", Default: func() config { return config{Things: -1} }, Run: work,
		}, env)
	}()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// idle is work that only tells that it is entered.
func idle(entered chan<- int) func(context.Context, *component.Runtime, config) error {
	return func(ctx context.Context, _ *component.Runtime, c config) error {
		entered <- c.Things
		<-ctx.Done()
		return ctx.Err()
	}
}

func badConfig(h event.Health) bool { return h.State == event.StateBadConfig }

// onLite is a core that applies a configuration without asking the component first.
func onLite(o *localcore.Options) { o.Mode = localcore.Lite }

func TestRunIsEnteredAgainWhenTheConfigurationChanges(t *testing.T) {
	core := coretest.Start(t, onLite)
	log := new(coretest.Lines)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.NewTextHandler(log, nil)))
	health := coretest.HealthOf(t, coretest.Client(t, core), name)
	entered := make(chan int, 10)
	stop := start(t, env, idle(entered))
	if got := <-entered; got != 3 { // the recipe's default
		t.Errorf("entered with %d", got)
	}
	coretest.Configure(t, core, name, map[string]any{"things": 5})
	if got := <-entered; got != 5 {
		t.Errorf("entered with %d after the change", got)
	}
	// A bad configuration is refused: the work goes on, the health message says why.
	coretest.Configure(t, core, name, map[string]any{"things": 500})
	h := health.Await("a bad configuration", badConfig)
	if !strings.Contains(h.Detail, "things: 500 is above 100") || h.Version != "1.2.3" {
		t.Errorf("health %+v", h)
	}
	// The next good one is taken.
	coretest.Configure(t, core, name, map[string]any{"things": 7})
	if got := <-entered; got != 7 {
		t.Errorf("entered with %d after the bad one", got)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if !strings.Contains(log.String(), "the new configuration is refused") {
		t.Errorf("log %s", log)
	}
	// Started again with a bad configuration, the last good one is in force.
	coretest.Configure(t, core, name, map[string]any{"things": 800})
	stop = start(t, env, idle(entered))
	if got := <-entered; got != 7 {
		t.Errorf("entered with %d, want the last good 7", got)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	// Where that is damaged, it is not in force, and the health message says why nothing is.
	must.OK(t, os.WriteFile(filepath.Join(env.WorkDir, "last-good-configuration.json"), []byte(`{"format":1,"configuration":{"things":9},"sum":"00000000"}`), 0o600))
	stop = start(t, env, idle(entered))
	health.Await("a damaged last good configuration", func(h event.Health) bool {
		return badConfig(h) && strings.Contains(h.Detail, "the last good configuration is damaged")
	})
	if len(entered) != 0 {
		t.Errorf("entered with %d", <-entered)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// A classic nucleus asks before it deploys: a bad configuration fails the deployment, and the component hears nothing of it.
func TestADeploymentOfABadConfigurationIsRejected(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	entered := make(chan int, 10)
	start(t, env, idle(entered))
	<-entered
	for _, things := range []any{500, "many"} {
		err := core.Deploy(t.Context(), localcore.Deployment{ConfigurationUpdate: map[string]any{
			name: map[string]any{"merge": map[string]any{"things": things}}}})
		if err == nil || !strings.Contains(err.Error(), "name = "+name) || !strings.Contains(err.Error(), "things") {
			t.Errorf("things %v: %v", things, err)
		}
	}
	if values, _ := core.Configuration(name); values["things"] != int64(3) {
		t.Errorf("the core keeps %v", values["things"])
	}
	coretest.Configure(t, core, name, map[string]any{"things": 5})
	if got := <-entered; got != 5 {
		t.Errorf("entered with %d", got)
	}
}

func TestABadFirstConfigurationWaitsForAChange(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	coretest.Configure(t, core, name, map[string]any{"things": "many"})
	health := coretest.HealthOf(t, coretest.Client(t, core), name)
	entered := make(chan int, 1)
	stop := start(t, env, idle(entered))
	health.Await("a bad configuration", badConfig)
	coretest.Configure(t, core, name, map[string]any{"things": 4})
	if got := <-entered; got != 4 {
		t.Errorf("entered with %d", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// What arrives while the work is entered again is not lost.
func TestSubscriptionsOutliveAChange(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	client := coretest.Client(t, core)
	between := make(chan struct{})
	entered := make(chan *ipc.Subscription[ipc.TopicMessage], 2)
	start(t, env, func(ctx context.Context, rt *component.Runtime, c config) error {
		sub, err := rt.Subscribe(ctx, event.HealthTopic("other"))
		if err != nil {
			return err
		}
		entered <- sub
		<-ctx.Done()
		<-between // the message of the test is published now
		return nil
	})
	first := <-entered
	coretest.Configure(t, core, name, map[string]any{"things": 5})
	must.OK(t, client.Publish(t.Context(), event.HealthTopic("other"), []byte("x")))
	close(between)
	if second := <-entered; second != first {
		t.Error("the subscription is another one")
	}
	if m := <-first.Events(); string(m.Payload) != "x" {
		t.Errorf("received %q", m.Payload)
	}
}

func TestAnErrorOfTheWorkEndsTheComponent(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	done := make(chan error, 1)
	go func() {
		done <- component.Run(t.Context(), component.Spec[config]{
			Name: name, Default: func() config { return config{} },
			Run: func(context.Context, *component.Runtime, config) error { return broken },
		}, env)
	}()
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestARefusedTokenEndsTheComponent(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	real := env.Getenv
	env.Getenv = func(n string) string {
		if n == ipc.EnvAuthToken {
			return "WRONG"
		}
		return real(n)
	}
	err := component.Run(t.Context(), component.Spec[config]{
		Name: name, Default: func() config { return config{} },
		Run: func(context.Context, *component.Runtime, config) error { return nil },
	}, env)
	if !errors.Is(err, ipc.ErrRefused) {
		t.Errorf("%v", err)
	}
}
