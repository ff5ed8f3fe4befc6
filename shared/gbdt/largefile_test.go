package gbdt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// childModel names the model that this test binary loads as a process of its own, which a test measures.
const childModel = "EDGEPDM_TEST_LOAD"

func TestMain(m *testing.M) {
	path := os.Getenv(childModel)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := loadOnce(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// loadOnce loads a model, scores a row and prints the most memory that this process took, in KiB.
func loadOnce(path string) error {
	data, err := ReadFile(path)
	if err != nil {
		return err
	}
	model, err := Parse(data)
	if err != nil {
		return err
	}
	if _, err := NewScorer(model).Margin(nil, make([]float32, model.NumFeature)); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if most, found := strings.CutPrefix(line, "VmHWM:"); found {
			fmt.Println(strings.TrimSuffix(strings.TrimSpace(most), " kB"))
		}
	}
	return err
}

// A file of 100 MB is read, parsed and made ready to score in three times its size at most, the process included.
func TestALargeFileTakesThreeTimesItsSize(t *testing.T) {
	need.Long(t)
	text := largeModel(3500, 9)
	dir := t.TempDir()
	child := filepath.Join(dir, "child")
	build := exec.Command("go", "test", "-c", "-o", child, ".") // without the race detector, which takes memory of its own
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for name, data := range map[string][]byte{"json": []byte(text), "ubjson": toUBJSON(t, text)} {
		path := filepath.Join(dir, "model")
		must.OK(t, os.WriteFile(path, data, 0o600))
		checkLoad(t, child, name, path, len(data))
	}
}

func checkLoad(t *testing.T, child, name, path string, size int) {
	t.Helper()
	c := exec.Command(child)
	c.Env = append(os.Environ(), childModel+"="+path)
	c.Stderr = os.Stderr
	out, err := c.Output()
	must.OK(t, err)
	most, err := strconv.Atoi(strings.TrimSpace(string(out)))
	must.OK(t, err)
	t.Logf("%s: %.1f MB take %.1f MB: %.2f times", name, float64(size)/1e6, float64(most)*1024/1e6, float64(most)*1024/float64(size))
	if most*1024 > 3*size {
		t.Errorf("%s: %d MB take %d MB", name, size/1e6, most*1024/1e6)
	}
}
