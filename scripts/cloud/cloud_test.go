package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// zipOf is a function's zip file.
func zipOf(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	entry, err := archive.Create("bootstrap")
	must.OK(t, err)
	_, err = entry.Write([]byte(content))
	must.OK(t, err)
	must.OK(t, archive.Close())
	return b.Bytes()
}

// inFolder goes to an empty folder, where core-provision puts the files of its cores, and returns how up is called there.
func (a *testAWS) inFolder(template string) []string {
	a.t.Helper()
	dir := filepath.Join(a.root, "scripts", "cloud")
	a.t.Chdir(a.t.TempDir())
	text, err := os.ReadFile(filepath.Join(dir, template))
	must.OK(a.t, err)
	// moto deletes resources of AWS IoT only by a name that no function makes.
	must.OK(a.t, os.WriteFile("template.yaml", regexp.MustCompile(`(PolicyName|RoleAlias): !Sub "\$\{AWS::StackName\}-`).ReplaceAll(text, []byte(`$1: "pdm-`)), 0o600))
	return []string{"up", "-template", "template.yaml", "-loop", filepath.Join(dir, "loop"), "-train", filepath.Join(a.root, "scripts", "train")}
}

// The whole way with the real template: the account has afterwards what it had before.
func TestUpProvisionDown(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("template.yaml")
	before := a.inventory()
	t.Log(a.do(append(up, "-email", "you@example.com")...))
	made := a.inventory()
	t.Log(strings.Join(made, "\n"))
	t.Log(a.do(append(up, "-email", "you@example.com")...))
	if again := a.inventory(); !slices.Equal(again, made) {
		t.Errorf("after the second up: %q", again)
	}
	t.Log(a.do("core-provision", "-name", "press-1"))
	t.Log(a.do("status"))
	t.Log(a.do("down", "-yes"))
	if left := a.inventory(); !slices.Equal(left, before) {
		t.Errorf("left in the account: %q", left)
	}
	if _, err := os.Stat("cores/press-1"); err == nil {
		t.Error("the core's files are still there")
	}
}
