// Package deploy tests what is deployed, and the ways in which it is: recipes, GDK projects, scripts, programs of all
// architectures, and the staged tree on the embedded core.
package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// projects are the GDK projects by the folder they lie in, below the root, with their component.
var projects = map[string]string{
	"recipes/alarm-manager":    event.AlarmManager,
	"recipes/cloud-forwarder":  event.CloudForwarder,
	"recipes/inference-engine": event.InferenceEngine,
	"recipes/ingest":           event.Ingest,
	"recipes/operator-console": event.OperatorConsole,
	"recipes/model-fetcher":    event.ModelFetcher,
	"recipes/sensor-simulator": event.SensorSimulator,
	".":                        event.Suite,
}

// stage fills a folder with the staged tree.
func stage(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	command(t, "go", append([]string{"run", "./scripts/stage", "-out", dir}, args...)...)
	return dir
}

// command runs a program in the root of the repository, which must succeed.
func command(t *testing.T, name string, args ...string) (output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = need.Root(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	must.OK(t, err)
	return data
}

// copyTree copies the repository's source, without what was built, to another folder.
func copyTree(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	git := need.Tool(t, "git", "Debian: apt-get install git")
	list := exec.CommandContext(t.Context(), git, "ls-files", "-z", "--cached", "--others", "--exclude-standard",
		"*.go", "*.ubj", "*.yaml", "*.json", "*.sh", "go.mod", "go.sum", ":!:*/testdata/*")
	list.Dir = need.Root(t)
	files, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for file := range bytes.SplitSeq(bytes.TrimRight(files, "\x00"), []byte{0}) {
		data, err := os.ReadFile(filepath.Join(list.Dir, string(file)))
		if os.IsNotExist(err) {
			continue // deleted, and the deletion is not committed
		}
		target := filepath.Join(dir, string(file))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o755)
		}
		if err == nil {
			err = os.WriteFile(target, data, 0o755)
		}
		must.OK(t, err)
	}
	return dir
}
