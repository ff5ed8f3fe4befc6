// Package interop shows that Amazon's own Greengrass IPC clients work on the embedded core as they do on a nucleus, and that
// they and shared/ipc understand each other.
package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/test/coretest"
	"edgepdm/test/interop/official"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

const thing = "interop-core"

const recipe = `RecipeFormatVersion: "2020-01-25"
ComponentName: NAME
ComponentVersion: 0.0.1
ComponentConfiguration:
  DefaultConfiguration:
    x: 1
    text: hello
    list: [1, two]
    settings: {limit: 5, name: "Pumpe ü"}
    accessControl:
      aws.greengrass.ipc.pubsub:
        topics:
          operations: ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"]
          resources: ["interop/*", "exchange/*", "$aws/things/interop-core/shadow/*"]
      aws.greengrass.ipc.mqttproxy:
        topics:
          operations: ["aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"]
          resources: ["interop/*"]
      aws.greengrass.ShadowManager:
        shadows:
          operations: ["aws.greengrass#GetThingShadow", "aws.greengrass#UpdateThingShadow", "aws.greengrass#DeleteThingShadow"]
          resources: ["$aws/things/interop-core/shadow*"]
        list:
          operations: ["aws.greengrass#ListNamedShadowsForThing"]
          resources: ["interop-core"]
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`

// peer is an official client.
type peer struct {
	name   string
	setUp  func(testing.TB) official.Peer
	folder string
	suffix string
}

func peers() []peer {
	return []peer{
		{"javascript", official.JavaScript, "js", ".js"},
		{"python", official.Python, "python", ".py"},
	}
}

// script prepares one of the peer's programs.
func (p peer) script(ctx context.Context, t *testing.T, env map[string]string, name string, args ...string) *exec.Cmd {
	list := []string{"AWS_IOT_THING_NAME=" + thing}
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return p.setUp(t).Command(ctx, list, filepath.Join(p.folder, name+p.suffix), args...)
}

// newCore starts a core; the test's cleanup stops it.
func newCore(t *testing.T, options localcore.Options) *localcore.Core {
	t.Helper()
	return coretest.Start(t, func(o *localcore.Options) {
		options.Root, options.ThingName, options.Logger = o.Root, thing, o.Logger
		*o = options
	})
}

// startCore starts a core that admits the components by these names, and returns the environment of each.
func startCore(t *testing.T, options localcore.Options, names ...string) []map[string]string {
	t.Helper()
	core := newCore(t, options)
	var environments []map[string]string
	for _, name := range names {
		file := filepath.Join(t.TempDir(), "recipe.yaml")
		must.OK(t, os.WriteFile(file, []byte(strings.Replace(recipe, "NAME", name, 1)), 0o600))
		env, err := core.AddExternal(name, file)
		must.OK(t, err)
		environments = append(environments, env)
	}
	return environments
}

// TestCases runs every case of the peers' cases programs on a core of each kind.
func TestCases(t *testing.T) {
	for _, kind := range kinds() {
		for _, p := range peers() {
			t.Run(kind.name+"/"+p.name, func(t *testing.T) {
				p.setUp(t) // before the clock runs
				env := startCore(t, kind.options, "com.edgepdm.Interop", "com.edgepdm.Other")[0]
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := p.script(ctx, t, env, "cases")
				var errs bytes.Buffer
				cmd.Stderr = &errs
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s\n%s", err, out, &errs)
				}
				compare(t, out, kind, p.name)
			})
		}
	}
}

// TestUpdateState lets a core run the peers' programs as components: only such a one may report its state.
func TestUpdateState(t *testing.T) {
	for _, kind := range kinds() {
		for _, p := range peers() {
			t.Run(kind.name+"/"+p.name, func(t *testing.T) {
				program, err := filepath.Abs(filepath.Join(p.folder, "cases"+p.suffix))
				must.OK(t, err)
				stage, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
				must.OK(t, os.Mkdir(filepath.Join(stage, "recipes"), 0o700))
				script := "exec " + p.setUp(t).Shell(program, "update state") + " > '" + out + "'"
				text := strings.Replace(strings.Replace(recipe, "NAME", "com.edgepdm.Run", 1), "{Script: exit 0}", "{Script: "+strconv.Quote(script)+"}", 1)
				must.OK(t, os.WriteFile(filepath.Join(stage, "recipes", "com.edgepdm.Run-0.0.1.yaml"), []byte(text), 0o600))
				ended := make(chan localcore.State, 1)
				options := kind.options
				options.Stage, options.OnState = stage, func(_ string, _, to localcore.State) {
					if to == localcore.StateFinished || to == localcore.StateErrored {
						select {
						case ended <- to:
						default: // the first end counts
						}
					}
				}
				core := newCore(t, options)
				must.OK(t, core.Deploy(t.Context(), localcore.Deployment{Components: map[string]string{"com.edgepdm.Run": "0.0.1"}}))
				select {
				case state := <-ended:
					if seen, err := os.ReadFile(out); err != nil || state != localcore.StateFinished || !strings.Contains(string(seen), `{}`) {
						t.Errorf("the program is %v and saw %s, %v", state, seen, err)
					}
				case <-time.After(time.Minute):
					t.Error("the program does not end")
				}
			})
		}
	}
}

// compare checks the lines that a cases program printed, and that no case is missing.
func compare(t *testing.T, out []byte, kind kind, peer string) {
	expected := expectations()
	left := slices.Collect(maps.Keys(expected))
	for line := range bytes.Lines(out) {
		var got struct {
			Case string
			Seen any
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		e, known := expected[got.Case]
		if !known {
			t.Errorf("case %q: nobody knows what is right", got.Case)
			continue
		}
		left = slices.DeleteFunc(left, func(name string) bool { return name == got.Case })
		var want any
		if text := e.of(kind.name, peer); json.Unmarshal([]byte(text), &want) != nil {
			t.Fatalf("case %q expects what is no JSON: %s", got.Case, text)
		}
		if !reflect.DeepEqual(got.Seen, want) {
			seen, _ := json.Marshal(got.Seen) // it came as JSON
			t.Errorf("case %q\nsaw  %s\nwant %s", got.Case, seen, e.of(kind.name, peer))
		}
	}
	if len(left) > 0 {
		t.Errorf("these cases did not run: %q", left)
	}
}
