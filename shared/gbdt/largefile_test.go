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

// TestLoadInAChild is that process: it loads a model to score and prints the most memory it took, in KiB.
func TestLoadInAChild(t *testing.T) {
	path := os.Getenv(childModel)
	if path == "" {
		t.Skip("it is the child of TestALargeFileTakesThreeTimesItsSize")
	}
	data, err := ReadFile(path)
	must.OK(t, err)
	model, err := Parse(data)
	must.OK(t, err)
	data = nil
	scorer := NewScorer(model)
	_, err = scorer.Margin(nil, make([]float32, model.NumFeature))
	must.OK(t, err)
	for line := range strings.Lines(string(must.Read(t, "/proc/self/status"))) {
		if most, found := strings.CutPrefix(line, "VmHWM:"); found {
			fmt.Println("MOST " + strings.TrimSuffix(strings.TrimSpace(most), " kB"))
		}
	}
}

// A file of 100 MB is read, parsed and made ready to score in three times its size at most, the process included.
func TestALargeFileTakesThreeTimesItsSize(t *testing.T) {
	need.Long(t)
	text := largeModel(2600, 9)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"json": []byte(text), "ubjson": toUBJSON(t, text)} {
		path := filepath.Join(dir, "model")
		must.OK(t, os.WriteFile(path, data, 0o600))
		checkLoad(t, name, path, len(data))
	}
}

func checkLoad(t *testing.T, name, path string, size int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run", "^TestLoadInAChild$", "-test.v")
	c.Env = append(os.Environ(), childModel+"="+path)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	_, rest, _ := strings.Cut(string(out), "MOST ")
	digits, _, _ := strings.Cut(rest, "\n")
	most, err := strconv.Atoi(digits)
	must.OK(t, err)
	t.Logf("%s: %.1f MB take %.1f MB: %.2f times", name, float64(size)/1e6, float64(most)*1024/1e6, float64(most)*1024/float64(size))
	if most*1024 > 3*size {
		t.Errorf("%s: %d MB take %d MB", name, size/1e6, most*1024/1e6)
	}
}
