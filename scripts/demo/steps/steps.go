// Package steps builds Go programs and says how far it is: the first build on a machine takes minutes.
package steps

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// OfDemo is how many steps `make demo` has: the demo, the components, their staged tree, the notifier.
const OfDemo = 4

// Builder builds one step after the other.
type Builder struct {
	Out   io.Writer
	Live  bool // Out is a terminal, where a line can be written over
	Steps int  // in all, of which First is the first that this builder does
	First int
	Every time.Duration // between two lines of progress; a second in a terminal
	Env   []string      // of go

	done int
}

// environment makes what the demo needs as make stage does, so that nothing is compiled twice.
func environment() []string { return append(os.Environ(), "CGO_ENABLED=0") }

// New returns a builder for a file, in which progress is told each 10 s unless it is a terminal.
func New(out io.Writer, steps, first int) *Builder {
	b := &Builder{Out: out, Steps: steps, First: first, Every: 10 * time.Second, Env: environment()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		if b.Live = err == nil && info.Mode()&os.ModeCharDevice != 0; b.Live {
			b.Every = time.Second
		}
	}
	return b
}

// Build runs go build with arguments, of packages.
func (b *Builder) Build(ctx context.Context, title string, args, packages []string) error {
	p := &progress{begun: time.Now(), title: b.next(title)}
	return b.follow(p, func() error {
		// -deps also downloads what is missing.
		list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps"}, packages...)...)
		list.Env = b.Env
		names, err := run(list, p)
		if err != nil {
			return err
		}
		p.total(bytes.Count(names, []byte("\n")))
		build := exec.CommandContext(ctx, "go", append(append([]string{"build", "-v", "-trimpath", "-buildvcs=false"}, args...), packages...)...)
		build.Env = b.Env
		_, err = run(build, p)
		return err
	})
}

// Run runs a command.
func (b *Builder) Run(ctx context.Context, title, name string, args ...string) error {
	p := &progress{begun: time.Now(), title: b.next(title)}
	return b.follow(p, func() error {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = b.Env
		_, err := run(cmd, p)
		return err
	})
}

func (b *Builder) next(title string) string {
	b.done++
	return fmt.Sprintf("[%d/%d] %s", b.First+b.done-1, b.Steps, title)
}

// follow tells how far the work is until it ends.
func (b *Builder) follow(p *progress, work func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	tell := func(line string, last bool) {
		switch {
		case !b.Live:
			fmt.Fprintln(b.Out, line)
		case last:
			fmt.Fprintf(b.Out, "\r%s\x1b[K\n", line)
		default:
			fmt.Fprintf(b.Out, "\r%s\x1b[K", line)
		}
	}
	tell(p.line(), false)
	ticker := time.NewTicker(b.Every)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				tell(p.title+": failed", true)
				return fmt.Errorf("%s: %w", p.title, err)
			}
			tell(fmt.Sprintf("%s: done in %s", p.title, time.Since(p.begun).Round(time.Second)), true)
			return nil
		case <-ticker.C:
			tell(p.line(), false)
		}
	}
}

// progress is how far a step is.
type progress struct {
	title string
	begun time.Time

	mu         sync.Mutex
	packages   int // to be compiled at most; 0 = not known
	compiled   int
	downloaded int
}

func (p *progress) total(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packages = n
}

// heard takes a line that go wrote. It reports whether it was progress.
func (p *progress) heard(line string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		p.downloaded++
	case line != "" && !strings.ContainsAny(line, " \t:"): // go build -v names a package when it begins with it
		p.compiled++
	default:
		return false
	}
	return true
}

func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var parts []string
	if p.downloaded > 0 {
		parts = append(parts, fmt.Sprintf("%d modules downloaded", p.downloaded))
	}
	if p.compiled > 0 && p.packages > 0 {
		parts = append(parts, fmt.Sprintf("%d of at most %d packages compiled", p.compiled, p.packages))
	}
	if took := time.Since(p.begun).Round(time.Second); took > 0 {
		parts = append(parts, took.String())
	}
	if len(parts) == 0 {
		return p.title + " …"
	}
	return p.title + ": " + strings.Join(parts, ", ")
}

// run runs a command and returns what it wrote to stdout.
func run(cmd *exec.Cmd, p *progress) ([]byte, error) {
	var out, said bytes.Buffer
	cmd.Stdout = &out
	errors, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	lines := bufio.NewScanner(errors)
	for lines.Scan() {
		if !p.heard(lines.Text()) {
			fmt.Fprintln(&said, lines.Text())
		}
	}
	_, _ = io.Copy(&said, errors) // a line that is too long for the scanner
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.Bytes())
	}
	return out.Bytes(), nil
}
