// Package official sets up Amazon's own Greengrass IPC clients, aws-iot-device-sdk-v2 for JavaScript and awsiotsdk for
// Python, in the project's cache folder: independent peers for tests and benchmarks.
package official

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"edgepdm/test/need"
)

// Peer runs programs that use one of the official clients.
type Peer struct {
	interpreter string
	environment []string // what the interpreter needs to find the client
}

// Command prepares a program: script is a file, env holds NAME=VALUE in addition to this process's own environment.
func (p Peer) Command(ctx context.Context, env []string, script string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.interpreter, append([]string{script}, args...)...)
	cmd.Env = append(append(os.Environ(), p.environment...), env...)
	return cmd
}

// Shell returns the command line of a program for a recipe's script.
func (p Peer) Shell(script string, args ...string) string {
	var words []string
	for _, word := range slices.Concat([]string{"env"}, p.environment, []string{p.interpreter, script}, args) {
		words = append(words, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// JavaScript returns the peer for scripts of Node.js, and installs the client when the cache lacks it. A machine without
// node or npm skips the test.
func JavaScript(t testing.TB) Peer {
	t.Helper()
	const how = "Debian: apt-get install nodejs npm"
	node, npm := need.Tool(t, "node", how), need.Tool(t, "npm", how)
	dir := filepath.Join(need.Root(t), "test", "interop", "js")
	installed := install(t, recipe{
		cache: "interop-js", version: []string{node, "--version"}, how: how,
		pins: []string{filepath.Join(dir, "package.json"), filepath.Join(dir, "package-lock.json"), filepath.Join(dir, ".npmrc")},
		// No package's own scripts run: the client's native code is inside its package.
		commands: [][]string{{npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"}},
	})
	return Peer{node, []string{"NODE_PATH=" + filepath.Join(installed, "node_modules")}}
}

// Python returns the peer for Python scripts, and installs the client when the cache lacks it. A machine without python3
// and its venv skips the test.
func Python(t testing.TB) Peer {
	t.Helper()
	const how = "Debian: apt-get install python3 python3-venv"
	python := need.Tool(t, "python3", how)
	installed := install(t, recipe{
		cache: "interop-venv", version: []string{python, "--version"}, how: how,
		pins: []string{filepath.Join(need.Root(t), "test", "interop", "python", "requirements.txt")},
		commands: [][]string{
			{python, "-m", "venv", "."},
			{"bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
				"--only-binary", ":all:", "--requirement", "requirements.txt"},
		},
	})
	return Peer{filepath.Join(installed, "bin", "python"), nil}
}

// recipe says how to fill a folder of the cache.
type recipe struct {
	cache    string     // name of the folder
	version  []string   // command whose output is part of what the folder was made for
	pins     []string   // files that are copied into the folder first
	commands [][]string // are run in the folder
	how      string     // to get the tools
}

// install returns the folder, made anew unless its stamp shows that it is complete and of the same pins and interpreter.
func install(t testing.TB, r recipe) string {
	t.Helper()
	cache := filepath.Join(need.Root(t), ".cache")
	dir := filepath.Join(cache, r.cache)
	if err := r.fill(cache, dir); err != nil {
		var failed *commandError
		if errors.As(err, &failed) && os.Getenv("REQUIRE_ALL") != "1" {
			t.Skipf("%v (%s; it needs the network once)", err, r.how)
		}
		t.Fatal(err)
	}
	return dir
}

// commandError is a tool that did not do its work, such as without a network.
type commandError struct {
	command []string
	output  []byte
	err     error
}

func (e *commandError) Error() string { return fmt.Sprintf("%v: %v\n%s", e.command, e.err, e.output) }

func (e *commandError) Unwrap() error { return e.err }

func (r recipe) fill(cache, dir string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	unlock, err := lock(dir + ".lock") // tests of other packages want the folder, too
	if err != nil {
		return err
	}
	defer unlock()
	wanted, err := r.stamp()
	if err != nil {
		return err
	}
	stamp := filepath.Join(dir, "stamp")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == wanted {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what is stale: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	for _, pin := range r.pins {
		text, err := os.ReadFile(pin)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(pin)), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy pins: %w", err)
		}
	}
	for _, command := range r.commands {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return &commandError{command, out, err}
		}
	}
	if err := os.WriteFile(stamp, []byte(wanted), 0o600); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	return nil
}

// lock holds a lock across processes until the function that it returns is called.
func lock(file string) (func(), error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	return func() { _ = f.Close() }, nil
}

// stamp is a hash of all that the folder is made from.
func (r recipe) stamp() (string, error) {
	sum := sha256.New()
	version, err := exec.Command(r.version[0], r.version[1:]...).CombinedOutput()
	if err != nil {
		return "", &commandError{r.version, version, err}
	}
	_, _ = fmt.Fprintf(sum, "%s%q", version, r.commands) // a hash takes everything
	for _, pin := range r.pins {
		text, err := os.ReadFile(pin)
		if err != nil {
			return "", fmt.Errorf("read pins: %w", err)
		}
		_, _ = fmt.Fprintf(sum, "%d %s", len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
