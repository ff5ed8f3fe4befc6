package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/cli"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
)

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
	core, err := localcore.New(localcore.Options{Root: t.TempDir(), Mode: localcore.Lite})
	if err != nil {
		t.Fatal(err)
	}
	if err := core.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := core.Close(context.Background()); err != nil {
			t.Error(err)
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
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "cli_ipc_info"), 0o700); err != nil {
		t.Fatal(err)
	}
	info := `{"cli_auth_token":"` + env[ipc.EnvAuthToken] + `","domain_socket_path":"` + env[ipc.EnvSocket] + `"}`
	if err := os.WriteFile(filepath.Join(root, "cli_ipc_info", "group-1"), []byte(info), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want []string
	}{
		// The embedded core does not serve ValidateAuthorizationToken in lite mode: the one case that fails.
		{"root", []string{"-root", root}, nil, cli.ExitFailed, []string{"the caller is not authorised", "nucleus lite at", "1 failed", "1 cases failed"}},
		{"environment", nil, env, cli.ExitFailed, []string{"the caller is not authorised", "nucleus lite at", "1 failed"}},
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
