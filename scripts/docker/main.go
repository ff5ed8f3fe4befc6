// Command docker renders the staged recipes into one initial configuration of a classic nucleus (INIT_CONFIG of the
// official image), with which the nucleus starts the components at once: without an AWS account, and without a deployment.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
)

func main() {
	component.Tool("docker", "render the nucleus's initial configuration from the staged recipes", run)
}

func run(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("docker [-stage DIR] [-version X.Y.Z] [-arch ARCH] [-merge FILE] [-out FILE]", s)
	stage := fs.String("stage", "artifacts-build", "staged `folder`, made by make stage")
	arch := fs.String("arch", runtime.GOARCH, "`architecture` of the container, amd64, arm64 or armv7")
	version := fs.String("version", "", "staged `version` to run; empty: the only one")
	merge := fs.String("merge", "", "JSON `file` {\"NAME\":{\"MERGE\":{...}}} to merge into the components' configuration")
	out := fs.String("out", "docker-run/config.yaml", "`file` to write")
	thing := fs.String("thing", "edgepdm-docker", "`name` of the core's thing")
	region := fs.String("region", "us-east-1", "AWS `region`")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	updates, err := readUpdates(*merge)
	if err != nil {
		return err
	}
	text, names, err := render(settings{stage: *stage, version: *version, arch: *arch, thing: *thing, region: *region, updates: updates})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := durable.WriteFileAtomic(*out, text, 0o644); err != nil { // the nucleus's user reads it, whatever the umask is
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = fmt.Fprintf(s.Out, "%s: %d components\n", *out, len(names))
	return err
}

// update is what a deployment changes in a component's configuration, as greengrass-cli takes it.
type update struct {
	Merge map[string]any `json:"MERGE"`
}

func readUpdates(file string) (map[string]update, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read -merge: %w", err)
	}
	defer f.Close()
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	var updates map[string]update
	if err := decoder.Decode(&updates); err != nil {
		return nil, fmt.Errorf("read -merge %s: %w", file, err)
	}
	return updates, nil
}
