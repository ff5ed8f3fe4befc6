package localcore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Deployment is a local deployment, as `greengrass-cli deployment create` makes it: components that it does not name
// stay as they are.
type Deployment struct {
	// Components to add or to bring to another version, by name.
	Components map[string]string
	// Remove names components to remove.
	Remove []string
	// ConfigurationUpdate holds, by component, {"merge": {...}, "reset": ["/pointer", ...]}. A reset goes back to the
	// recipe's default and comes first. In Go values an int stays an integer on the wire, and a float64 is a double.
	ConfigurationUpdate map[string]any
}

// spec is what a component runs: a recipe resolved for this host and this configuration.
type spec struct {
	name, version string
	install, run  *step
	setenv        map[string]string
	credentials   bool // it depends on the token exchange service
}

// Deploy brings the deployment into force and waits until its components run, have finished or are BROKEN, which is an
// error. A deployment that cannot be carried out as a whole changes nothing.
func (c *Core) Deploy(ctx context.Context, d Deployment) error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if !c.started || c.closed {
		return errors.New("the core does not run")
	}
	changes, err := parseUpdates(d.ConfigurationUpdate)
	if err != nil {
		return err
	}
	recipes, err := c.targets(d)
	if err != nil {
		return err
	}
	for name := range changes {
		if recipes[name] == nil && !c.externals[name] {
			return fmt.Errorf("update configuration of %s: there is no such component", name)
		}
	}
	order, err := startOrder(recipes)
	if err != nil {
		return err
	}
	host := c.dialect.hostPlatform()
	now := time.Now().UnixMilli()
	specs := make(map[string]*spec)
	configs := make(map[string]map[string]any)
	merged := make(map[string]bool)          // whose change of configuration restarts them
	asked := make(map[string]map[string]any) // who is asked about a changed configuration
	for _, name := range order {
		r := recipes[name]
		m, err := r.manifestFor(host, c.dialect.needsRuntime)
		if err != nil {
			return err
		}
		if _, named := d.Components[name]; named {
			if err := c.fetchArtifacts(r, m); err != nil {
				return err
			}
		}
		configs[name] = c.store.resolve(name, c.defaults(r), changes[name], now)
		before, _ := c.store.get(name, nil)
		changed := !equal(before, configs[name])
		merged[name] = c.dialect.restartOnMerge && changed
		if comp, running := c.component(name); running && changed && comp.recipe.version == r.version {
			asked[name] = configs[name] // another version may have other keys
		}
		if specs[name], err = c.resolveSpec(r, m, configs[name]); err != nil {
			return err
		}
	}
	for name := range changes {
		if c.externals[name] {
			configs[name] = c.store.resolve(name, nil, changes[name], now)
			asked[name] = configs[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if err := c.dialect.checkConfiguration(configs[name]); err != nil {
			return fmt.Errorf("deploy %s: %w", name, err)
		}
	}
	if err := c.validate(ctx, asked); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}

	if err := c.remove(ctx, d.Remove); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		c.configure(name, configs[name], now)
	}
	return c.bringUp(ctx, order, recipes, specs, merged, d)
}

// targets returns the recipes of all components that are to be there after the deployment.
func (c *Core) targets(d Deployment) (map[string]*recipe, error) {
	recipes := make(map[string]*recipe)
	c.mu.Lock()
	for name, comp := range c.components {
		recipes[name] = comp.recipe
	}
	c.mu.Unlock()
	for _, name := range d.Remove {
		if recipes[name] == nil {
			return nil, fmt.Errorf("remove %s: there is no such component", name)
		}
		delete(recipes, name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components)) {
		if c.externals[name] {
			return nil, fmt.Errorf("deploy %s: there is an external of that name", name)
		}
		r, err := c.stagedRecipe(name, d.Components[name])
		if err != nil {
			return nil, fmt.Errorf("deploy %s: %w", name, err)
		}
		recipes[name] = r
	}
	for _, name := range slices.Sorted(maps.Keys(recipes)) {
		for _, on := range slices.Sorted(maps.Keys(recipes[name].dependencies)) {
			dep := recipes[name].dependencies[on]
			if strings.HasPrefix(on, "aws.greengrass.") {
				continue // part of the core, as far as it has it
			}
			other := recipes[on]
			if other == nil {
				if dep.hard {
					return nil, fmt.Errorf("deploy %s: its HARD dependency %s is not in the deployment", name, on)
				}
				continue
			}
			v, err := parseVersion(other.version)
			if err != nil {
				return nil, fmt.Errorf("deploy %s: %w", on, err)
			}
			if !dep.requirement.allows(v) {
				return nil, fmt.Errorf("deploy %s: it does not accept version %s of %s", name, other.version, on)
			}
		}
	}
	return recipes, nil
}

func (c *Core) stagedRecipe(name, version string) (*recipe, error) {
	if c.opts.Stage == "" {
		return nil, errors.New("there is no stage")
	}
	r, err := readRecipe(filepath.Join(c.opts.Stage, "recipes", name+"-"+version+".yaml"))
	if err != nil {
		return nil, err
	}
	if r.name != name || r.version != version {
		return nil, fmt.Errorf("its recipe is of %s %s", r.name, r.version)
	}
	return r, nil
}

// defaults returns the configuration that a recipe gives by default.
func (c *Core) defaults(r *recipe) map[string]any {
	if c.dialect.textScalars {
		return r.textDefaults
	}
	return r.defaults
}

// Staged returns the components in a stage with their newest versions, ready to deploy.
func Staged(stage string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(stage, "recipes", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", err)
	}
	newest := make(map[string]string)
	for _, file := range files {
		r, err := readRecipe(file)
		if err != nil {
			return nil, err
		}
		if want := r.name + "-" + r.version + ".yaml"; filepath.Base(file) != want {
			return nil, fmt.Errorf("recipe %s must be called %s", file, want)
		}
		v, err := parseVersion(r.version)
		if err != nil {
			return nil, fmt.Errorf("recipe %s: %w", file, err)
		}
		if old, ok := newest[r.name]; ok {
			if o, err := parseVersion(old); err == nil && v.compare(o) <= 0 {
				continue
			}
		}
		newest[r.name] = r.version
	}
	if len(newest) == 0 {
		return nil, fmt.Errorf("there is no recipe in %s", filepath.Join(stage, "recipes"))
	}
	return newest, nil
}

func parseUpdates(updates map[string]any) (map[string]configChange, error) {
	out := make(map[string]configChange)
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		at := "configuration update of " + name
		v, err := normalise(at, updates[name])
		if err != nil {
			return nil, err
		}
		f := &fields{}
		m := f.object(at, v, "merge", "reset")
		change := configChange{merge: f.object(at+".merge", m["merge"])}
		for i, e := range f.list(at+".reset", m["reset"]) {
			pointer, ok := e.(string)
			if !ok || pointer != "" && pointer[0] != '/' {
				f.fail(fmt.Sprintf("%s.reset[%d]", at, i), "must be a JSON pointer")
				continue
			}
			change.reset = append(change.reset, pointerPath(pointer))
		}
		if f.err != nil {
			return nil, f.err
		}
		out[name] = change
	}
	return out, nil
}

// pointerPath splits a JSON pointer (RFC 6901).
func pointerPath(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts
}

// startOrder sorts components so that each comes after those it depends on, of both kinds.
func startOrder(recipes map[string]*recipe) ([]string, error) {
	var order, path []string
	done := make(map[string]bool)
	var visit func(name string) error
	visit = func(name string) error {
		if done[name] || recipes[name] == nil {
			return nil
		}
		if i := slices.Index(path, name); i >= 0 {
			return fmt.Errorf("dependencies form a cycle: %s", strings.Join(append(path[i:], name), " -> "))
		}
		path = append(path, name)
		for _, on := range slices.Sorted(maps.Keys(recipes[name].dependencies)) {
			if err := visit(on); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		order = append(order, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(recipes)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

func (c *Core) artifactDir(name, version string) string {
	return filepath.Join(c.opts.Root, "packages", "artifacts", name, version)
}

// fetchArtifacts copies a component's artifacts from the stage with the permissions that its recipe gives.
func (c *Core) fetchArtifacts(r *recipe, m *manifest) error {
	dir := c.artifactDir(r.name, r.version)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("deploy %s: %w", r.name, err)
	}
	for _, a := range m.artifacts {
		if a.unarchive {
			return fmt.Errorf("deploy %s: artifact %s: the local core does not unpack archives", r.name, a.uri)
		}
		from := filepath.Join(c.opts.Stage, "artifacts", r.name, r.version, a.file())
		mode := os.FileMode(0o400)
		if a.executable {
			mode = 0o500
		}
		data, err := os.ReadFile(from)
		if err == nil {
			err = writeFile(filepath.Join(dir, a.file()), data, mode)
		}
		if err != nil {
			return fmt.Errorf("deploy %s: artifact %s: %w", r.name, a.uri, err)
		}
	}
	return nil
}

// configure makes values the component's configuration, its accessControl its grants, and leaves a copy in config/.
func (c *Core) configure(name string, values map[string]any, now int64) {
	c.store.replace(name, values, now)
	var accessControl any
	for key, v := range values {
		if isAccessControl(key) {
			accessControl = v
		}
	}
	c.authz.load(name, accessControl)
	text, err := json.MarshalIndent(values, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(c.opts.Root, "config", name+".json"), append(text, '\n'), 0o600)
	}
	if err != nil {
		c.log.Warn("write effective configuration", "component", name, "err", err)
	}
}

func (c *Core) remove(ctx context.Context, names []string) error {
	c.mu.Lock()
	order := slices.Clone(c.order)
	c.mu.Unlock()
	for _, name := range slices.Backward(order) {
		if !slices.Contains(names, name) {
			continue
		}
		comp, _ := c.component(name)
		if c.dialect.policiesFirst {
			c.authz.forget(name)
		}
		comp.quit(ctx)
		c.mu.Lock()
		delete(c.components, name)
		c.order = slices.DeleteFunc(c.order, func(n string) bool { return n == name })
		c.mu.Unlock()
		c.store.remove(name)
		c.authz.forget(name)
		if err := os.RemoveAll(filepath.Join(c.opts.Root, "packages", "artifacts", name)); err != nil {
			return fmt.Errorf("remove artifacts of %s: %w", name, err)
		}
	}
	return ctx.Err()
}

// bringUp starts what is new, and restarts what changed, in order.
func (c *Core) bringUp(ctx context.Context, order []string, recipes map[string]*recipe, specs map[string]*spec,
	merged map[string]bool, d Deployment) error {
	todo := make(map[string]actionKind)
	for _, name := range order {
		comp, running := c.component(name)
		if running {
			_, named := d.Components[name]
			todo[name] = comp.change(specs[name], named, merged[name])
			c.mu.Lock()
			comp.recipe = recipes[name]
			c.mu.Unlock()
			continue
		}
		comp, err := newComponent(c, recipes[name])
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.components[name] = comp
		c.order = append(c.order, name) // Close stops it, come what may
		c.mu.Unlock()
		todo[name] = actInstall
	}
	c.mu.Lock()
	c.order = order
	c.mu.Unlock()
	for _, name := range slices.Backward(order) {
		if comp, _ := c.component(name); todo[name] != actNone {
			if err := comp.do(ctx, action{kind: actStop}); err != nil {
				return err
			}
		}
	}
	for _, name := range order {
		if todo[name] == actNone {
			continue
		}
		comp, _ := c.component(name)
		from := comp.seen()
		if err := comp.do(ctx, action{kind: todo[name], spec: specs[name]}); err != nil {
			return err
		}
		if err := c.wait(ctx, comp, from, StateRunning, StateFinished); err != nil {
			return fmt.Errorf("deploy %s: %w", name, err)
		}
	}
	return nil
}
