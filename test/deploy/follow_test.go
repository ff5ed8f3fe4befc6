package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// script makes a program of the stub with that text.
func (s *stub) script(name, text string) {
	s.t.Helper()
	must.OK(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte("#!/bin/sh\n"+text), 0o755))
}

// The classic nucleus takes a deployment and tells its result later: the script's exit code is the result's.
func TestLocalDeployFollowsClassic(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "local-deploy.sh")
	stage := stagedNames(t, "com.edgepdm.Suite-1.2.3")
	for _, c := range []struct {
		what, statuses string
		code           int
		output         string
	}{
		{"success", "QUEUED IN_PROGRESS IN_PROGRESS SUCCEEDED", 0, "deployment: SUCCEEDED"},
		{"failure", "IN_PROGRESS FAILED FAILED", 1, "the deployment failed; see /greengrass/v2/logs/greengrass.log"},
		{"rolled back", "IN_PROGRESS FAILED FAILED", 1, "Detailed Status: FAILED_ROLLBACK_COMPLETE"},
		{"canceled", "CANCELED CANCELED", 1, "the deployment failed"},
		{"nothing", "IN_PROGRESS", 4, "no result after 1 s; the last status was IN_PROGRESS"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStub(t)
			left := filepath.Join(s.dir, "left")
			must.OK(t, os.WriteFile(left, []byte(strings.ReplaceAll(c.statuses, " ", "\n")+"\n"), 0o600))
			s.script("greengrass-cli", `case $2 in
create) echo "Local deployment submitted! Deployment Id: 11-aa" ;;
status)
  [ "$4" = 11-aa ] || exit 1
  echo "11-aa: $(head -n 1 `+left+`)"
  [ "$(head -n 1 `+left+`)" != FAILED ] || echo "Detailed Status: FAILED_ROLLBACK_COMPLETE"
  [ "$(grep -c . `+left+`)" -le 1 ] || sed -i 1d `+left+` ;;
esac
`)
			timeout := "60"
			if c.code == 4 {
				timeout = "1"
			}
			code, output := s.run(script, []string{"LOCAL_DEPLOY_POLL=0.1"}, "--stage", stage, "--timeout", timeout)
			if code != c.code || !strings.Contains(output, c.output) {
				t.Errorf("exit code %d: %s", code, output)
			}
		})
	}
}

// Nucleus lite tells the result in its log, and gets only what it does not have: it cannot write over programs that run.
func TestLocalDeployFollowsLite(t *testing.T) {
	script := filepath.Join(need.Root(t), "scripts", "local-deploy.sh")
	stage := stagedNames(t, "com.edgepdm.AlarmManager-1.2.3", "com.edgepdm.AlarmManager-1.2.4", "com.edgepdm.Suite-1.2.3", "com.edgepdm.Suite-1.2.4")
	for _, name := range []string{"AlarmManager/1.2.3", "AlarmManager/1.2.4"} {
		folder := filepath.Join(stage, "artifacts", "com.edgepdm."+name)
		must.OK(t, os.MkdirAll(folder, 0o755))
		must.OK(t, os.WriteFile(filepath.Join(folder, "alarm-manager"), nil, 0o700))
	}
	const alarm, suite = "com.edgepdm.AlarmManager-1.2.", "com.edgepdm.Suite-1.2."
	for _, c := range []struct {
		what      string
		installed []string
		args      []string
		log       string
		code      int
		handed    []string // files below the tree
	}{
		{"first, by the suite's name", nil, []string{"com.edgepdm.Suite=1.2.3"}, "SUCCEEDED", 0, []string{
			"artifacts/com.edgepdm.AlarmManager/1.2.3/alarm-manager", "recipes/" + alarm + "3.yaml", "recipes/" + suite + "3.yaml"}},
		{"the same again", []string{alarm + "3", suite + "3"}, []string{"com.edgepdm.Suite=1.2.3"}, "SUCCEEDED", 0, nil},
		{"upgrade", []string{alarm + "3", suite + "3"}, nil, "SUCCEEDED", 0, []string{
			"artifacts/com.edgepdm.AlarmManager/1.2.4/alarm-manager", "recipes/" + alarm + "4.yaml", "recipes/" + suite + "4.yaml"}},
		{"failure", []string{suite + "3"}, []string{"com.edgepdm.AlarmManager=1.2.3"}, "FAILED", 1, []string{
			"artifacts/com.edgepdm.AlarmManager/1.2.3/alarm-manager", "recipes/" + alarm + "3.yaml"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newStub(t)
			root, temporary := t.TempDir(), t.TempDir()
			must.OK(t, os.MkdirAll(filepath.Join(root, "packages", "recipes"), 0o755))
			for _, name := range c.installed {
				must.OK(t, os.WriteFile(filepath.Join(root, "packages", "recipes", name+".yaml"), nil, 0o600))
			}
			s.script("ggl-cli", `cd "$3/.." && for f in */* */*/* */*/*/*; do [ ! -f "$f" ] || echo "$f"; done >`+s.dir+"/handed\n")
			s.script("journalctl", `echo "I[gg] Completed deployment processing and reporting job as `+c.log+`."; echo "E[gg] why"`+"\n")
			code, output := s.run(script, []string{"TMPDIR=" + temporary, "LOCAL_DEPLOY_POLL=0.1"},
				append([]string{"--stage", stage, "--root", root, "--timeout", "60"}, c.args...)...)
			if code != c.code || !strings.Contains(output, "deployment: "+c.log) || c.code != 0 && !strings.Contains(output, "why") {
				t.Errorf("exit code %d: %s", code, output)
			}
			handed := strings.Fields(string(read(t, s.dir, "handed")))
			if slices.Sort(handed); !slices.Equal(handed, c.handed) {
				t.Errorf("handed over: %q, want %q", handed, c.handed)
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
