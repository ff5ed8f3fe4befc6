package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/recipe"
)

// goEnv is how Go calls an architecture that a recipe's artifact names carry.
var goEnv = map[string][]string{
	"amd64": {"GOARCH=amd64"},
	"arm64": {"GOARCH=arm64"},
	"armv7": {"GOARCH=arm", "GOARM=7"},
}

func architectures() []string { return []string{"amd64", "arm64", "armv7"} }

func chooseArchitectures(list string) ([]string, error) {
	switch list {
	case "all":
		return architectures(), nil
	case "host":
		list = runtime.GOARCH
		if list == "arm" {
			list = "armv7"
		}
	}
	archs := strings.Split(list, ",")
	for _, a := range archs {
		if !slices.Contains(architectures(), a) {
			return nil, cli.Usagef("-arch: %q is none of host, all, %s", a, strings.Join(architectures(), ", "))
		}
	}
	return archs, nil
}

// place is where a component's recipe, artifacts and bill of materials go.
type place struct {
	recipe    string // file
	artifacts string // folder
	sbom      string // file
}

func stagePlace(out, name, version string) place {
	return place{
		recipe:    filepath.Join(out, "recipes", name+"-"+version+".yaml"),
		artifacts: filepath.Join(out, "artifacts", name, version),
		sbom:      filepath.Join(out, "sbom", name+"-"+version+".cdx.json"),
	}
}

// buildFolder is where GDK wants the build, in the project's folder.
const buildFolder = "greengrass-build"

// gdkPlace has the folder that GDK made: its name is the version as gdk-config.json spells it, NEXT_PATCH included.
func gdkPlace(project, name, version string) place {
	p := stagePlace(filepath.Join(project, buildFolder), name, version)
	p.recipe = filepath.Join(project, buildFolder, "recipes", "recipe.yaml")
	return p
}

// gdkVersion is the component's version as its project's gdk-config.json spells it.
func gdkVersion(project, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(project, "gdk-config.json"))
	if err != nil {
		return "", fmt.Errorf("read GDK project: %w", err)
	}
	var config struct {
		Component map[string]struct {
			Version string `json:"version"`
		} `json:"component"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("read gdk-config.json: %w", err)
	}
	version := config.Component[name].Version
	if version == "" {
		return "", fmt.Errorf("read gdk-config.json: component.%s.version is missing", name)
	}
	return version, nil
}

// source is a component's recipe and artifacts, before they are staged.
type source struct {
	dir   string // folder below recipes/ and components/, or suite
	name  string
	text  []byte   // of the recipe
	files []string // artifacts' file names
	from  string   // folder of the artifacts, where they are no part of the project
}

func readSource(dir string) (*source, error) {
	file := filepath.Join("recipes", dir, "recipe.yaml")
	if dir == suite {
		file = "recipe.yaml"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r, err := recipe.Parse(recipe.WithVersion(text, "0.0.0"))
	if err != nil {
		return nil, fmt.Errorf("read recipe of %s: %w", dir, err)
	}
	p := &source{dir: dir, name: r.Name, text: text}
	for _, m := range r.Manifests {
		for _, a := range m.Artifacts {
			if file := a.File(); !slices.Contains(p.files, file) {
				p.files = append(p.files, file)
			}
		}
	}
	return p, nil
}

// pin makes the suite's recipe name exact versions of its components, which are staged together. Nucleus lite takes the first
// recipe file that fits a range, and both nuclei keep a running version that does.
func (p *source) pin(version string) {
	if p.dir != suite {
		return
	}
	dependency := regexp.MustCompile(`(?m)^(  com\.edgepdm\.\w+:\n    VersionRequirement: )">=0\.0\.0"$`)
	p.text = dependency.ReplaceAll(p.text, []byte(`${1}"=`+version+`"`))
}

// dropTokenExchange makes the recipe one for a core that is not registered in an account, where nothing gives credentials and
// the classic nucleus refuses what depends on them.
func (p *source) dropTokenExchange() {
	dependency := regexp.MustCompile(`(?m)^  aws\.greengrass\.TokenExchangeService:\n(    .*\n)+`)
	p.text = dependency.ReplaceAll(p.text, nil)
	p.text = regexp.MustCompile(`(?m)^ComponentDependencies:\n(Manifests:)`).ReplaceAll(p.text, []byte("$1"))
}

// only leaves out the manifests of architectures that are not built: a deployment to such a core then says that there is no
// manifest for it, and not that an artifact is missing.
func (p *source) only(archs []string) {
	const manifest = "\n  - Platform:"
	parts := strings.Split(string(p.text), manifest)
	kept := parts[:1]
	for _, part := range parts[1:] {
		program := regexp.MustCompile(regexp.QuoteMeta(p.dir) + `-linux-(\w+)`).FindStringSubmatch(part)
		if program == nil || slices.Contains(archs, program[1]) {
			kept = append(kept, part)
		}
	}
	p.text = []byte(strings.TrimRight(strings.Join(kept, manifest), "\n") + "\n")
}

// uploadTo makes the recipe say where its artifacts are after `aws s3 sync artifacts-build/artifacts s3://<bucket>`.
func (p *source) uploadTo(bucket, version string) {
	from, to := "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/", "s3://"+path.Join(bucket, p.name, version)+"/"
	p.text = bytes.ReplaceAll(p.text, []byte(from), []byte(to))
}

// stage builds the component's programs for the architectures, copies its other artifacts, and writes its recipe and its
// bill of materials.
func (p *source) stage(ctx context.Context, to place, version string, archs []string, s cli.Streams) error {
	if err := os.RemoveAll(to.artifacts); err != nil { // of an earlier run; other versions stay, to go back to
		return fmt.Errorf("empty %s: %w", to.artifacts, err)
	}
	for _, dir := range []string{to.artifacts, filepath.Dir(to.recipe), filepath.Dir(to.sbom)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	var programs []string
	for _, file := range p.files {
		target := filepath.Join(to.artifacts, file)
		arch, isProgram := strings.CutPrefix(file, p.dir+"-linux-")
		var err error
		switch {
		case isProgram && slices.Contains(archs, arch):
			err = build(ctx, p.dir, arch, version, target, s.Err)
			programs = append(programs, target)
		case !isProgram:
			err = p.copyArtifact(file, target)
		}
		if err != nil {
			return err
		}
	}
	if len(programs) > 0 {
		if err := writeBill(to.sbom, p.name, version, programs); err != nil {
			return err
		}
	}
	if err := os.WriteFile(to.recipe, recipe.WithVersion(p.text, version), 0o644); err != nil {
		return fmt.Errorf("write recipe: %w", err)
	}
	if err := readable(to, programs); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.Out, "staged %s %s: %s\n", p.name, version, to.recipe); err != nil {
		return err
	}
	return nil
}

// readable lets the nucleus's user read everything, whatever the umask of who stages is.
func readable(to place, programs []string) error {
	chmod := func(path string, mode os.FileMode) error {
		if err := os.Chmod(path, mode); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set permissions: %w", err)
		}
		return nil
	}
	err := errors.Join(chmod(to.recipe, 0o644), chmod(to.sbom, 0o644))
	for _, dir := range []string{
		to.artifacts, filepath.Dir(to.artifacts), filepath.Dir(filepath.Dir(to.artifacts)),
		filepath.Dir(to.recipe), filepath.Dir(to.sbom), filepath.Dir(filepath.Dir(to.recipe)),
	} {
		err = errors.Join(err, chmod(dir, 0o755))
	}
	files, listing := os.ReadDir(to.artifacts)
	for _, f := range files {
		path, mode := filepath.Join(to.artifacts, f.Name()), os.FileMode(0o644)
		if slices.Contains(programs, path) {
			mode = 0o755
		}
		err = errors.Join(err, chmod(path, mode))
	}
	return errors.Join(err, listing)
}

// build makes a static program whose bytes depend on the source, the version and the Go release only.
func build(ctx context.Context, dir, arch, version, target string, log io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+version, "-o", target, "./components/"+dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	cmd.Env = append(cmd.Env, goEnv[arch]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build components/%s for %s: %w", dir, arch, err)
	}
	return nil
}

// copyArtifact copies the one file of that name in the component's folder or a folder below it.
func (p *source) copyArtifact(file, target string) error {
	root := cmp.Or(p.from, filepath.Join("components", p.dir))
	var found []string
	for _, pattern := range []string{filepath.Join(root, file), filepath.Join(root, "*", file)} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("find artifact %s: %w", file, err)
		}
		found = append(found, matches...)
	}
	if len(found) != 1 {
		return fmt.Errorf("find artifact %s: %d files of that name in %s, must be one", file, len(found), root)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return fmt.Errorf("read artifact: %w", err)
	}
	if err := os.WriteFile(target, data, 0o644); err != nil {
		return fmt.Errorf("write artifact: %w", err)
	}
	return nil
}
