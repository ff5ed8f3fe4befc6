// Package cli gives every edgepdm program the same command line: a list of sub-commands, -help, -version,
// and exit codes 0 (done), 1 (failed) and 2 (the command line is wrong).
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// Exit codes of every program.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// ErrUsage marks an error of the command line rather than of the work: wrap it, and Main exits with ExitUsage.
var ErrUsage = errors.New("usage")

// Streams are a program's standard streams; tests pass buffers.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Command is one sub-command. The one with an empty Name runs when no sub-command is given.
type Command struct {
	Name    string
	Summary string // one line, shown in the program's -help
	Run     func(ctx context.Context, args []string, s Streams) error
}

// Program describes an executable.
type Program struct {
	Name     string
	Version  string
	Summary  string // what the program is for, shown first by -help
	Commands []Command
}

// Main runs the sub-command that args name and returns the process's exit code. A failure is printed to s.Err, once.
func (p Program) Main(ctx context.Context, args []string, s Streams) int {
	name, rest := "", args
	if len(args) > 0 {
		switch arg := args[0]; {
		case len(args) == 1 && (arg == "-version" || arg == "--version"): // with a value it is a flag of the command
			return exitCode(p.Name, fprintln(s.Out, p.Name+" "+p.Version), s.Err)
		case isHelp(arg) || arg == "help":
			if err := fprintln(s.Out, p.help()); err != nil {
				return exitCode(p.Name, err, s.Err)
			}
			if !p.has("") {
				return ExitOK
			}
			rest = []string{"-help"} // its flags follow
		case !strings.HasPrefix(arg, "-"):
			name, rest = arg, args[1:]
		}
	}
	helped := len(rest) > 0 && isHelp(rest[0])
	if helped {
		s.Err = s.Out // help that was asked for is output
	}
	for _, c := range p.Commands {
		if c.Name == name {
			if helped && name != "" {
				_ = fprintln(s.Out, p.Name+" "+name+": "+c.Summary+"\n")
			}
			return exitCode(strings.TrimSpace(p.Name+" "+c.Name), c.Run(ctx, rest, s), s.Err)
		}
	}
	if name == "" {
		return exitCode(p.Name, Usagef("name a sub-command; see %s -help", p.Name), s.Err)
	}
	return exitCode(p.Name, Usagef("there is no sub-command %q; see %s -help", name, p.Name), s.Err)
}

func isHelp(arg string) bool {
	return arg == "-h" || arg == "-help" || arg == "--help"
}

// has reports whether there is a sub-command of that name.
func (p Program) has(name string) bool {
	for _, c := range p.Commands {
		if c.Name == name {
			return true
		}
	}
	return false
}

func (p Program) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n\nUsage:\n", p.Name, p.Version, p.Summary)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %-34s %s\n", strings.TrimSpace(p.Name+" "+c.Name), c.Summary)
	}
	fmt.Fprintf(&b, "  %-34s %s\n", p.Name+" -version", "print the version")
	if len(p.Commands) > 1 {
		b.WriteString("\nEach sub-command takes -help.")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exitCode prints err in the program's name and says how the process ends.
func exitCode(name string, err error, w io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return ExitOK
	case errors.Is(err, ErrUsage):
		_ = fprintln(w, name+": "+strings.TrimSuffix(err.Error(), ": "+ErrUsage.Error()))
		return ExitUsage
	}
	_ = fprintln(w, name+": "+err.Error())
	if coded, ok := errors.AsType[ExitCoder](err); ok {
		return coded.ExitCode()
	}
	return ExitFailed
}

// ExitCoder is an error that has an exit code of its own, from 3 on.
type ExitCoder interface {
	error
	ExitCode() int
}

// Usagef returns an error that wraps ErrUsage.
func Usagef(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrUsage)
}

// NewFlagSet returns a flag set that prints synopsis and the flags to s.Err when the command line is wrong; Main sends
// them to s.Out for -help. Parse it with Parse.
func NewFlagSet(synopsis string, s Streams) *flag.FlagSet {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Main prints what Parse returns; the flag package would print it a second time
	fs.Usage = func() {
		fs.SetOutput(s.Err)
		_ = fprintln(s.Err, "Usage: "+synopsis)
		fs.PrintDefaults()
	}
	return fs
}

// Parse parses args, and refuses arguments that no flag takes. -help gives flag.ErrHelp, which Main treats as success.
func Parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", err, ErrUsage)
	}
	if fs.NArg() > 0 {
		return Usagef("unexpected argument %q", fs.Arg(0))
	}
	return nil
}

func fprintln(w io.Writer, text string) error {
	_, err := fmt.Fprintln(w, text)
	return err
}

// Version returns the version that was linked into a program; without one, the version that Go derives from the tag or the commit
// that it was built of, "(devel)" where neither is known.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}
