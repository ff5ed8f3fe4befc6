package gbdt

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"edgepdm/test/need"
)

// TestARM64 runs the tests of exactness as an arm64 program: there the compiler may round a product and a sum once instead of
// twice, which shows in the last bit.
func TestARM64(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is arm64")
	}
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		emulator = need.Tool(t, "qemu-aarch64", "Debian: apt-get install qemu-user")
	}
	goTool := need.Tool(t, "go", "it is what runs this test")
	program := filepath.Join(t.TempDir(), "gbdt.test")
	build := exec.CommandContext(t.Context(), goTool, "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tests := []string{"TestExact", "TestMargin", "TestExpf", "TestLogf", "TestReference", "TestExplainReference", "TestWholeReference"}
	run := exec.CommandContext(t.Context(), emulator, program, "-test.v", "-test.run", "^("+strings.Join(tests, "|")+")$")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range tests {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") && name != "TestWholeReference" { // whose data may be missing
			t.Errorf("%s did not run:\n%s", name, out)
		}
	}
}
