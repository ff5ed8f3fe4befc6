package deploy

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/need"
)

// emulators run a program of an architecture on a machine of another one.
var emulators = map[string]string{"amd64": "qemu-x86_64", "arm64": "qemu-aarch64", "armv7": "qemu-arm"}

// runOn runs a program, emulated unless it is of this machine's architecture.
func runOn(t *testing.T, arch, input, program string, args ...string) string {
	t.Helper()
	command := []string{program}
	if arch != hostArch() {
		command = []string{need.Tool(t, emulators[arch], "Debian: apt-get install qemu-user"), program}
	}
	cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], args...)...)
	cmd.Stdin = strings.NewReader(input)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q %q: %v\n%s", command, args, err, &errOut)
	}
	return string(out)
}

// Every program of every architecture starts, and the engine scores the golden rows to the bit that XGBoost had. CROSS names
// a staged tree with all architectures (version 0.1.0); without it one is made.
func TestProgramsRunOnEveryArchitecture(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("qemu-user runs Linux programs on Linux")
	}
	tree := os.Getenv("CROSS")
	if tree == "" {
		tree = stage(t, "-arch", "all", "-version", "0.1.0")
	}
	rows, margins := goldenRows(t)
	for _, arch := range []string{"amd64", "arm64", "armv7"} {
		t.Run(arch, func(t *testing.T) {
			for project, name := range projects {
				if name == event.Suite {
					continue
				}
				program := filepath.Base(project)
				path := filepath.Join(tree, "artifacts", name, "0.1.0", program+"-linux-"+arch)
				if got, want := runOn(t, arch, "", path, "-version"), program+" 0.1.0\n"; got != want {
					t.Errorf("-version says %q, want %q", got, want)
				}
				if got := runOn(t, arch, "", path, "-help"); !strings.Contains(got, "Usage:") {
					t.Errorf("%s -help says %q", program, got)
				}
			}
			folder := filepath.Join(tree, "artifacts", event.InferenceEngine, "0.1.0")
			scores := runOn(t, arch, rows, filepath.Join(folder, "inference-engine-linux-"+arch), "score", "-model", filepath.Join(folder, "model.ubj"))
			table, err := csv.NewReader(strings.NewReader(scores)).ReadAll()
			if err != nil || len(table) != len(margins)+1 {
				t.Fatalf("%d lines of scores for %d rows: %v", len(table), len(margins), err)
			}
			for i, want := range margins {
				if got := float32Of(t, table[i+1][0]); got != float32Of(t, want) {
					t.Errorf("row %d: margin %v, XGBoost had %s", i+1, got, want)
				}
			}
		})
	}
}

// goldenRows are the shipped model's golden rows, as the score command reads them, and XGBoost's margins.
func goldenRows(t *testing.T) (rows string, margins []string) {
	t.Helper()
	table, err := csv.NewReader(bytes.NewReader(read(t, need.Root(t), "components", "inference-engine", "model", "golden.csv"))).ReadAll()
	if err != nil || len(table) < 2 || table[0][0] != "margin" {
		t.Fatalf("%d lines of golden rows: %v", len(table), err)
	}
	var text strings.Builder
	for _, row := range table[1:] {
		margins = append(margins, row[0])
		text.WriteString(strings.Join(row[1:], ",") + "\n")
	}
	return text.String(), margins
}

func float32Of(t *testing.T, text string) float32 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 32)
	if err != nil {
		t.Fatal(err)
	}
	return float32(v)
}
