package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/cli"
)

const (
	nucleusName = "aws.greengrass.Nucleus"
	// mountedStage is where the container has the staged tree.
	mountedStage = "/edgepdm/stage"
)

// platforms are a manifest's Platform by Go's name of the architecture.
var platforms = map[string]map[string]string{
	"amd64": {"architecture": "amd64"},
	"arm64": {"architecture": "aarch64"},
	"arm":   {"architecture": "arm", "architecture.detail": "armv7l"},
	"armv7": {"architecture": "arm", "architecture.detail": "armv7l"}, // as staging calls it
}

// settings say what is rendered.
type settings struct {
	stage, version, arch, thing, region string
	updates                             map[string]update
}

// recipe is a component's recipe as far as the configuration of a nucleus has it.
type recipe struct {
	Name          string `yaml:"ComponentName"`
	Version       string `yaml:"ComponentVersion"`
	Configuration struct {
		Default map[string]any `yaml:"DefaultConfiguration"`
	} `yaml:"ComponentConfiguration"`
	Dependencies map[string]struct {
		Type string `yaml:"DependencyType"`
	} `yaml:"ComponentDependencies"`
	Manifests []manifest `yaml:"Manifests"`
}

type manifest struct {
	Platform  map[string]string `yaml:"Platform"`
	Lifecycle map[string]any    `yaml:"Lifecycle"`
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
		s, err := r.service(set, recipes)
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
func readRecipes(stage, version string) ([]*recipe, error) {
	pattern := "*.yaml"
	if version != "" {
		pattern = "*-" + version + ".yaml"
	}
	files, err := filepath.Glob(filepath.Join(stage, "recipes", pattern))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there is no recipe %s in %s: run make stage", pattern, filepath.Join(stage, "recipes"))
	}
	var recipes []*recipe
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read recipe: %w", err)
		}
		r := &recipe{}
		if err := yaml.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("read recipe %s: %w", file, err)
		}
		if slices.ContainsFunc(recipes, func(o *recipe) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("%s is staged in more than one version: name the one to run with -version", r.Name)
		}
		recipes = append(recipes, r)
	}
	return recipes, nil
}

// service is the component in the nucleus's configuration.
func (r *recipe) service(set settings, all []*recipe) (service, error) {
	m, err := r.manifestFor(platforms[set.arch])
	if err != nil {
		return service{}, err
	}
	artifacts := path.Join(mountedStage, "artifacts", r.Name, r.Version)
	lifecycle, err := fill(m.Lifecycle, artifacts)
	if err != nil {
		return service{}, err
	}
	s := service{Type: "GENERIC", Version: r.Version, Lifecycle: lifecycle.(map[string]any)} // fill keeps the type
	s.Configuration = merged(r.Configuration.Default, set.updates[r.Name].Merge)
	for _, other := range all { // those of AWS are not there: without an account there are no credentials to exchange
		if d, depends := r.Dependencies[other.Name]; depends {
			s.Dependencies = append(s.Dependencies, other.Name+":"+d.Type)
		}
	}
	return s, nil
}

func (r *recipe) manifestFor(host map[string]string) (*manifest, error) {
	for i, m := range r.Manifests {
		fits := true
		for _, key := range []string{"architecture", "architecture.detail"} {
			fits = fits && (m.Platform[key] == "" || m.Platform[key] == host[key])
		}
		if fits {
			return &r.Manifests[i], nil
		}
	}
	return nil, fmt.Errorf("no manifest for architecture %s", host["architecture"])
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
