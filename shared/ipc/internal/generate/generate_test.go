package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

const ipcDir = "../.."

// The committed files are what the generator makes of the model: run go generate ./shared/ipc after a change.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(ipcDir)
	must.OK(t, err)
	committed, err := filepath.Glob(filepath.Join(ipcDir, "*_gen.go"))
	must.OK(t, err)
	if len(committed) != len(files)-1 { // README.md
		t.Errorf("%d files *_gen.go, the generator makes %d", len(committed), len(files)-1)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(ipcDir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the model gives: run go generate ./shared/ipc", name)
		}
	}
}

func TestRunWritesTheFiles(t *testing.T) {
	dir := t.TempDir()
	text := must.Read(t, filepath.Join(ipcDir, "model", "greengrass.yaml"))
	write(t, filepath.Join(dir, "model", "greengrass.yaml"), string(text))
	readme := filepath.Join(dir, "README.md")
	write(t, readme, "before\n"+tableBegin+"old\n"+tableEnd+"after\n")
	for range 2 { // the second run changes nothing
		must.OK(t, run(dir))
		got := must.Read(t, readme)
		rows := strings.Count(string(got), "\n| ")
		if rows != 36 || !strings.HasPrefix(string(got), "before\n") || !strings.HasSuffix(string(got), tableEnd+"after\n") || strings.Contains(string(got), "old") {
			t.Errorf("README with %d rows:\n%s", rows, got)
		}
	}
	write(t, readme, "no marks")
	if err := run(dir); err == nil || !strings.Contains(err.Error(), "no marks") {
		t.Errorf("a README without marks: %v", err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	must.OK(t, os.MkdirAll(filepath.Dir(file), 0o700))
	must.OK(t, os.WriteFile(file, []byte(text), 0o600))
}

func TestTheModelHasEveryOperation(t *testing.T) {
	text := must.Read(t, filepath.Join(ipcDir, "model", "greengrass.yaml"))
	m, err := parseModel(text)
	must.OK(t, err)
	lite, streams := 0, 0
	for _, op := range m.Operations {
		if op.Lite {
			lite++
		}
		if (op.Stream != "") != strings.HasPrefix(op.Name, "SubscribeTo") {
			t.Errorf("%s: stream %q", op.Name, op.Stream)
		}
		if op.Stream != "" {
			streams++
		}
	}
	if len(m.Operations) != 35 || lite != 12 || streams != 7 || len(m.Errors) != 12 {
		t.Errorf("%d operations, %d on lite, %d streams, %d errors", len(m.Operations), lite, streams, len(m.Errors))
	}
}

func TestMistakesInTheModel(t *testing.T) {
	const operation = "operations: [{name: Op, doc: d, classic: yes, tested: [unit]"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":            {"shapes: []", "shapes"},
		"unknown type":           {operation + ", request: [{name: a, type: strin, doc: d}]}]", `Op: a: unknown type "strin"`},
		"unknown element":        {operation + ", request: [{name: a, type: list of X, doc: d}]}]", `unknown type "X"`},
		"unknown error":          {operation + ", errors: [X]}]", "Op: unknown error X"},
		"stream of no union":     {operation + ", stream: X}]", "Op: a stream has a union"},
		"member without doc":     {operation + ", response: [{name: a, type: string}]}]", "Op: a: doc is missing"},
		"operation without doc":  {"operations: [{name: Op}]", "Op: doc, classic or tested is missing"},
		"structure's bad member": {"structures: [{name: S, doc: d, members: [{name: a, type: x, doc: d}]}]", "S: a: unknown type"},
	} {
		if _, err := parseModel([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for want, f := range map[string]member{
		"ThingName": {Name: "thingName"}, "DeploymentID": {Name: "deploymentId"}, "QoS": {Name: "qos", Go: "QoS"}, "IsValid": {Name: "isValid"},
	} {
		if got := goName(f); got != want {
			t.Errorf("%s is %s, want %s", f.Name, got, want)
		}
	}
	long := strings.Repeat("word ", 30)
	for line := range strings.SplitSeq(comment(1, long+"\n\n"+long), "\n") {
		if !strings.HasPrefix(line, "\t//") || len(line)+3 > lineLength {
			t.Errorf("line %q", line)
		}
	}
}
