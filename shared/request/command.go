package request

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/cli"
)

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = 24 * time.Hour
)

// PlaceFlags say where a component's work directory is.
type PlaceFlags struct{ dir, root string }

// Define defines the flags.
func (f *PlaceFlags) Define(fs *flag.FlagSet, component string) {
	fs.StringVar(&f.dir, "dir", "", "work `directory` of "+component+"; default: below the root")
	fs.StringVar(&f.root, "root", "", "Greengrass's root `directory`; default: $"+rootVariable+", else the one that this program is installed in, else /greengrass/v2 or /var/lib/greengrass")
}

// Find returns a component's work directory.
func (f *PlaceFlags) Find(component string) (string, error) {
	place := Place{Dir: f.dir, Root: f.root, Getenv: os.Getenv, Roots: DefaultRoots()}
	if path, err := os.Executable(); err == nil {
		if place.Executable, err = filepath.EvalSymlinks(path); err != nil {
			place.Executable = path
		}
	}
	return place.Find(component)
}

// Flags are those that every command has that asks a running component.
type Flags struct {
	PlaceFlags
	timeout time.Duration
}

// Define defines the flags.
func (f *Flags) Define(fs *flag.FlagSet, component string) {
	f.PlaceFlags.Define(fs, component)
	fs.DurationVar(&f.timeout, "timeout", defaultTimeout, "how long to wait for an answer of the component")
}

// Do asks the component, and prints what it says.
func (f *Flags) Do(ctx context.Context, s cli.Streams, a Call) error {
	if f.timeout <= 0 || f.timeout > maxTimeout {
		return cli.Usagef("-timeout: %v is not more than 0s and at most %v", f.timeout, maxTimeout)
	}
	if a.WorkDir == "" {
		var err error
		if a.WorkDir, err = f.Find(a.Component); err != nil {
			return err
		}
	}
	a.Timeout = f.timeout
	a.Progress = func(text string) { _, _ = fmt.Fprintln(s.Err, text+" …") }
	text, err := a.Do(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, text)
	return err
}
