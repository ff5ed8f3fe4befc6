// Package coretest starts the embedded Greengrass core for tests, and lets a test be a component on it: with the
// component's real recipe, so that the test also proves that the recipe grants what the code uses.
package coretest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/ipc"
	"edgepdm/shared/recipe"
	"edgepdm/shared/wait"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Start starts a core without components; the test's cleanup stops it. set, if any, changes the core's options.
func Start(t testing.TB, set ...func(*localcore.Options)) *localcore.Core {
	t.Helper()
	options := localcore.Options{Root: t.TempDir(), Logger: slog.New(slog.NewTextHandler(logTo{t}, nil))}
	for _, f := range set {
		f(&options)
	}
	core, err := localcore.New(options)
	must.OK(t, err)
	must.OK(t, core.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := core.Close(ctx); err != nil {
			t.Errorf("close core: %v", err)
		}
	})
	return core
}

// Environment admits the component to the core with its recipe in recipes/<dir>, and returns what its process would find.
func Environment(t testing.TB, core *localcore.Core, name, dir string, log *slog.Logger) component.Environment {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(need.Root(t), "recipes", dir, "recipe.yaml"))
	must.OK(t, err)
	env := external(t, core, name, recipe.WithVersion(text, "0.0.1"))
	return component.Environment{
		Getenv: func(name string) string { return env[name] }, WorkDir: t.TempDir(), Log: log, Level: new(slog.LevelVar),
		Settle: time.Millisecond, Backoff: wait.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond},
	}
}

// Client connects as a client that may publish and subscribe to every topic, local and of AWS IoT Core.
func Client(t testing.TB, core *localcore.Core) *ipc.Client {
	t.Helper()
	return Dial(t, Granted(t, core, "com.edgepdm.Test"))
}

// Granted admits such a client under another name, and returns how it connects.
func Granted(t testing.TB, core *localcore.Core, name string) ipc.Options {
	t.Helper()
	env := external(t, core, name, []byte(Recipe(name, "*")))
	options, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	must.OK(t, err)
	return options
}

// Recipe is that of a component which runs nothing, and may publish and subscribe to the topics of a resource, local and of
// AWS IoT Core.
func Recipe(name, topics string) string {
	return fmt.Sprintf(`RecipeFormatVersion: "2020-01-25"
ComponentName: %[1]s
ComponentVersion: 0.0.1
ComponentConfiguration:
  DefaultConfiguration:
    accessControl:
      aws.greengrass.ipc.pubsub:
        all: {operations: ["*"], resources: [%[2]q]}
      aws.greengrass.ipc.mqttproxy:
        cloud: {operations: ["*"], resources: [%[2]q]}
Manifests:
  - Platform: {os: linux}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`, name, topics)
}

// Dial connects for the rest of the test.
func Dial(t testing.TB, options ipc.Options) *ipc.Client {
	t.Helper()
	client, err := ipc.Dial(t.Context(), options)
	must.OK(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func external(t testing.TB, core *localcore.Core, name string, recipe []byte) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	must.OK(t, os.WriteFile(file, recipe, 0o600))
	env, err := core.AddExternal(name, file)
	must.OK(t, err)
	return env
}

// Configure merges values into a component's configuration, as a deployment does.
func Configure(t testing.TB, core *localcore.Core, name string, merge map[string]any) {
	t.Helper()
	update := map[string]any{name: map[string]any{"merge": merge}}
	must.OK(t, core.Deploy(t.Context(), localcore.Deployment{ConfigurationUpdate: update}))
}

// ShownMerge returns the configuration that components/<dir>/README.md shows as JSON, for a deployment to merge.
func ShownMerge(t testing.TB, dir string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(need.Root(t), "components", dir, "README.md"))
	must.OK(t, err)
	_, block, _ := strings.Cut(string(text), "\n```json\n")
	block, _, _ = strings.Cut(block, "\n```\n")
	var merge map[string]any
	if err := json.Unmarshal([]byte(block), &merge); err != nil {
		t.Fatalf("the configuration in the README of %s: %v", dir, err)
	}
	return merge
}

// logTo writes log lines to the test's log.
type logTo struct{ t testing.TB }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
