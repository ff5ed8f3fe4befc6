package component_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// patient is how long a test waits for what must come.
const patient = 20 * time.Second

// echo is work that hears what is published on one topic.
func echo(heard chan<- string) func(context.Context, *component.Runtime, config) error {
	return func(ctx context.Context, rt *component.Runtime, _ config) error {
		sub, err := rt.Subscribe(ctx, event.FilterHealth)
		if err != nil {
			return err
		}
		rt.SetState(event.StateOK, "")
		heard <- "ready"
		for {
			select {
			case <-ctx.Done():
				return nil
			case m, open := <-sub.Events():
				if !open {
					return sub.Err()
				}
				if m.Topic == event.HealthTopic("other") {
					heard <- string(m.Payload)
				}
			}
		}
	}
}

func await(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	late := time.After(patient)
	for {
		select {
		case got := <-heard:
			if got == want {
				return
			}
		case <-late:
			t.Fatalf("never: %s", want)
		}
	}
}

// After a crash of the publish/subscribe daemon of nucleus lite, every subscription stays open and is silent. The component
// says so, and makes its subscriptions again.
func TestSilentSubscriptionsAreMadeAgain(t *testing.T) {
	core := coretest.Start(t, onLite)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	env.Deaf = 300 * time.Millisecond
	coretest.Configure(t, core, name, map[string]any{"healthInterval": "100ms"})
	heard := make(chan string, 100)
	start(t, env, echo(heard))
	await(t, heard, "ready")
	must.OK(t, core.KillPubSub())
	client := coretest.Client(t, core)
	health := coretest.HealthOf(t, client, name)
	await(t, heard, "ready") // entered again
	health.Await("deafness is told, and ends", func(h event.Health) bool {
		return h.State == event.StateOK && h.Counters[event.CounterDeaf] == 1
	})
	must.OK(t, client.Publish(t.Context(), event.HealthTopic("other"), []byte("hello")))
	await(t, heard, "hello")
}

// When the IPC daemon of nucleus lite ends, no token is valid any more: the component is known by its process.
func TestAfterACrashOfTheIPCDaemon(t *testing.T) {
	core := coretest.Start(t, onLite)
	var log coretest.Lines
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.NewTextHandler(&log, nil)))
	old := env.Getenv(ipc.EnvAuthToken)
	heard := make(chan string, 100)
	tokens := make(chan string, 100)
	work := echo(heard)
	stop := start(t, env, func(ctx context.Context, rt *component.Runtime, c config) error {
		vars := map[string]string{ipc.EnvAuthToken: old, "AWS_CONTAINER_AUTHORIZATION_TOKEN": old}
		tokens <- rt.Getenv(func(name string) string { return vars[name] })("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		return work(ctx, rt, c)
	})
	await(t, heard, "ready")
	if token := <-tokens; token != old {
		t.Errorf("token %q", token)
	}
	for range 3 { // more often than a nucleus forgives a component that exits
		must.OK(t, core.KillIPC())
		await(t, heard, "ready")
		if token := <-tokens; token == old || !core.KnowsToken(token) {
			t.Errorf("the token for the token exchange service is %q", token)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error(log.String())
	}
}

// A subscription that the nucleus refuses is told and made later; meanwhile the work goes on.
func TestARefusedSubscription(t *testing.T) {
	for mode, set := range map[string]func(*localcore.Options){"classic": func(*localcore.Options) {}, "lite": onLite} {
		t.Run(mode, func(t *testing.T) {
			core := coretest.Start(t, set)
			env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
			env.Backoff.Max = 100 * time.Millisecond
			grant := func(topics ...any) {
				coretest.Configure(t, core, name, map[string]any{"healthInterval": "100ms", "accessControl": map[string]any{
					"aws.greengrass.ipc.pubsub": map[string]any{name + ":pubsub:1": map[string]any{"resources": topics}},
				}})
			}
			grant(event.HealthTopic(name))
			client := coretest.Client(t, core)
			health := coretest.HealthOf(t, client, name)
			heard := make(chan string, 100)
			start(t, env, echo(heard))
			health.Await("the refusal is told", func(h event.Health) bool {
				return h.State == event.StateDegraded && len(h.Conditions) == 1 && h.Conditions[0].Code == event.CodeNotAuthorized &&
					h.Conditions[0].Place == "SubscribeToTopic "+event.FilterHealth
			})
			await(t, heard, "ready")
			grant(event.HealthTopic(name), "pdm/v1/health/*")
			health.Await("it is granted", func(h event.Health) bool { return h.State == event.StateOK })
			must.OK(t, client.Publish(t.Context(), event.HealthTopic("other"), []byte("hello")))
			await(t, heard, "hello")
		})
	}
}

// A nucleus that stops refuses the tokens before it ends its components: that is no failure.
func TestAStopOfTheNucleusIsNoFailure(t *testing.T) {
	core := coretest.Start(t)
	var log coretest.Lines
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.NewTextHandler(&log, nil)))
	env.Grace = patient
	heard := make(chan string, 1)
	stop := start(t, env, echo(heard))
	await(t, heard, "ready")
	core.BreakOff()
	log.Await(t, "the nucleus refuses the token")
	if err := stop(); err != nil { // SIGTERM
		t.Errorf("%v", err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error(log.String())
	}
	env.Grace = time.Millisecond
	err := component.Run(t.Context(), component.Spec[config]{
		Name: name, Default: func() config { return config{} },
		Run: func(context.Context, *component.Runtime, config) error { return nil },
	}, env)
	if !errors.Is(err, ipc.ErrRefused) {
		t.Errorf("without a stop: %v", err)
	}
}

// A nucleus files standard error as WARN, and standard output as INFO.
func TestWarningsGoToStandardError(t *testing.T) {
	var out, errOut bytes.Buffer
	level := new(slog.LevelVar)
	log := slog.New(component.NewLogHandler(&out, &errOut, level)).With("a", 1).WithGroup("g")
	log.Debug("quiet")
	log.Info("info", "b", 2)
	log.Warn("warn")
	log.Error("error")
	level.Set(slog.LevelDebug)
	log.Debug("loud")
	for text, want := range map[string]string{out.String(): "level=INFO msg=info a=1 g.b=2|level=DEBUG msg=loud", errOut.String(): "level=WARN msg=warn a=1|level=ERROR msg=error"} {
		for _, part := range strings.Split(want, "|") {
			if !strings.Contains(text, part) || strings.Count(text, "\n") != 2 {
				t.Errorf("%q lacks %q", text, part)
			}
		}
	}
}

// A file operation that hangs does not keep a process that is asked to stop until the nucleus kills it.
func TestAStopDoesNotWaitForWhatHangs(t *testing.T) {
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "sensor-simulator", slog.New(slog.DiscardHandler))
	env.Stop = 50 * time.Millisecond
	begun, disk := make(chan string, 1), make(chan struct{})
	ended := make(chan struct{})
	stop := start(t, env, func(context.Context, *component.Runtime, config) error {
		begun <- "begun"
		<-disk
		close(ended)
		return nil
	})
	await(t, begun, "begun")
	if err := stop(); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("%v", err)
	}
	close(disk)
	<-ended
}
