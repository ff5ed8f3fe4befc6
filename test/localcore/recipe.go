package localcore

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"edgepdm/test/localcore/nucleus"
)

// maxRecipe is the largest recipe that AWS and nucleus lite accept, in bytes.
const maxRecipe = 16_000

// recipe is what the core uses of a component's recipe.
type recipe struct {
	name, version string
	defaults      map[string]any
	textDefaults  map[string]any // as nucleus lite reads them: every scalar is a string
	dependencies  map[string]dependency
	manifests     []manifest
}

type dependency struct {
	requirement versionRange
	hard        bool
}

type manifest struct {
	platform  map[string]string
	setenv    map[string]string
	install   *step
	run       *step
	artifacts []artifact
}

// step is one lifecycle script.
type step struct {
	script  string
	timeout float64 // seconds; 0: none given
	setenv  map[string]string
	object  bool // written as an object with a Script, which shows in the log
}

type artifact struct {
	uri        string
	executable bool
	unarchive  bool
}

func (a artifact) file() string { return path.Base(a.uri) }

var (
	namePattern    = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`)
)

func readRecipe(file string) (*recipe, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r, err := parseRecipe(data)
	if err != nil {
		return nil, fmt.Errorf("parse recipe %s: %w", file, err)
	}
	return r, nil
}

// parseRecipe reads a recipe and refuses whatever it does not know, naming the place: a nucleus ignores a misspelt key,
// and then the component does not do what its recipe says. It demands what either nucleus demands.
func parseRecipe(data []byte) (*recipe, error) {
	if len(data) > maxRecipe {
		return nil, fmt.Errorf("%d bytes, and a recipe has at most %d", len(data), maxRecipe)
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
	r.textDefaults = f.object("", configuration["DefaultConfiguration"])
	return r, f.err
}

// fromYAML turns a YAML node into the types of the configuration store, or all its scalars into strings.
func fromYAML(at string, n *yaml.Node, text bool) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return fromYAML(at, n.Alias, text)
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
	}
	if tag := n.ShortTag(); text || tag == "!!timestamp" || tag == "!!binary" || tag == "!!str" {
		return n.Value, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil, fmt.Errorf("%s: %s is not JSON", at, n.Value)
	}
	return nucleus.Normalise(at, v)
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
	for _, key := range nucleus.SortedKeys(m) {
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
	for _, key := range nucleus.SortedKeys(m) {
		s, ok := m[key].(string)
		if !ok {
			f.fail(join(at, key), "must be a string: quote it")
		}
		out[key] = s
	}
	return out
}

func (f *fields) recipe(v any) *recipe {
	m := f.object("", v, "RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentDescription",
		"ComponentPublisher", "ComponentType", "ComponentConfiguration", "ComponentDependencies", "Manifests")
	f.str("RecipeFormatVersion", m["RecipeFormatVersion"], "2020-01-25")
	r := &recipe{
		name:         f.str("ComponentName", m["ComponentName"]),
		version:      f.str("ComponentVersion", m["ComponentVersion"]),
		dependencies: make(map[string]dependency),
	}
	if !namePattern.MatchString(r.name) {
		f.fail("ComponentName", "%q is not a component name", r.name)
	}
	if !versionPattern.MatchString(r.version) {
		f.fail("ComponentVersion", "%q is not a semantic version", r.version)
	}
	f.optional("ComponentDescription", m["ComponentDescription"], "")
	f.optional("ComponentPublisher", m["ComponentPublisher"], "")
	f.optional("ComponentType", m["ComponentType"], "", "aws.greengrass.generic")
	configuration := f.object("ComponentConfiguration", m["ComponentConfiguration"], "DefaultConfiguration")
	r.defaults = f.object("ComponentConfiguration.DefaultConfiguration", configuration["DefaultConfiguration"])
	f.accessControl(r.defaults["accessControl"])

	deps := f.object("ComponentDependencies", m["ComponentDependencies"])
	for _, name := range nucleus.SortedKeys(deps) {
		at := "ComponentDependencies." + name
		d := f.object(at, deps[name], "VersionRequirement", "DependencyType")
		requirement, err := parseRange(f.str(at+".VersionRequirement", d["VersionRequirement"]))
		if err != nil {
			f.fail(at+".VersionRequirement", "%v", err)
		}
		kind := f.str(at+".DependencyType", d["DependencyType"], "HARD", "SOFT")
		r.dependencies[name] = dependency{requirement: requirement, hard: kind == "HARD"}
	}
	manifests := f.list("Manifests", m["Manifests"])
	if len(manifests) == 0 {
		f.fail("Manifests", "must have at least one entry")
	}
	for i, v := range manifests {
		r.manifests = append(r.manifests, f.manifest(fmt.Sprintf("Manifests[%d]", i), v))
	}
	return r
}

func (f *fields) manifest(at string, v any) manifest {
	m := f.object(at, v, "Name", "Platform", "Lifecycle", "Artifacts")
	platform := f.strings(at+".Platform", f.object(at+".Platform", m["Platform"],
		"os", "architecture", "architecture.detail", "runtime"))
	lifecycle := f.object(at+".Lifecycle", m["Lifecycle"], "Setenv", "install", "run")
	out := manifest{
		platform: platform,
		setenv:   f.strings(at+".Lifecycle.Setenv", lifecycle["Setenv"]),
		install:  f.step(at+".Lifecycle.install", lifecycle["install"]),
		run:      f.step(at+".Lifecycle.run", lifecycle["run"]),
	}
	if out.install == nil && out.run == nil {
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
		out.artifacts = append(out.artifacts, artifact{uri, execute != "NONE", unarchive == "ZIP"})
	}
	return out
}

func (f *fields) step(at string, v any) *step {
	if v == nil {
		return nil
	}
	if script, ok := v.(string); ok {
		return &step{script: script}
	}
	m := f.object(at, v, "Script", "Timeout", "Setenv", "RequiresPrivilege")
	s := &step{
		script: f.str(at+".Script", m["Script"]),
		setenv: f.strings(at+".Setenv", m["Setenv"]),
		object: true,
	}
	switch t := m["Timeout"].(type) {
	case nil:
	case int64:
		s.timeout = float64(t)
	case float64:
		s.timeout = t
	default:
		f.fail(at+".Timeout", "must be a number of seconds")
	}
	if s.timeout < 0 {
		f.fail(at+".Timeout", "must not be negative")
	}
	if p, ok := m["RequiresPrivilege"].(bool); m["RequiresPrivilege"] != nil && (!ok || p) {
		f.fail(at+".RequiresPrivilege", "must be false: the local core runs no script as root")
	}
	return s
}

// accessControl checks the shape of the grants that a recipe gives by default.
func (f *fields) accessControl(v any) {
	at := "ComponentConfiguration.DefaultConfiguration.accessControl"
	services := f.object(at, v)
	for _, service := range nucleus.SortedKeys(services) {
		policies := f.object(join(at, service), services[service])
		for _, id := range nucleus.SortedKeys(policies) {
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

// manifestFor returns the first manifest whose platform is host's, as a nucleus chooses.
func (r *recipe) manifestFor(host map[string]string, needsRuntime bool) (*manifest, error) {
	for i := range r.manifests {
		platform := r.manifests[i].platform
		if matchesPlatform(platform, host) && (platform["runtime"] != "" || !needsRuntime) {
			return &r.manifests[i], nil
		}
	}
	return nil, fmt.Errorf("recipe of %s %s: no manifest for os %s, architecture %s %s", r.name, r.version,
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
