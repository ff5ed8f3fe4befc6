package localcore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/recipe"
	"edgepdm/test/localcore/nucleus"
)

// Deployment is a local deployment, as `greengrass-cli deployment create` and `ggl-cli deploy` make it. What earlier
// deployments named stays as it is.
type Deployment struct {
	// Components to add or to bring to another version, by name: the roots. All that they depend on comes with them.
	Components map[string]string
	// Stage is the tree of recipes and artifacts that is handed over with the Components; Options.Stage by default.
	Stage string
	// Remove names components to remove.
	Remove []string
	// ConfigurationUpdate holds, by component, {"merge": {...}, "reset": ["/pointer", ...]}. A reset goes back to the
	// recipe's default and comes first. In Go values an int stays an integer on the wire, and a float64 is a double.
	// That of a component which is only a dependency is dropped, with a line in the log, but for a local deployment on
	// nucleus lite.
	ConfigurationUpdate map[string]any
	// FromCloud says that the deployment is a job of the cloud's. Nucleus lite then restarts a component that has a
	// ConfigurationUpdate; that of a local deployment is hot.
	FromCloud bool
}

// spec is what a component runs: a recipe resolved for this host and this configuration.
type spec struct {
	name, version string
	install, run  *recipe.Step
	setenv        map[string]string
	artifacts     []recipe.Artifact
	credentials   bool // it depends on the token exchange service
}

// Deploy brings the deployment into force and waits until its components run, have finished or are BROKEN, which is an
// error. A deployment that cannot be carried out as a whole changes nothing but what was copied to packages/.
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
	d.Stage = cmp.Or(d.Stage, c.opts.Stage)
	if len(d.Components) > 0 {
		if d.Stage == "" {
			return errors.New("there is no stage")
		}
		if err := c.handOver(d.Stage); err != nil {
			return err
		}
	}
	p, err := c.plan(d)
	if err != nil {
		return err
	}
	if err := c.checkUpdates(changes, p, d.FromCloud); err != nil {
		return err
	}
	order, err := startOrder(p.recipes)
	if err != nil {
		return err
	}
	if err := c.fetch(p, d); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	specs := make(map[string]*spec)
	configs := make(map[string]map[string]any)
	asked := make(map[string]map[string]any) // who is asked about a changed configuration
	for _, name := range order {
		r := p.recipes[name]
		m, err := r.ManifestFor(c.hostPlatform(), c.lite)
		if err != nil {
			return err
		}
		configs[name] = c.store.Resolve(name, c.defaults(r), changes[name], now)
		before, _ := c.store.Get(name, nil)
		if comp, running := c.component(name); running && !reflect.DeepEqual(before, configs[name]) && comp.recipe.Version == r.Version {
			asked[name] = configs[name] // another version may have other keys
		}
		if specs[name], err = c.resolveSpec(r, m, configs[name]); err != nil {
			return err
		}
	}
	for name := range changes {
		if c.externals[name] {
			configs[name] = c.store.Resolve(name, nil, changes[name], now)
			asked[name] = configs[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		if err := c.dialect.CheckConfiguration(configs[name]); err != nil {
			return fmt.Errorf("deploy %s: %w", name, err)
		}
	}
	if err := c.dialect.Validate(ctx, asked); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}

	c.roots = p.roots
	c.endCLI()
	if err := c.remove(ctx, p.recipes); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		c.configure(name, configs[name], now)
	}
	if err := c.bringUp(ctx, order, p.recipes, specs, changes, d); err != nil {
		return err
	}
	return c.cleanUp(p.recipes)
}

// checkUpdates drops the changes that the nucleus does not apply: those of components that are no roots.
func (c *Core) checkUpdates(changes map[string]nucleus.Change, p *plan, fromCloud bool) error {
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		_, isRoot := p.roots[name]
		switch {
		case p.recipes[name] == nil && !c.externals[name]:
			return fmt.Errorf("update configuration of %s: there is no such component", name)
		case !isRoot && !c.externals[name] && (fromCloud || !c.lite):
			c.log.Warn("configuration of a component that is no root of the deployment is dropped", "component", name)
			delete(changes, name)
		}
	}
	return nil
}

// fetch copies artifacts, when the deployment hands a tree over.
func (c *Core) fetch(p *plan, d Deployment) error {
	if len(d.Components) == 0 {
		return nil
	}
	if c.lite {
		if err := c.fetchLite(d.Stage); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.recipes)) {
		r := p.recipes[name]
		m, err := r.ManifestFor(c.hostPlatform(), c.lite)
		if err != nil {
			return err
		}
		for _, a := range m.Artifacts {
			if a.Unarchive {
				return fmt.Errorf("deploy %s: artifact %s: the local core does not unpack archives", name, a.URI)
			}
		}
		if c.lite {
			err = c.present(r, m)
		} else {
			err = c.fetchClassic(d.Stage, r, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// defaults returns the configuration that a recipe gives by default.
func (c *Core) defaults(r *recipe.Recipe) map[string]any {
	if c.lite {
		return r.TextDefaults
	}
	return r.Defaults
}

// Staged returns the components in a stage with their newest versions, ready to deploy.
func Staged(stage string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(stage, "recipes", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", err)
	}
	newest := make(map[string]string)
	for _, file := range files {
		r, err := recipe.Read(file)
		if err != nil {
			return nil, err
		}
		if want := r.Name + "-" + r.Version + ".yaml"; filepath.Base(file) != want {
			return nil, fmt.Errorf("recipe %s must be called %s", file, want)
		}
		if old, known := newest[r.Name]; !known || recipe.CompareVersions(r.Version, old) > 0 {
			newest[r.Name] = r.Version
		}
	}
	if len(newest) == 0 {
		return nil, fmt.Errorf("there is no recipe in %s", filepath.Join(stage, "recipes"))
	}
	return newest, nil
}

func parseUpdates(updates map[string]any) (map[string]nucleus.Change, error) {
	out := make(map[string]nucleus.Change)
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		at := "configuration update of " + name
		v, err := nucleus.Normalise(at, updates[name])
		if err != nil {
			return nil, err
		}
		change, err := parseUpdate(at, v)
		if err != nil {
			return nil, err
		}
		out[name] = change
	}
	return out, nil
}

func parseUpdate(at string, v any) (change nucleus.Change, err error) {
	m, isObject := v.(map[string]any)
	if !isObject && v != nil {
		return change, fmt.Errorf("%s: must be an object", at)
	}
	for _, key := range nucleus.SortedKeys(m) {
		if key != "merge" && key != "reset" {
			return change, fmt.Errorf("%s.%s: unknown key; known here: merge, reset", at, key)
		}
	}
	if change.Merge, isObject = m["merge"].(map[string]any); !isObject && m["merge"] != nil {
		return change, fmt.Errorf("%s.merge: must be an object", at)
	}
	pointers, isList := m["reset"].([]any)
	if !isList && m["reset"] != nil {
		return change, fmt.Errorf("%s.reset: must be a list", at)
	}
	for i, p := range pointers {
		pointer, isText := p.(string)
		if !isText || pointer != "" && pointer[0] != '/' {
			return change, fmt.Errorf("%s.reset[%d]: must be a JSON pointer", at, i)
		}
		change.Reset = append(change.Reset, pointerPath(pointer))
	}
	return change, nil
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

// configure makes values the component's configuration, its accessControl its grants, and leaves a copy in config/.
func (c *Core) configure(name string, values map[string]any, now int64) {
	c.store.Replace(name, values, now)
	var accessControl any
	for key, v := range values {
		if strings.EqualFold(key, "accessControl") {
			accessControl = v
		}
	}
	c.authz.Load(name, accessControl)
	text, err := json.MarshalIndent(values, "", "  ")
	if err == nil {
		err = durable.WriteFileAtomic(filepath.Join(c.opts.Root, "config", name+".json"), append(text, '\n'), 0o600)
	}
	if err != nil {
		c.log.Warn("write effective configuration", "component", name, "err", err)
	}
}

// remove stops what is not to be there any more.
func (c *Core) remove(ctx context.Context, stay map[string]*recipe.Recipe) error {
	c.mu.Lock()
	order := slices.Clone(c.order)
	c.mu.Unlock()
	for _, name := range slices.Backward(order) {
		if stay[name] != nil {
			continue
		}
		comp, _ := c.component(name)
		if !c.lite {
			c.authz.Forget(name)
		}
		comp.quit(ctx)
		c.mu.Lock()
		delete(c.components, name)
		c.order = slices.DeleteFunc(c.order, func(n string) bool { return n == name })
		c.mu.Unlock()
		delete(c.previous, name)
		c.store.Remove(name)
		c.authz.Forget(name)
	}
	return ctx.Err()
}

// bringUp starts what is new, and restarts what changed, in order.
func (c *Core) bringUp(ctx context.Context, order []string, recipes map[string]*recipe.Recipe, specs map[string]*spec,
	changes map[string]nucleus.Change, d Deployment) error {
	todo := make(map[string]actionKind)
	late := false
	for _, name := range order {
		comp, running := c.component(name)
		if running {
			_, named := d.Components[name]
			_, updated := changes[name]
			todo[name] = comp.change(specs[name], named, updated && d.FromCloud)
			c.mu.Lock()
			if old := comp.recipe.Version; old != recipes[name].Version {
				c.previous[name] = old
			} else if todo[name] == actStart && c.lite {
				late = true
			}
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
	if late {
		select {
		case <-time.After(c.opts.MergeRestartDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, name := range slices.Backward(order) {
		if comp, _ := c.component(name); todo[name] != actAdopt {
			if err := comp.do(ctx, action{kind: actStop}); err != nil {
				return err
			}
		}
	}
	for _, name := range order {
		comp, _ := c.component(name)
		from := comp.seen()
		if err := comp.do(ctx, action{kind: todo[name], spec: specs[name]}); err != nil {
			return err
		}
		if todo[name] == actAdopt {
			continue
		}
		if err := c.wait(ctx, comp, from, StateRunning, StateFinished); err != nil {
			return fmt.Errorf("deploy %s: %w", name, err)
		}
	}
	return nil
}
