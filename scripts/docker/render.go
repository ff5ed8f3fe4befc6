package main

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/cli"
	"edgepdm/shared/recipe"
)

const (
	nucleusName = "aws.greengrass.Nucleus"
	// mountedStage is where the container has the staged tree.
	mountedStage = "/edgepdm/stage"
)

// platforms are what a manifest's Platform is compared with, by Go's name of the architecture.
var platforms = map[string]map[string]string{
	"amd64": platform("amd64", ""),
	"arm64": platform("aarch64", ""),
	"arm":   platform("arm", "armv7l"),
	"armv7": platform("arm", "armv7l"), // as staging calls it
}

func platform(architecture, detail string) map[string]string {
	return map[string]string{"os": "linux", "architecture": architecture, "architecture.detail": detail, "runtime": "aws_nucleus_classic"}
}

// settings say what is rendered.
type settings struct {
	stage, version, arch, thing, region string
	updates                             map[string]update
}

// service is a component in the nucleus's configuration, where KernelConfigResolver.getServiceConfig of the classic nucleus
// puts what it takes from a recipe.
type service struct {
	Type          string         `yaml:"componentType"`
	Version       string         `yaml:"version,omitempty"`
	Dependencies  []string       `yaml:"dependencies,omitempty"`
	Lifecycle     map[string]any `yaml:"lifecycle,omitempty"`
	Configuration map[string]any `yaml:"configuration,omitempty"`
}

// render returns the configuration, and the names of the components in it.
func render(set settings) (text []byte, names []string, err error) {
	recipes, err := readRecipes(set.stage, set.version)
	if err != nil {
		return nil, nil, err
	}
	if platforms[set.arch] == nil {
		return nil, nil, cli.Usagef("-arch: %q is none of amd64, arm64, armv7", set.arch)
	}
	services := map[string]any{
		nucleusName: service{Type: "NUCLEUS", Configuration: map[string]any{
			"awsRegion":      set.region,
			"runWithDefault": map[string]any{"posixUser": "ggc_user:ggc_group"},
		}},
	}
	for _, r := range recipes {
		s, err := newService(r, set, recipes)
		if err != nil {
			return nil, nil, fmt.Errorf("render %s: %w", r.Name, err)
		}
		services[r.Name] = s
		names = append(names, r.Name)
	}
	for name := range set.updates {
		if !slices.Contains(names, name) {
			return nil, nil, fmt.Errorf("-merge: %s is not staged; staged are %s", name, strings.Join(names, ", "))
		}
	}
	services["main"] = map[string]any{"lifecycle": map[string]any{}, "dependencies": append([]string{nucleusName}, names...)}
	text, err = yaml.Marshal(map[string]any{
		"system":   map[string]any{"thingName": set.thing},
		"services": services,
	})
	return text, names, err
}

// readRecipes reads the staged recipes of a version, sorted by name; with "" there must be one version of each component.
func readRecipes(stage, version string) ([]*recipe.Recipe, error) {
	pattern := "*.yaml"
	if version != "" {
		pattern = "*-" + version + ".yaml"
	}
	files, err := filepath.Glob(filepath.Join(stage, "recipes", pattern))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there is no recipe %s in %s: run make stage", pattern, filepath.Join(stage, "recipes"))
	}
	var recipes []*recipe.Recipe
	for _, file := range files {
		r, err := recipe.Read(file)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(recipes, func(o *recipe.Recipe) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("%s is staged in more than one version: name the one to run with -version", r.Name)
		}
		recipes = append(recipes, r)
	}
	return recipes, nil
}

// newService returns the component as the nucleus's configuration has it.
func newService(r *recipe.Recipe, set settings, all []*recipe.Recipe) (service, error) {
	m, err := r.ManifestFor(platforms[set.arch], false)
	if err != nil {
		return service{}, err
	}
	artifacts := path.Join(mountedStage, "artifacts", r.Name, r.Version)
	lifecycle, err := fill(m.Lifecycle, artifacts)
	if err != nil {
		return service{}, err
	}
	s := service{Type: "GENERIC", Version: r.Version, Lifecycle: lifecycle.(map[string]any)} // fill keeps the type
	s.Configuration = merged(r.Defaults, set.updates[r.Name].Merge)
	for _, other := range all { // those of AWS are not there: without an account there are no credentials to exchange
		if d, depends := r.Dependencies[other.Name]; depends {
			s.Dependencies = append(s.Dependencies, other.Name+":"+d.Type)
		}
	}
	return s, nil
}

var variable = regexp.MustCompile(`\{[a-zA-Z.]+:[^{}]*\}`)

// fill replaces {artifacts:path}: a nucleus fills recipe variables in when it deploys, not when it reads a configuration.
func fill(v any, artifacts string) (any, error) {
	switch v := v.(type) {
	case string:
		text := strings.ReplaceAll(v, "{artifacts:path}", artifacts)
		if left := variable.FindString(text); left != "" {
			return nil, fmt.Errorf("the recipe variable %s cannot be filled in without a deployment", left)
		}
		return text, nil
	case map[string]any:
		filled := make(map[string]any, len(v))
		for key, value := range v {
			f, err := fill(value, artifacts)
			if err != nil {
				return nil, err
			}
			filled[key] = f
		}
		return filled, nil
	default:
		return v, nil
	}
}

// merged returns the defaults with the update over them, as a deployment's merge does it: objects key by key, all else
// replaced.
func merged(defaults, update map[string]any) map[string]any {
	out := make(map[string]any, len(defaults)+len(update))
	for key, value := range defaults {
		out[key] = value
	}
	for key, value := range update {
		below, isObject := value.(map[string]any)
		if was, wasObject := out[key].(map[string]any); isObject && wasObject {
			out[key] = merged(was, below)
		} else {
			out[key] = value
		}
	}
	return out
}
