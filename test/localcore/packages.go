package localcore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"edgepdm/shared/durable"
	"edgepdm/shared/recipe"
)

// A nucleus keeps recipes and artifacts of what was handed over to it below packages/; only there it looks for versions.

func (c *Core) recipesDir() string { return filepath.Join(c.opts.Root, "packages", "recipes") }

func (c *Core) artifactDir(name, version string) string {
	return filepath.Join(c.opts.Root, "packages", "artifacts", name, version)
}

// handOver copies the recipes of a deployment's tree; those that are there are replaced.
func (c *Core) handOver(stage string) error {
	files, err := filepath.Glob(filepath.Join(stage, "recipes", "*.yaml"))
	if err != nil {
		return fmt.Errorf("list recipes: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil {
			err = durable.WriteFileAtomic(filepath.Join(c.recipesDir(), filepath.Base(file)), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy recipe: %w", err)
		}
	}
	return nil
}

// installed returns the versions of a component that have a recipe in packages/, in order of the files' names.
func (c *Core) installed(name string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(c.recipesDir(), name+"-*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list recipes: %w", err)
	}
	var versions []string
	for _, file := range files {
		if of, v := splitRecipe(file); of == name {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

// splitRecipe takes the name of a recipe's file apart. Both the component's name and its version may have a dash.
func splitRecipe(file string) (name, version string) {
	base := strings.TrimSuffix(filepath.Base(file), ".yaml")
	for i, r := range base {
		if r == '-' && recipe.ValidVersion(base[i+1:]) {
			return base[:i], base[i+1:]
		}
	}
	return base, ""
}

func (c *Core) installedRecipe(name, version string) (*recipe.Recipe, error) {
	r, err := recipe.Read(filepath.Join(c.recipesDir(), name+"-"+version+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("deploy %s: %w", name, err)
	}
	if r.Name != name || r.Version != version {
		return nil, fmt.Errorf("deploy %s: its recipe is of %s %s", name, r.Name, r.Version)
	}
	return r, nil
}

// fetchClassic copies the artifacts of a component that is to be there. They are root's own: the component can read them
// only after its next start, which gives them the permissions that the recipe says (unlock).
func (c *Core) fetchClassic(stage string, r *recipe.Recipe, m *recipe.Manifest) error {
	dir := c.artifactDir(r.Name, r.Version)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("deploy %s: %w", r.Name, err)
	}
	for _, a := range m.Artifacts {
		to := filepath.Join(dir, a.File())
		data, err := os.ReadFile(filepath.Join(stage, "artifacts", r.Name, r.Version, a.File()))
		if errors.Is(err, fs.ErrNotExist) && exists(to) {
			continue // handed over before
		}
		if err == nil {
			err = durable.WriteFileAtomic(to, data, 0)
		}
		if err != nil {
			return fmt.Errorf("deploy %s: artifact %s: %w", r.Name, a.URI, err)
		}
	}
	return nil
}

// unlock gives a component its artifacts.
func (c *Core) unlock(s *spec) error {
	for _, a := range s.artifacts {
		mode := os.FileMode(0o400)
		if a.Executable {
			mode = 0o500
		}
		if err := os.Chmod(filepath.Join(c.artifactDir(s.name, s.version), a.File()), mode); err != nil {
			return fmt.Errorf("set permissions of an artifact: %w", err)
		}
	}
	return nil
}

// fetchLite copies the artifacts of the whole tree over what is there, as cp does: a program that runs is busy, which
// fails the deployment after everything else was copied. A new file has the mode of the staged one.
func (c *Core) fetchLite(stage string) error {
	from := filepath.Join(stage, "artifacts")
	if !exists(from) {
		return nil
	}
	var failed error
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			err = overwrite(filepath.Join(c.opts.Root, "packages", "artifacts", strings.TrimPrefix(path, from)), path, info.Mode().Perm())
		}
		failed = errors.Join(failed, err)
		return nil
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("copy artifacts: %w", err)
	}
	return nil
}

// overwrite copies a file into the one that is there.
func overwrite(to, from string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode|0o600)
}

// present makes sure that a component's artifacts were handed over.
func (c *Core) present(r *recipe.Recipe, m *recipe.Manifest) error {
	for _, a := range m.Artifacts {
		if _, err := os.Stat(filepath.Join(c.artifactDir(r.Name, r.Version), a.File())); err != nil {
			return fmt.Errorf("deploy %s: artifact %s: %w", r.Name, a.URI, err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// cleanUp removes the recipes and artifacts of all versions but those that are there and, on a classic nucleus, those
// that were there before.
func (c *Core) cleanUp(recipes map[string]*recipe.Recipe) error {
	keep := func(name, version string) bool {
		r := recipes[name]
		return r != nil && (r.Version == version || !c.lite && c.previous[name] == version)
	}
	files, err := filepath.Glob(filepath.Join(c.recipesDir(), "*.yaml"))
	if err != nil {
		return fmt.Errorf("list recipes: %w", err)
	}
	for _, file := range files {
		if keep(splitRecipe(file)) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	dirs, err := filepath.Glob(filepath.Join(c.opts.Root, "packages", "artifacts", "*", "*"))
	if err != nil {
		return fmt.Errorf("list artifacts: %w", err)
	}
	for _, dir := range dirs {
		if keep(filepath.Base(filepath.Dir(dir)), filepath.Base(dir)) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}
