package localcore

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"edgepdm/shared/recipe"
	"edgepdm/test/localcore/classic"
)

// What the nuclei say when no version fits.
const (
	noVersionOffline = "Device is configured to run offline and no local component version satisfies the requirements"
	noVersion        = "No local or cloud component version satisfies the requirements"
)

// plan is what is to be there after a deployment.
type plan struct {
	roots   map[string]string         // the version of each component that a deployment named
	recipes map[string]*recipe.Recipe // of the roots and all that they depend on
}

// plan resolves a deployment: what earlier deployments named stays, and dependencies of both kinds come with it. What no
// root depends on any more goes.
func (c *Core) plan(d Deployment) (*plan, error) {
	p := &plan{roots: maps.Clone(c.roots), recipes: make(map[string]*recipe.Recipe)}
	for _, name := range d.Remove {
		_, isRoot := p.roots[name]
		if _, there := c.component(name); !there {
			return nil, fmt.Errorf("remove %s: there is no such component", name)
		}
		if !isRoot {
			c.log.Warn("a component that comes as a dependency is not removed by its name", "component", name)
		}
		delete(p.roots, name)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components)) {
		if c.externals[name] {
			return nil, fmt.Errorf("deploy %s: there is an external of that name", name)
		}
		p.roots[name] = d.Components[name]
	}
	if c.lite {
		return p, c.resolveLite(p)
	}
	return p, c.resolveClassic(p)
}

// rootRange is the requirement that a root's version makes.
func rootRange(name, version string) (recipe.Range, error) {
	r, err := recipe.ParseRange(version)
	if err != nil {
		return nil, fmt.Errorf("deploy %s: %w", name, err)
	}
	return r, nil
}

// running returns the recipe of a component that is there, if its version fits.
func (c *Core) running(name string, fits func(version string) bool) *recipe.Recipe {
	comp, ok := c.component(name)
	if !ok {
		return nil
	}
	c.mu.Lock()
	r := comp.recipe
	c.mu.Unlock()
	if !fits(r.Version) {
		return nil
	}
	return r
}

// resolveClassic chooses versions as DependencyResolver.java does: for each component the running one if it satisfies what
// all the others demand, else the highest in the store.
func (c *Core) resolveClassic(p *plan) error {
	changed := true
	for range 100 { // versions that demand each other away have no end
		if !changed {
			return nil
		}
		demands, err := p.demands()
		if err != nil {
			return err
		}
		maps.DeleteFunc(p.recipes, func(name string, _ *recipe.Recipe) bool { return demands[name] == nil })
		changed = false
		for _, name := range slices.Sorted(maps.Keys(demands)) {
			if c.externals[name] {
				continue
			}
			if strings.HasPrefix(name, "aws.greengrass.") && p.roots[name] == "" {
				if c.opts.Offline && !slices.Contains(c.opts.Builtins, name) {
					return fmt.Errorf("deploy %s: %s: required by %s", name, noVersionOffline, demands[name])
				}
				continue // part of the nucleus, or the cloud has it
			}
			r, err := c.bestClassic(name, demands[name], p.roots[name])
			if err != nil {
				return err
			}
			if now := p.recipes[name]; now == nil || now.Version != r.Version {
				p.recipes[name], changed = r, true
			}
		}
	}
	return errors.New("deploy: the components' demands of each other's versions have no solution")
}

func (c *Core) bestClassic(name string, d demand, root string) (*recipe.Recipe, error) {
	staged, err := c.installed(name)
	if err != nil {
		return nil, err
	}
	if root != "" && slices.Contains(staged, root) {
		staged = []string{root} // a root's version is exact
	} else if r := c.running(name, d.allows); r != nil {
		if slices.Contains(staged, r.Version) {
			return c.installedRecipe(name, r.Version) // may be another text
		}
		return r, nil
	}
	staged = slices.DeleteFunc(staged, func(v string) bool { return !d.allows(v) })
	if len(staged) > 0 {
		return c.installedRecipe(name, slices.MaxFunc(staged, recipe.CompareVersions))
	}
	why := noVersion
	if c.opts.Offline {
		why = noVersionOffline
	}
	return nil, fmt.Errorf("deploy %s: %s: required by %s", name, why, d)
}

// demand is what is demanded of a component's version, by who demands it.
type demand map[string]recipe.Range

func (d demand) allows(version string) bool {
	for _, r := range d {
		if !r.Allows(version) {
			return false
		}
	}
	return true
}

func (d demand) String() string { return strings.Join(slices.Sorted(maps.Keys(d)), ", ") }

// demands collects what the roots, and all that was chosen for them, demand of each component.
func (p *plan) demands() (map[string]demand, error) {
	all := make(map[string]demand)
	todo := slices.Sorted(maps.Keys(p.roots))
	for _, name := range todo {
		r, err := rootRange(name, p.roots[name])
		if err != nil {
			return nil, err
		}
		all[name] = demand{"the deployment": r}
	}
	for seen := make(map[string]bool); len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		r := p.recipes[name]
		if seen[name] || r == nil {
			continue
		}
		seen[name] = true
		for _, on := range slices.Sorted(maps.Keys(r.Dependencies)) {
			if all[on] == nil {
				all[on] = make(demand)
			}
			all[on][name] = r.Dependencies[on].Range
			todo = append(todo, on)
		}
	}
	return all, nil
}

// liteBuiltins are the components that nucleus lite does not look for when another depends on them.
var liteBuiltins = []string{classic.Name, tokenExchange, "aws.greengrass.Cli"}

// resolveLite chooses versions as ggdeploymentd does: each component once, the roots first, the running one if it fits,
// else the first that fits in the folder of recipes. What is demanded later of a component that was chosen must fit. The
// real one takes the files as the folder has them, here they are in order of their names.
func (c *Core) resolveLite(p *plan) error {
	demands := make(map[string]demand)
	todo := slices.Sorted(maps.Keys(p.roots))
	for _, name := range todo {
		r, err := rootRange(name, p.roots[name])
		if err != nil {
			return err
		}
		demands[name] = demand{"the deployment": r}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		r, err := c.firstLite(name, demands[name])
		if err != nil {
			return err
		}
		p.recipes[name] = r
		for _, on := range slices.Sorted(maps.Keys(r.Dependencies)) {
			if slices.Contains(liteBuiltins, on) || c.externals[on] {
				continue
			}
			requirement := r.Dependencies[on].Range
			if chosen := p.recipes[on]; chosen != nil {
				if !requirement.Allows(chosen.Version) {
					return fmt.Errorf("deploy %s: it does not accept version %s of %s", name, chosen.Version, on)
				}
				continue
			}
			if demands[on] == nil {
				demands[on] = make(demand)
				todo = append(todo, on)
			}
			demands[on][name] = requirement
		}
	}
	return nil
}

func (c *Core) firstLite(name string, d demand) (*recipe.Recipe, error) {
	if r := c.running(name, d.allows); r != nil {
		if comp, ok := c.component(name); ok && slices.Contains([]State{StateRunning, StateFinished}, comp.state()) {
			return r, nil
		}
	}
	staged, err := c.installed(name)
	if err != nil {
		return nil, err
	}
	for _, s := range staged {
		if d.allows(s) {
			return c.installedRecipe(name, s)
		}
	}
	return nil, fmt.Errorf("deploy %s: %s: required by %s", name, noVersion, d)
}

// startOrder sorts components so that each comes after those it depends on, of both kinds.
func startOrder(recipes map[string]*recipe.Recipe) ([]string, error) {
	var order, path []string
	done := make(map[string]bool)
	var visit func(name string) error
	visit = func(name string) error {
		if done[name] || recipes[name] == nil {
			return nil
		}
		if i := slices.Index(path, name); i >= 0 {
			return errors.New("dependencies form a cycle: " + strings.Join(append(path[i:], name), " -> "))
		}
		path = append(path, name)
		for _, on := range slices.Sorted(maps.Keys(recipes[name].Dependencies)) {
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
