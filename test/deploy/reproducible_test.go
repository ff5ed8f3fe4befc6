package deploy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"

	"edgepdm/test/need"
)

// hostArch is how an artifact's name calls the architecture of this machine.
func hostArch() string {
	if runtime.GOARCH == "arm" {
		return "armv7"
	}
	return runtime.GOARCH
}

// checkSums compares SHA256SUMS with the tree, file by file.
func checkSums(t *testing.T, root string) {
	t.Helper()
	sums := make(map[string]string)
	for line := range strings.Lines(string(read(t, root, "SHA256SUMS"))) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			t.Errorf("line %q of SHA256SUMS", line)
		}
		sums[name] = sum
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "SHA256SUMS" {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(read(t, path))
		if sums[name] != hex.EncodeToString(sum[:]) {
			t.Errorf("SHA256SUMS has %q for %s", sums[name], name)
		}
		delete(sums, name)
		return nil
	})
	if err != nil || len(sums) != 0 {
		t.Errorf("SHA256SUMS names files that are not there: %v, %v", sums, err)
	}
}

// Two builds in two folders, one with an empty build cache, have the same bytes: SHA256SUMS covers everything.
func TestBuildsAreReproducible(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "stage")
	command(t, "go", "build", "-o", tool, "./scripts/stage")
	args := []string{"-version", "1.2.3", "-arch", "arm64", "-only", "sensor-simulator,suite"}
	here, there := t.TempDir(), t.TempDir()
	command(t, tool, append(args, "-out", here)...)
	cmd := exec.CommandContext(t.Context(), tool, append(args, "-out", there)...)
	cmd.Dir, cmd.Env = copyTree(t), append(os.Environ(), "GOCACHE="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if a, b := read(t, here, "SHA256SUMS"), read(t, there, "SHA256SUMS"); !bytes.Equal(a, b) {
		t.Errorf("the builds differ:\n%s\n%s", a, b)
	}
	checkSums(t, there)
}

// The bill of materials names every program with its hash, and every module that is linked into it.
func TestBillOfMaterials(t *testing.T) {
	dir := stage(t, "-version", "1.2.3", "-only", "cloud-forwarder,suite")
	var bill cyclonedx.BOM
	file := read(t, dir, "sbom", "com.edgepdm.CloudForwarder-1.2.3.cdx.json")
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(file), cyclonedx.BOMFileFormatJSON).Decode(&bill); err != nil {
		t.Fatal(err)
	}
	if bill.SpecVersion != cyclonedx.SpecVersion1_6 || bill.Metadata.Component.Name != "com.edgepdm.CloudForwarder" || bill.Metadata.Component.Version != "1.2.3" {
		t.Errorf("bill %+v of %+v", bill.SpecVersion, bill.Metadata.Component)
	}
	byName := make(map[string]cyclonedx.Component)
	refs := make(map[string]bool)
	for _, c := range *bill.Components {
		byName[c.Name] = c
		if refs[c.BOMRef] {
			t.Errorf("%s is there twice", c.BOMRef)
		}
		refs[c.BOMRef] = true
	}
	program := "cloud-forwarder-linux-" + hostArch()
	sum := sha256.Sum256(read(t, dir, "artifacts", "com.edgepdm.CloudForwarder", "1.2.3", program))
	if c := byName[program]; c.Hashes == nil || (*c.Hashes)[0].Value != hex.EncodeToString(sum[:]) {
		t.Errorf("program %+v", c)
	}
	gomod := string(read(t, need.Root(t), "go.mod"))
	for _, module := range []string{"stdlib", "github.com/aws/aws-sdk-go-v2/service/sns", "github.com/go-viper/mapstructure/v2"} {
		c := byName[module]
		if c.PackageURL != "pkg:golang/"+module+"@"+c.Version || c.Version == "" {
			t.Errorf("module %s: %+v", module, c)
		}
		if module != "stdlib" && !strings.Contains(gomod, module+" "+c.Version) {
			t.Errorf("module %s %s is not what go.mod says", module, c.Version)
		}
	}
	if _, ok := byName["github.com/CycloneDX/cyclonedx-go"]; ok {
		t.Error("a build tool is in the bill")
	}
	if _, err := os.Stat(filepath.Join(dir, "sbom", "com.edgepdm.Suite-1.2.3.cdx.json")); !os.IsNotExist(err) {
		t.Errorf("a bill for a component without programs: %v", err)
	}
}
