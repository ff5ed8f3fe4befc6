// Command stage builds the components and lays them out for a deployment: for greengrass-cli and ggl-cli in
// artifacts-build/ (recipes/<Name>-<version>.yaml, artifacts/<Name>/<version>/<file>), or for GDK in greengrass-build/.
package main

import (
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
	component.Execute(cli.Program{
		Name: "stage", Version: "dev", Summary: "build the components and lay them out for a deployment",
		Commands: []cli.Command{{Name: "", Summary: "build and lay out", Run: run}},
	})
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("stage [-version X.Y.Z] [-arch host|all|LIST] [-only LIST] [-out DIR] [-gdk DIR]", s)
	version := fs.String("version", "0.1.0", "component `version`, three numbers")
	arch := fs.String("arch", "host", "architectures: host, all, or a `list` of "+strings.Join(architectures(), ","))
	only := fs.String("only", "", "`list` of folders below recipes/; empty: all")
	out := fs.String("out", "artifacts-build", "`folder` that is emptied and filled for greengrass-cli")
	gdk := fs.String("gdk", "", "GDK project `folder`, whose greengrass-build/ is filled instead of -out")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(*version) {
		return cli.Usagef("-version: %q is not three numbers such as 1.2.3", *version)
	}
	archs, err := chooseArchitectures(*arch)
	if err != nil {
		return err
	}
	names, err := chooseComponents(*only)
	if err != nil {
		return err
	}
	if *gdk != "" && len(names) != 1 {
		return cli.Usagef("-gdk: a GDK project has one component, -only names %d", len(names))
	}
	if *gdk == "" {
		for _, dir := range []string{"recipes", "artifacts"} {
			if err := os.RemoveAll(filepath.Join(*out, dir)); err != nil {
				return fmt.Errorf("empty %s: %w", *out, err)
			}
		}
	}
	for _, name := range names {
		recipe, err := readRecipe(name)
		if err != nil {
			return err
		}
		place := stagePlace(*out, recipe.name, *version)
		if *gdk != "" {
			if place, err = gdkPlace(*gdk, recipe.name); err != nil {
				return err
			}
		}
		if err := recipe.stage(ctx, place, *version, archs, s.Err); err != nil {
			return fmt.Errorf("stage %s: %w", name, err)
		}
		if _, err := fmt.Fprintf(s.Out, "staged %s %s: %s\n", recipe.name, *version, place.recipe); err != nil {
			return err
		}
	}
	return nil
}

// chooseComponents returns the folders below recipes/ that the list names, or all.
func chooseComponents(list string) ([]string, error) {
	found, err := filepath.Glob("recipes/*/recipe.yaml")
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("find recipes/*/recipe.yaml in %s: run this in the root of the repository", workingDir())
	}
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
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
