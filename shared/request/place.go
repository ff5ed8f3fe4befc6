package request

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Place finds a component's work directory.
type Place struct {
	Dir  string // the work directory itself; "" = look for it
	Root string // of Greengrass; "" = look for it

	Getenv     func(string) string
	Executable string   // path of this program: it may be an artifact
	Roots      []string // where Greengrass is installed by default
}

// DefaultRoots are those of the classic nucleus and of nucleus lite.
func DefaultRoots() []string { return []string{"/greengrass/v2", "/var/lib/greengrass"} }

const rootVariable = "GGC_ROOT_PATH" // as for greengrass-cli

// Find returns the work directory of a component: the one that is named, else the one below the root that is named, else
// below that of the environment, else below the one that this program is installed in, else below a default root. The
// error names the places where it is not.
func (p Place) Find(component string) (string, error) {
	if p.Dir != "" {
		return p.first(component, p.Dir)
	}
	at := func(root string) string { return filepath.Join(root, "work", component) }
	if p.Root != "" {
		return p.first(component, at(p.Root))
	}
	if root := p.Getenv(rootVariable); root != "" {
		return p.first(component, at(root))
	}
	roots := p.Roots
	if root, _, ok := strings.Cut(p.Executable, "/packages/artifacts/"); ok {
		if isFolder(at(root)) == nil {
			return at(root), nil
		}
		roots = append([]string{root}, roots...)
	}
	places := make([]string, 0, len(roots))
	var found []string
	for _, root := range roots {
		places = append(places, at(root))
		if isFolder(at(root)) == nil {
			found = append(found, at(root))
		}
	}
	if len(found) > 1 {
		return "", fmt.Errorf("there are several work directories of %s: %s: name the root with -root", component, strings.Join(found, ", "))
	}
	return p.first(component, places...)
}

// first returns the first place that is a folder.
func (p Place) first(component string, places ...string) (string, error) {
	problems := make([]string, 0, len(places))
	denied := false
	for _, place := range places {
		err := isFolder(place)
		if err == nil {
			return place, nil
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
		problems = append(problems, fmt.Sprintf("%s (%v)", place, err))
	}
	hint := "is it deployed on this device? name Greengrass's root with -root, or in " + rootVariable
	if denied {
		hint = "run this as root"
	}
	return "", fmt.Errorf("there is no work directory of %s: tried %s: %s", component, strings.Join(problems, ", "), hint)
}

func isFolder(path string) error {
	info, err := os.Stat(path)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	if err == nil && !info.IsDir() {
		return errors.New("not a folder")
	}
	return err
}
