// Package recipe reads the recipes of Greengrass components, strictly: it refuses whatever it does not know.
package recipe

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// MaxSize is the largest recipe that AWS and nucleus lite accept, in bytes.
const MaxSize = 16_000

// Recipe is what a nucleus uses of a component's recipe.
type Recipe struct {
	Name, Version string
	Defaults      map[string]any // of the configuration: nil, bool, string, int64, uint64, float64, []any, map[string]any
	TextDefaults  map[string]any // as nucleus lite reads them: every scalar is a string
	Dependencies  map[string]Dependency
	Manifests     []Manifest
}

// Dependency is what a component demands of another one.
type Dependency struct {
	Requirement string // as the recipe writes it
	Range       Range
	Type        string // HARD or SOFT
}

// Manifest is a component on a platform.
type Manifest struct {
	Platform  map[string]string
	Lifecycle map[string]any // as the recipe writes it; Setenv, Install and Run say the same
	Setenv    map[string]string
	Install   *Step
	Run       *Step
	Artifacts []Artifact
}

// Step is one lifecycle script.
type Step struct {
	Script  string
	Timeout float64 // seconds; 0: none given
	Setenv  map[string]string
	Object  bool // written as an object with a Script, which shows in the log
}

// Artifact is a file that a component gets.
type Artifact struct {
	URI        string
	Executable bool
	Unarchive  bool
}

// File is the artifact's name in the component's folder.
func (a Artifact) File() string { return path.Base(a.URI) }

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// Read reads the recipe in a file.
func Read(file string) (*Recipe, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("parse recipe %s: %w", file, err)
	}
	return r, nil
}

// Parse reads a recipe and refuses whatever it does not know, naming the place: a nucleus ignores a misspelt key,
// and then the component does not do what its recipe says. It demands what either nucleus demands.
func Parse(data []byte) (*Recipe, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%d bytes, and a recipe has at most %d", len(data), MaxSize)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, fmt.Errorf("the recipe is empty")
	}
	value, err := fromYAML("", doc.Content[0], false)
	if err != nil {
		return nil, err
	}
	f := &fields{}
	r := f.recipe(value)
	if f.err != nil {
		return nil, f.err
	}
	text, err := fromYAML("", doc.Content[0], true)
	if err != nil {
		return nil, err
	}
	configuration := f.object("", text.(map[string]any)["ComponentConfiguration"]) // its shape was checked above
	r.TextDefaults = f.object("", configuration["DefaultConfiguration"])
	return r, f.err
}

// WithVersion returns the recipe in a project with the version in it that it is built as.
func WithVersion(project []byte, version string) []byte {
	return bytes.ReplaceAll(project, []byte("{COMPONENT_VERSION}"), []byte(version))
}

// fromYAML turns a YAML node into the types of the configuration store, or all its scalars into strings.
func fromYAML(at string, n *yaml.Node, text bool) (any, error) {
	switch n.Kind {
	case yaml.AliasNode: // a few of them, each of others, would fill the memory
		return nil, fmt.Errorf("%s: an alias, *%s: write the value", cmp.Or(at, "recipe"), n.Value)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := fromYAML(fmt.Sprintf("%s[%d]", at, i), c, text)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			where := join(at, key)
			if _, twice := m[key]; twice {
				return nil, fmt.Errorf("%s: given twice", where)
			}
			if n.Content[i].Kind != yaml.ScalarNode || n.Content[i].Tag == "!!merge" {
				return nil, fmt.Errorf("%s: a key must be a plain scalar (line %d)", where, n.Content[i].Line)
			}
			v, err := fromYAML(where, n.Content[i+1], text)
			if err != nil {
				return nil, err
			}
			m[key] = v
		}
		return m, nil
	default:
		return fromScalar(at, n, text)
	}
}

func fromScalar(at string, n *yaml.Node, text bool) (any, error) {
	if tag := n.ShortTag(); text || tag == "!!timestamp" || tag == "!!binary" || tag == "!!str" {
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: %s is not JSON", at, n.Value)
		}
	}
	return v, nil
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// fields takes values apart and keeps the first error, with its place.
type fields struct{ err error }

func (f *fields) fail(at, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: %s", cmp.Or(at, "recipe"), fmt.Sprintf(format, args...))
	}
}

// object returns v, which must be an object with no other keys than known; without known any key is good.
func (f *fields) object(at string, v any, known ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		f.fail(at, "must be an object")
	}
	for _, key := range sorted(m) {
		if len(known) > 0 && !slices.Contains(known, key) {
			f.fail(join(at, key), "unknown key; known here: %s", strings.Join(known, ", "))
		}
	}
	return m
}

func (f *fields) str(at string, v any, allowed ...string) string {
	s, ok := v.(string)
	switch {
	case !ok || s == "":
		f.fail(at, "must be a string that is not empty")
	case len(allowed) > 0 && !slices.Contains(allowed, s):
		f.fail(at, "is %q, must be one of %s", s, strings.Join(allowed, ", "))
	}
	return s
}

// optional is str where the key may be absent.
func (f *fields) optional(at string, v any, def string, allowed ...string) string {
	if v == nil {
		return def
	}
	return f.str(at, v, allowed...)
}

func (f *fields) list(at string, v any) []any {
	l, ok := v.([]any)
	if !ok && v != nil {
		f.fail(at, "must be a list")
	}
	return l
}

func (f *fields) strings(at string, v any) map[string]string {
	m := f.object(at, v)
	out := make(map[string]string, len(m))
	for _, key := range sorted(m) {
		s, ok := m[key].(string)
		if !ok {
			f.fail(join(at, key), "must be a string: quote it")
		}
		out[key] = s
	}
	return out
}

func (f *fields) recipe(v any) *Recipe {
	m := f.object("", v, "RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentDescription",
		"ComponentPublisher", "ComponentType", "ComponentConfiguration", "ComponentDependencies", "Manifests")
	f.str("RecipeFormatVersion", m["RecipeFormatVersion"], "2020-01-25")
	r := &Recipe{
		Name:         f.str("ComponentName", m["ComponentName"]),
		Version:      f.str("ComponentVersion", m["ComponentVersion"]),
		Dependencies: make(map[string]Dependency),
	}
	if !namePattern.MatchString(r.Name) {
		f.fail("ComponentName", "%q is not a component name", r.Name)
	}
	if !ValidVersion(r.Version) {
		f.fail("ComponentVersion", "%q is not a semantic version", r.Version)
	}
	f.optional("ComponentDescription", m["ComponentDescription"], "")
	f.optional("ComponentPublisher", m["ComponentPublisher"], "")
	f.optional("ComponentType", m["ComponentType"], "", "aws.greengrass.generic")
	configuration := f.object("ComponentConfiguration", m["ComponentConfiguration"], "DefaultConfiguration")
	r.Defaults = f.object("ComponentConfiguration.DefaultConfiguration", configuration["DefaultConfiguration"])
	f.accessControl(r.Defaults["accessControl"])

	deps := f.object("ComponentDependencies", m["ComponentDependencies"])
	for _, name := range sorted(deps) {
		at := "ComponentDependencies." + name
		d := f.object(at, deps[name], "VersionRequirement", "DependencyType")
		requirement := f.str(at+".VersionRequirement", d["VersionRequirement"])
		versions, err := ParseRange(requirement)
		if err != nil {
			f.fail(at+".VersionRequirement", "%v", err)
		}
		r.Dependencies[name] = Dependency{Requirement: requirement, Range: versions, Type: f.str(at+".DependencyType", d["DependencyType"], "HARD", "SOFT")}
	}
	manifests := f.list("Manifests", m["Manifests"])
	if len(manifests) == 0 {
		f.fail("Manifests", "must have at least one entry")
	}
	for i, v := range manifests {
		r.Manifests = append(r.Manifests, f.manifest(fmt.Sprintf("Manifests[%d]", i), v))
	}
	return r
}

func (f *fields) manifest(at string, v any) Manifest {
	m := f.object(at, v, "Name", "Platform", "Lifecycle", "Artifacts")
	platform := f.strings(at+".Platform", f.object(at+".Platform", m["Platform"],
		"os", "architecture", "architecture.detail", "runtime"))
	lifecycle := f.object(at+".Lifecycle", m["Lifecycle"], "Setenv", "install", "run")
	out := Manifest{
		Platform: platform, Lifecycle: lifecycle,
		Setenv:  f.strings(at+".Lifecycle.Setenv", lifecycle["Setenv"]),
		Install: f.step(at+".Lifecycle.install", lifecycle["install"]),
		Run:     f.step(at+".Lifecycle.run", lifecycle["run"]),
	}
	if out.Install == nil && out.Run == nil {
		f.fail(at+".Lifecycle", "needs a step: install or run")
	}
	if _, ok := m["Artifacts"]; !ok {
		f.fail(at+".Artifacts", "must be there: nucleus lite needs the key, if only with an empty list")
	}
	for i, v := range f.list(at+".Artifacts", m["Artifacts"]) {
		at := fmt.Sprintf("%s.Artifacts[%d]", at, i)
		a := f.object(at, v, "Uri", "Permission", "Unarchive", "Digest", "Algorithm")
		uri := f.str(at+".Uri", a["Uri"])
		if base := path.Base(uri); base == "." || base == "/" || base == ".." {
			f.fail(at+".Uri", "%q names no file", uri)
		}
		permission := f.object(at+".Permission", a["Permission"], "Read", "Execute")
		f.optional(at+".Permission.Read", permission["Read"], "OWNER", "NONE", "OWNER", "ALL")
		execute := f.optional(at+".Permission.Execute", permission["Execute"], "NONE", "NONE", "OWNER", "ALL")
		unarchive := f.optional(at+".Unarchive", a["Unarchive"], "NONE", "NONE", "ZIP")
		out.Artifacts = append(out.Artifacts, Artifact{uri, execute != "NONE", unarchive == "ZIP"})
	}
	return out
}

func (f *fields) step(at string, v any) *Step {
	if v == nil {
		return nil
	}
	if script, ok := v.(string); ok {
		return &Step{Script: script}
	}
	m := f.object(at, v, "Script", "Timeout", "Setenv", "RequiresPrivilege")
	s := &Step{
		Script: f.str(at+".Script", m["Script"]),
		Setenv: f.strings(at+".Setenv", m["Setenv"]),
		Object: true,
	}
	switch t := m["Timeout"].(type) {
	case nil:
	case int64:
		s.Timeout = float64(t)
	case float64:
		s.Timeout = t
	default:
		f.fail(at+".Timeout", "must be a number of seconds")
	}
	if s.Timeout < 0 {
		f.fail(at+".Timeout", "must not be negative")
	}
	if p, ok := m["RequiresPrivilege"].(bool); m["RequiresPrivilege"] != nil && (!ok || p) {
		f.fail(at+".RequiresPrivilege", "must be false: no script of this suite runs as root")
	}
	return s
}

// accessControl checks the shape of the grants that a recipe gives by default.
func (f *fields) accessControl(v any) {
	at := "ComponentConfiguration.DefaultConfiguration.accessControl"
	services := f.object(at, v)
	for _, service := range sorted(services) {
		policies := f.object(join(at, service), services[service])
		for _, id := range sorted(policies) {
			at := join(join(at, service), id)
			p := f.object(at, policies[id], "policyDescription", "operations", "resources")
			for _, key := range []string{"operations", "resources"} {
				if len(f.list(join(at, key), p[key])) == 0 {
					f.fail(join(at, key), "must be a list that is not empty")
				}
				for i, e := range f.list(join(at, key), p[key]) {
					f.str(fmt.Sprintf("%s.%s[%d]", at, key, i), e)
				}
			}
		}
	}
}

// ManifestFor returns the first manifest whose platform is host's, as a nucleus chooses. With needsRuntime a manifest that
// names no runtime is passed over, as nucleus lite does.
func (r *Recipe) ManifestFor(host map[string]string, needsRuntime bool) (*Manifest, error) {
	for i := range r.Manifests {
		platform := r.Manifests[i].Platform
		if matchesPlatform(platform, host) && (platform["runtime"] != "" || !needsRuntime) {
			return &r.Manifests[i], nil
		}
	}
	return nil, fmt.Errorf("recipe of %s %s: no manifest for os %s, architecture %s %s", r.Name, r.Version,
		host["os"], host["architecture"], host["architecture.detail"])
}

func matchesPlatform(want, host map[string]string) bool {
	for key, v := range want {
		if v != "*" && v != host[key] {
			return false
		}
	}
	return true
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
