// Command stage builds the components and lays them out for a deployment: for greengrass-cli and ggl-cli in
// artifacts-build/ (recipes/<Name>-<version>.yaml, artifacts/<Name>/<version>/<file>), or for GDK in greengrass-build/.
//
// Beside recipes/ and artifacts/ it leaves sbom/<Name>-<version>.cdx.json, a CycloneDX bill of materials of each component
// with programs, and SHA256SUMS over everything. They are in neither of the two folders: GDK publishes every file that
// lies in artifacts/<Name>/<version>, and greengrass-cli takes every file in recipes/ for a recipe.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
)

func main() {
	component.Tool("stage", "build the components and lay them out for a deployment", run)
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("stage [-version X.Y.Z] [-arch host|all|LIST] [-only LIST] [-out DIR] [-bucket NAME] [-offline] [-gdk DIR] [-model DIR]", s)
	version := fs.String("version", "", "component `version`, three numbers (default: 0.0.0, with -model the model's); with -gdk the project's own")
	arch := fs.String("arch", "host", "architectures: host, all, or a `list` of "+strings.Join(architectures(), ","))
	only := fs.String("only", "", "`list` of folders below recipes/, or suite, whose project is the root; empty: all")
	out := fs.String("out", "artifacts-build", "`folder` that is filled for greengrass-cli; other versions in it stay")
	bucket := fs.String("bucket", "", "S3 `bucket` of which the recipes tell, for a deployment from the cloud; empty: none, for a local one")
	gdk := fs.String("gdk", "", "GDK project `folder`, whose greengrass-build/ is filled instead of -out")
	offline := fs.Bool("offline", false, "leave out the dependency on the token exchange service, for a core without an account")
	model := fs.String("model", "", "`folder` of a packed and signed model, which is staged as a component instead of the suite's")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	archs, err := chooseArchitectures(*arch)
	if err != nil {
		return err
	}
	names, err := chooseComponents(*only)
	if err != nil {
		return err
	}
	var sources []*source
	switch {
	case *model != "" && (*gdk != "" || *only != ""):
		return cli.Usagef("-model: stages one component, of no project of GDK's: -gdk and -only are not for it")
	case *model != "":
		p, packed, err := readModel(*model)
		if err != nil {
			return err
		}
		sources, *version = []*source{p}, cmp.Or(*version, packed)
	case *gdk != "":
		return stageForGDK(ctx, *gdk, names, archs, s)
	default:
		*version = cmp.Or(*version, "0.0.0")
		for _, name := range names {
			p, err := readSource(name)
			if err != nil {
				return err
			}
			sources = append(sources, p)
		}
	}
	if *bucket != "" && !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(*bucket) {
		return cli.Usagef("-bucket: %q is not the name of an S3 bucket: a-z 0-9 . -, 3 to 63 characters, no s3:// before it", *bucket)
	}
	if *bucket != "" && *offline {
		return cli.Usagef("-offline: a core without an account gets nothing from the bucket %s", *bucket)
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(*version) {
		return cli.Usagef("-version: %q is not three numbers such as 1.2.3", *version)
	}
	for _, p := range sources {
		p.pin(*version)
		if *offline {
			p.dropTokenExchange()
		}
		if *bucket != "" {
			p.only(archs)
			p.uploadTo(*bucket, *version)
		}
		if err := p.stage(ctx, stagePlace(*out, p.name, *version), *version, archs, s); err != nil {
			return fmt.Errorf("stage %s: %w", p.name, err)
		}
	}
	return writeSums(*out)
}

// stageForGDK fills the greengrass-build/ that GDK has emptied. The version is that of gdk-config.json: with NEXT_PATCH
// only the publication decides which it is, and the programs' -version says NEXT_PATCH.
func stageForGDK(ctx context.Context, project string, names, archs []string, s cli.Streams) error {
	if len(names) != 1 {
		return cli.Usagef("-gdk: a GDK project has one component, -only names %d", len(names))
	}
	p, err := readSource(names[0])
	if err != nil {
		return err
	}
	version, err := gdkVersion(project, p.name)
	if err != nil {
		return err
	}
	if err := p.stage(ctx, gdkPlace(project, p.name, version), version, archs, s); err != nil {
		return fmt.Errorf("stage %s: %w", names[0], err)
	}
	return writeSums(filepath.Join(project, buildFolder))
}

// suite is the name under which the root's project is staged: a component without programs.
const suite = "suite"

// chooseComponents returns the folders below recipes/ that the list names, or all and the suite.
func chooseComponents(list string) ([]string, error) {
	found, err := filepath.Glob("recipes/*/recipe.yaml")
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("find recipes/*/recipe.yaml in %s: run this in the root of the repository", workingDir())
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	names = append(names, suite)
	if list == "" {
		return names, nil
	}
	wanted := strings.Split(list, ",")
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return nil, cli.Usagef("-only: there is no recipes/%s/recipe.yaml", w)
		}
	}
	return wanted, nil
}

func workingDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "the working directory"
	}
	return dir
}
