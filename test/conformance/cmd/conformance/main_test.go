package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// mainVariable makes this test program the command, as a component starts it.
const mainVariable = "CONFORMANCE_TEST_MAIN"

// recipeVersion is what ../../recipe.yaml has.
const recipeVersion = "0.1.0"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

const recipe = `RecipeFormatVersion: "2020-01-25"
ComponentName: com.edgepdm.Conformance
ComponentVersion: 0.0.1
Manifests:
  - Platform: {os: linux}
    Lifecycle: {run: {Script: exit 0}}
    Artifacts: []
`

// TestCommand asks an embedded core as greengrass-cli would and as a component would. The caller has no grants: the cases
// that need one are skipped, and those that do not are asked.
func TestCommand(t *testing.T) {
	core := coretest.Start(t, func(o *localcore.Options) { o.Mode = localcore.Lite })
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	must.OK(t, os.WriteFile(file, []byte(recipe), 0o600))
	env, err := core.AddExternal("com.edgepdm.Conformance", file)
	must.OK(t, err)
	root := t.TempDir()
	must.OK(t, os.Mkdir(filepath.Join(root, "cli_ipc_info"), 0o700))
	info := `{"cli_auth_token":"` + env[ipc.EnvAuthToken] + `","domain_socket_path":"` + env[ipc.EnvSocket] + `"}`
	must.OK(t, os.WriteFile(filepath.Join(root, "cli_ipc_info", "group-1"), []byte(info), 0o600))
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want []string
	}{
		{"root", []string{"-root", root}, nil, cli.ExitOK, []string{"the caller is not authorised", "nucleus lite at", " 0 failed"}},
		{"environment", nil, env, cli.ExitOK, []string{"the caller is not authorised", "nucleus lite at", " 0 failed"}},
		{"neither", nil, nil, cli.ExitUsage, []string{"give -root"}},
		{"empty root", []string{"-root", t.TempDir()}, nil, cli.ExitFailed, []string{"aws.greengrass.Cli"}},
		{"wrong token", nil, map[string]string{ipc.EnvSocket: env[ipc.EnvSocket], ipc.EnvAuthToken: "A"}, cli.ExitFailed, []string{"refused"}},
		{"help", []string{"-help"}, nil, cli.ExitOK, []string{"-restart name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := program(func(name string) string { return c.env[name] }).Main(t.Context(), c.args, cli.Streams{Out: &out, Err: &errs})
			text := out.String() + errs.String()
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
		})
	}
}

// TestComponent deploys the recipe that ships, as README.md says: the component ends, and its log has the table.
func TestComponent(t *testing.T) {
	for name, options := range map[string]localcore.Options{
		"classic": {ShadowManager: true}, "lite": {Mode: localcore.Lite},
	} {
		t.Run(name, func(t *testing.T) {
			options.Stage, options.ThingName = t.TempDir(), "conformance-core"
			stageComponent(t, options.Stage)
			core := coretest.Start(t, func(o *localcore.Options) {
				options.Root, options.Logger = o.Root, o.Logger
				*o = options
			})
			component := "com.edgepdm.Conformance"
			must.OK(t, core.Deploy(t.Context(), localcore.Deployment{Components: map[string]string{component: recipeVersion}}))
			must.OK(t, core.WaitState(t.Context(), component, localcore.StateFinished))
			log, err := os.ReadFile(filepath.Join(options.Root, "logs", component+".log"))
			must.OK(t, err)
			for _, line := range strings.Split(string(log), "\n") {
				if strings.Contains(line, "FAIL") {
					t.Error(line)
				}
			}
			for _, want := range []string{"nucleus " + name, " passed, ", "it aborts a real classic nucleus", "edgepdmConformance stays"} {
				if !strings.Contains(string(log), want) {
					t.Errorf("no %q in the log\n%s", want, log)
				}
			}
			must.OK(t, core.Deploy(t.Context(), localcore.Deployment{Remove: []string{component}}))
			if left, there := core.Configuration(component); there {
				t.Errorf("the removal leaves %v", left)
			}
		})
	}
}

// stageComponent stages the shipped recipe, with this test program as the artifact.
func stageComponent(t *testing.T, stage string) {
	t.Helper()
	text, err := os.ReadFile("../../recipe.yaml")
	must.OK(t, err)
	program, err := os.Executable()
	must.OK(t, err)
	const component = "com.edgepdm.Conformance"
	for file, content := range map[string]string{
		"recipes/" + component + "-" + recipeVersion + ".yaml":          string(text),
		"artifacts/" + component + "/" + recipeVersion + "/conformance": "#!/bin/sh\n" + mainVariable + "=1 exec '" + program + "' \"$@\"\n",
	} {
		path := filepath.Join(stage, file)
		must.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must.OK(t, os.WriteFile(path, []byte(content), 0o700))
	}
}
