// Package official runs Amazon's own Greengrass IPC clients, aws-iot-device-sdk-v2 for JavaScript and awsiotsdk for Python:
// independent peers for tests and benchmarks.
package official

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/need"
	"edgepdm/test/tools"
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

// JavaScript returns the peer for scripts of Node.js. A machine that lacks it skips the test.
func JavaScript(t testing.TB) Peer {
	t.Helper()
	installed := need.Installed(t, tools.JavaScript)
	return Peer{need.Tool(t, "node", "Debian: apt-get install nodejs"), []string{"NODE_PATH=" + filepath.Join(installed, "node_modules")}}
}

// Python returns the peer for Python scripts. A machine that lacks it skips the test.
func Python(t testing.TB) Peer {
	t.Helper()
	return Peer{filepath.Join(need.Installed(t, tools.Python), "bin", "python"), nil}
}
