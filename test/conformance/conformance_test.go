package conformance_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/ipc"
	"edgepdm/test/conformance"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// startCore starts an embedded core that admits the suite with the recipe that ships, and says how to connect.
func startCore(t *testing.T, options localcore.Options) (*localcore.Core, ipc.Options) {
	t.Helper()
	core := coretest.Start(t, func(o *localcore.Options) {
		options.Root, options.ThingName, options.Logger = o.Root, "conformance-core", o.Logger
		*o = options
	})
	env, err := core.AddExternal("com.edgepdm.Conformance", "recipe.yaml")
	must.OK(t, err)
	connection, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	must.OK(t, err)
	return core, connection
}

// TestEmbeddedCore runs the suite on the embedded core of each kind: every case passes, but for those of components that the
// core does not have. The recipe grants what the cases need and nothing else, and what they leave is one key.
func TestEmbeddedCore(t *testing.T) {
	for _, kind := range []struct {
		name    string
		options localcore.Options
		runtime ipc.NucleusKind
		lacks   []string // operations
	}{
		{"classic", localcore.Options{ShadowManager: true}, ipc.Classic, []string{"ListComponents", "GetComponentDetails", "RestartComponent", "StopComponent", "ListLocalDeployments",
			"GetLocalDeploymentStatus", "CancelLocalDeployment", "PauseComponent", "ResumeComponent", "DeferComponentUpdate",
			"ValidateAuthorizationToken", "GetSecretValue"}},
		{"lite", localcore.Options{Mode: localcore.Lite}, ipc.Lite, nil},
	} {
		t.Run(kind.name, func(t *testing.T) {
			core, connection := startCore(t, kind.options)
			o := conformance.Options{Connection: connection, ID: "test1", Thing: "conformance-core", Embedded: true}
			operations := make(map[string]bool)
			runtime, err := conformance.Run(t.Context(), o, func(r conformance.Result) {
				operations[r.Operation] = true
				skips := slices.Contains(kind.lacks, r.Operation) || strings.HasSuffix(r.Case, "may be restarted")
				if r.Verdict == conformance.Fail || (r.Verdict == conformance.Skip) != skips {
					t.Errorf("%s, %s: %v\nexpected %s\nsaw      %s", r.Operation, r.Case, r.Verdict, r.Expected, r.Seen)
				}
			})
			must.OK(t, err)
			if runtime != kind.runtime {
				t.Errorf("the nucleus is taken for %v", runtime)
			}
			if len(operations) < 25 {
				t.Errorf("only %d operations were asked", len(operations))
			}
			checkGrants(t, core, kind.options.Mode)
			configuration, _ := core.Configuration("com.edgepdm.Conformance")
			delete(configuration, "accessControl")
			left, _ := configuration["edgepdmConformance"].(map[string]any)
			keys := slices.Sorted(maps.Keys(left))
			if len(configuration) != 1 || !slices.Equal(keys, []string{"leaf", "map", "past", "second", "watched"}) {
				t.Errorf("left in the configuration: %v", configuration)
			}
		})
	}
}

// checkGrants compares what the recipe grants with what was used and what was refused.
func checkGrants(t *testing.T, core *localcore.Core, mode localcore.Mode) {
	t.Helper()
	for _, g := range core.Grants() {
		shadows := strings.HasPrefix(g.Resource, "$aws/things/")
		if g.Enforced && !g.Used && (mode == localcore.Classic || !shadows) { // nucleus lite has no shadows
			t.Errorf("%s on %s is granted, and no case needs it", g.Operation, g.Resource)
		}
	}
	for _, d := range core.Denials() {
		if !strings.HasPrefix(d.Resource, "edgepdm-conformance-forbidden/") {
			t.Errorf("%s on %s is not granted", d.Operation, d.Resource)
		}
	}
}

// TestAnotherCore: a nucleus that is not the project's own is not asked what would abort it.
func TestAnotherCore(t *testing.T) {
	for _, mode := range []localcore.Mode{localcore.Classic, localcore.Lite} {
		_, connection := startCore(t, localcore.Options{Mode: mode})
		var pings []string
		_, err := conformance.Run(t.Context(), conformance.Options{Connection: connection, ID: "x"}, func(r conformance.Result) {
			if strings.HasPrefix(r.Case, "PING") {
				pings = append(pings, r.Case+": "+r.Verdict.String())
			}
		})
		if want := []string{"PING with a header of its own: pass", "PING: skip"}; err != nil || !slices.Equal(pings, want) {
			t.Errorf("mode %d: %q, %v", mode, pings, err)
		}
	}
}

// TestCLIAfterADeployment: the cases of local topics are skipped with the reason when a deployment has taken the CLI's
// rights; before it they run.
func TestCLIAfterADeployment(t *testing.T) {
	core, _ := startCore(t, localcore.Options{})
	must.OK(t, core.AddCLI())
	connection, err := conformance.FromCLI(filepath.Dir(core.SocketPath()))
	must.OK(t, err)
	for _, deployed := range []bool{false, true} {
		if deployed {
			must.OK(t, core.Deploy(t.Context(), localcore.Deployment{}))
		}
		cases := 0
		_, err := conformance.Run(t.Context(), conformance.Options{Connection: connection, CLI: true, ID: "x"}, func(r conformance.Result) {
			if !strings.HasSuffix(r.Operation, "ToTopic") {
				return
			}
			cases++
			lost := r.Verdict == conformance.Skip && strings.Contains(r.Seen, "a deployment took this from the CLI")
			if lost != deployed || r.Verdict == conformance.Fail {
				t.Errorf("deployed %v: %+v", deployed, r)
			}
		})
		if err != nil || cases < 15 {
			t.Errorf("deployed %v: %d cases, %v", deployed, cases, err)
		}
	}
}

func TestRunNeedsAConnection(t *testing.T) {
	_, connection := startCore(t, localcore.Options{})
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
	must.OK(t, os.Mkdir(dir, 0o700))
	for _, step := range []struct{ file, text, want string }{
		{"", "", "no file of"},
		{"group-99999", `{"domain_socket_path":"/gg/ipc.socket"}`, "lacks cli_auth_token"},
		{"group-99999", `{`, "decode"},
		{"group-99999", `{"cli_auth_token":"T","domain_socket_path":"/gg/ipc.socket","more":1}`, ""},
	} {
		if step.file != "" {
			must.OK(t, os.WriteFile(filepath.Join(dir, step.file), []byte(step.text), 0o600))
		}
		got, err := conformance.FromCLI(root)
		switch {
		case step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)):
			t.Errorf("%s: got %v, want %s", step.text, err, step.want)
		case step.want == "" && (err != nil || got.Socket != "/gg/ipc.socket" || got.AuthToken != "T"):
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
