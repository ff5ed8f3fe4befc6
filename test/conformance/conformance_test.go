package conformance_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/test/conformance"
	"edgepdm/test/localcore"
)

const recipe = `RecipeFormatVersion: "2020-01-25"
ComponentName: com.edgepdm.Conformance
ComponentVersion: 0.0.1
ComponentConfiguration:
  DefaultConfiguration:
    accessControl:
      aws.greengrass.ipc.pubsub:
        topics:
          operations: ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"]
          resources: ["edgepdm-conformance/*", "$aws/things/conformance-core/shadow/*"]
      aws.greengrass.ipc.mqttproxy:
        topics:
          operations: ["aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"]
          resources: ["edgepdm-conformance/*"]
      aws.greengrass.ShadowManager:
        shadows:
          operations: ["aws.greengrass#GetThingShadow", "aws.greengrass#UpdateThingShadow", "aws.greengrass#DeleteThingShadow"]
          resources: ["$aws/things/conformance-core/shadow*"]
        list:
          operations: ["aws.greengrass#ListNamedShadowsForThing"]
          resources: ["conformance-core"]
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`

// startCore starts an embedded core that admits the suite, and says how to connect.
func startCore(t *testing.T, options localcore.Options) ipc.Options {
	t.Helper()
	options.Root, options.ThingName = t.TempDir(), "conformance-core"
	core, err := localcore.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := core.Close(ctx); err != nil {
			t.Errorf("close core: %v", err)
		}
	})
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	if err := os.WriteFile(file, []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := core.AddExternal("com.edgepdm.Conformance", file)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// TestEmbeddedCore runs the suite on the embedded core of each kind: every case passes, but for those of components that the
// core does not have.
func TestEmbeddedCore(t *testing.T) {
	for _, kind := range []struct {
		name    string
		options localcore.Options
		runtime ipc.Runtime
		lacks   []string          // operations
		known   map[string]string // what other operations answer than a nucleus does
	}{
		{"classic", localcore.Options{ShadowManager: true}, ipc.Classic, []string{"ListComponents", "GetComponentDetails", "RestartComponent", "StopComponent", "ListLocalDeployments",
			"GetLocalDeploymentStatus", "CancelLocalDeployment", "PauseComponent", "ResumeComponent", "DeferComponentUpdate",
			"ValidateAuthorizationToken", "GetSecretValue"}, nil},
		{"lite", localcore.Options{Mode: localcore.Lite}, ipc.Lite, nil, map[string]string{"ValidateAuthorizationToken": "ServiceError"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			o := conformance.Options{Connection: startCore(t, kind.options), ID: "test1", Thing: "conformance-core"}
			operations := make(map[string]bool)
			runtime, err := conformance.Run(t.Context(), o, func(r conformance.Result) {
				operations[r.Operation] = true
				if seen, is := kind.known[r.Operation]; is && r.Seen == seen {
					return
				}
				skips := slices.Contains(kind.lacks, r.Operation) || strings.HasSuffix(r.Case, "may be restarted")
				if r.Verdict == conformance.Fail || (r.Verdict == conformance.Skip) != skips {
					t.Errorf("%s, %s: %v\nexpected %s\nsaw      %s", r.Operation, r.Case, r.Verdict, r.Expected, r.Seen)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if runtime != kind.runtime {
				t.Errorf("the nucleus is taken for %v", runtime)
			}
			if len(operations) < 25 {
				t.Errorf("only %d operations were asked", len(operations))
			}
		})
	}
}

func TestRunNeedsAConnection(t *testing.T) {
	connection := startCore(t, localcore.Options{})
	none := func(r conformance.Result) { t.Errorf("a case ran: %+v", r) }
	if _, err := conformance.Run(t.Context(), conformance.Options{Connection: connection, ID: "a/b"}, none); err == nil {
		t.Error("an id that changes the topics' level is accepted")
	}
	connection.AuthToken = "AAAAAAAAAAAAAAAA"
	if _, err := conformance.Run(t.Context(), conformance.Options{Connection: connection, ID: "x"}, none); err == nil {
		t.Error("a token that nobody has is accepted")
	}
}

// TestTable: columns line up by characters, and failures make an error.
func TestTable(t *testing.T) {
	var out strings.Builder
	table := conformance.NewTable(&out, false)
	table.Add(conformance.Result{Operation: "A", Case: "a", Expected: "x", Seen: "x"})
	table.Add(conformance.Result{Operation: "B", Case: "b", Expected: "x", Seen: "why", Verdict: conformance.Skip})
	if err := table.Close(); err != nil {
		t.Error(err)
	}
	table.Add(conformance.Result{Operation: "C", Case: "grün", Expected: "x", Seen: "y", Verdict: conformance.Fail})
	if err := table.Close(); err == nil || err.Error() != "1 cases failed" {
		t.Errorf("error %v", err)
	}
	lines := strings.Split(out.String(), "\n")
	var columns []int
	for _, line := range []string{lines[1], lines[2], lines[4]} {
		columns = append(columns, len([]rune(line[:strings.LastIndexAny(line, " ")+1])))
	}
	if columns[0] != columns[1] || columns[1] != columns[2] || !strings.HasSuffix(lines[4], "FAIL") || lines[3] != "1 passed, 0 failed, 1 skipped" {
		t.Errorf("table\n%s", out.String())
	}
	var colored strings.Builder
	conformance.NewTable(&colored, true).Add(conformance.Result{Verdict: conformance.Fail})
	if !strings.Contains(colored.String(), "\x1b[31mFAIL\x1b[0m") {
		t.Errorf("no colour in %q", colored.String())
	}
}

func TestFromCLI(t *testing.T) {
	root := t.TempDir()
	if _, err := conformance.FromCLI(root); err == nil || !strings.Contains(err.Error(), "aws.greengrass.Cli") {
		t.Errorf("without a folder: %v", err)
	}
	dir := filepath.Join(root, "cli_ipc_info")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ file, text, want string }{
		{"", "", "no file of"},
		{"group-99999", `{"domain_socket_path":"/gg/ipc.socket"}`, "lacks cli_auth_token"},
		{"group-99999", `{`, "decode"},
		{"group-99999", `{"cli_auth_token":"T","domain_socket_path":"/gg/ipc.socket","more":1}`, ""},
	} {
		if step.file != "" {
			if err := os.WriteFile(filepath.Join(dir, step.file), []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := conformance.FromCLI(root)
		switch {
		case step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)):
			t.Errorf("%s: got %v, want %s", step.text, err, step.want)
		case step.want == "" && (err != nil || got != ipc.Options{Socket: "/gg/ipc.socket", AuthToken: "T"}):
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
