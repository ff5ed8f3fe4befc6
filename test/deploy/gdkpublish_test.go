package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// gdkTree has the script and the projects' configurations, all of this version.
func gdkTree(t *testing.T, version string) (script string) {
	t.Helper()
	root := t.TempDir()
	files := []string{"scripts/gdk.sh"}
	for project := range projects {
		files = append(files, filepath.Join(project, "gdk-config.json"))
	}
	for _, name := range files {
		target := filepath.Join(root, name)
		text := strings.ReplaceAll(string(read(t, need.Root(t), name)), `"NEXT_PATCH"`, `"`+version+`"`)
		must.OK(t, os.MkdirAll(filepath.Dir(target), 0o755))
		must.OK(t, os.WriteFile(target, []byte(text), 0o600))
	}
	return filepath.Join(root, "scripts", "gdk.sh")
}

// account makes an aws command whose account has these versions, by their ARN's end, and their states.
func (s *stub) account(states map[string]string) {
	s.t.Helper()
	text := "echo \"$@\" >>" + s.dir + "/asked\ncase \"$*\" in\n*get-caller-identity*) echo 123456789012 ;;\n"
	for version, state := range states {
		text += "*" + version + "*) echo " + state + " ;;\n"
	}
	s.script("aws", text+"*) echo 'An error occurred (ResourceNotFoundException)' >&2; exit 254 ;;\nesac\n")
}

// published are the folders in which `gdk component publish` was called.
func published(calls []string) (folders []string) {
	for i, line := range calls {
		if line == "  publish" {
			folders = append(folders, strings.TrimPrefix(calls[i-2], "gdk in "))
		}
	}
	return folders
}

// A publication that failed half way goes on: what is registered is neither registered nor uploaded again, as GDK would.
func TestGDKPublishGoesOn(t *testing.T) {
	script := gdkTree(t, "1.2.3")
	root := filepath.Base(filepath.Dir(filepath.Dir(script)))
	all := []string{"alarm-manager", "cloud-forwarder", "inference-engine", "ingest", "model-fetcher", "operator-console", "sensor-simulator", root}
	s := newStub(t)
	s.add("gdk", "0")

	s.account(nil)
	if code, output := s.run(script, nil, "publish"); code != 0 {
		t.Errorf("exit code %d: %s", code, output)
	}
	if folders := published(s.calls()); !slices.Equal(folders, all) {
		t.Errorf("published %q of an empty account", folders)
	}
	const arn = "arn:aws:greengrass:us-east-1:123456789012:components:com.edgepdm.Suite:versions:1.2.3"
	if asked := string(read(t, s.dir, "asked")); !strings.Contains(asked, "--region us-east-1 ") || !strings.Contains(asked, arn) {
		t.Errorf("asked for\n%s", asked)
	}

	s.account(map[string]string{"com.edgepdm.AlarmManager:versions:1.2.3": "DEPLOYABLE", "com.edgepdm.CloudForwarder:versions:1.2.3": "DEPLOYABLE"})
	code, output := s.run(script, nil, "publish", "--region", "cn-north-1")
	if code != 0 || !strings.Contains(output, "com.edgepdm.AlarmManager 1.2.3 is registered already (DEPLOYABLE) and is left as it is") {
		t.Errorf("exit code %d: %s", code, output)
	}
	calls := s.calls()
	if folders := published(calls); !slices.Equal(folders, all[2:]) {
		t.Errorf("published %q", folders)
	}
	if slices.Contains(calls, "gdk in alarm-manager") {
		t.Errorf("what is registered is built: %q", calls)
	}
	if asked := string(read(t, s.dir, "asked")); !strings.Contains(asked, "arn:aws-cn:greengrass:cn-north-1:") {
		t.Errorf("asked for\n%s", asked)
	}

	everything := make(map[string]string)
	for _, name := range projects {
		everything[name+":versions:1.2.3"] = "DEPLOYABLE"
	}
	s.account(everything)
	if code, output := s.run(script, nil, "publish"); code != 0 || !strings.Contains(output, "nothing to publish") || s.calls() != nil {
		t.Errorf("exit code %d: %s", code, output)
	}
}

// What cannot be known, or not be mended by publishing, ends the script before anything is built.
func TestGDKPublishStops(t *testing.T) {
	fixed, next := gdkTree(t, "1.2.3"), gdkTree(t, "NEXT_PATCH")
	for _, c := range []struct {
		what, script, aws string
		code              int
		want              string
	}{
		{"no aws command", fixed, "", 3, "aws is not on PATH"},
		{"no credentials", fixed, "echo 'Unable to locate credentials' >&2; exit 253", 1, "cannot find out the account"},
		{"not allowed", fixed, "[ $1 = sts ] && echo 1 && exit; echo AccessDeniedException >&2; exit 254", 1, "cannot find out whether com.edgepdm.AlarmManager 1.2.3 is registered: AccessDeniedException"},
		{"a broken version", fixed, "[ $1 = sts ] && echo 1 || echo FAILED", 1, "its state is FAILED: delete that version"},
		{"NEXT_PATCH asks nobody", next, "", 0, "== .: gdk component publish"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStub(t)
			s.add("gdk", "0")
			if c.aws != "" {
				s.script("aws", c.aws+"\n")
			}
			if code, output := s.run(c.script, nil, "publish"); code != c.code || !strings.Contains(output, c.want) {
				t.Errorf("exit code %d: %s", code, output)
			}
			if calls := s.calls(); (calls != nil) != (c.code == 0) {
				t.Errorf("called %q", calls)
			}
		})
	}
	s := newStub(t)
	s.script("gdk", `[ "$2" = build ] || exit 1`+"\n")
	if code, output := s.run(next, nil, "publish"); code != 1 || !strings.Contains(output, "publish failed in recipes/alarm-manager; when the reason is gone") {
		t.Errorf("a failed publication: exit code %d: %s", code, output)
	}
}

// The page's command installs the version that the projects name.
func TestGDKPageInstallsTheProjectsVersion(t *testing.T) {
	page := string(read(t, need.Root(t), "docs", "deploy-gdk.md"))
	installed := regexp.MustCompile(`aws-greengrass-gdk-cli\.git@v(\S+)`).FindStringSubmatch(page)
	if want := readConfig(t, need.Root(t)).GDKVersion; installed == nil || strings.Trim(installed[1], `"'`) != want {
		t.Errorf("the page installs %q, the projects want %s", installed, want)
	}
}
