// Package moto starts a server of moto, an implementation of AWS's APIs in Python that is not this project's: an independent
// peer for tests.
package moto

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"edgepdm/test/need"
)

//go:embed requirements.txt
var requirements []byte

// Start starts a server and returns its URL; the test's cleanup ends it. A machine without python3 skips the test.
func Start(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(environment(t), "bin", "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	output, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text()); address != "" {
			go func() { _, _ = io.Copy(io.Discard, output) }() // ends with the process
			return address
		}
	}
	t.Fatal("moto ended")
	return ""
}

// environment returns the folder of a Python environment with moto, which it makes when there is none that fits. What a
// machine cannot give skips the test.
func environment(t testing.TB) string {
	t.Helper()
	python := need.Tool(t, "python3", "Debian: apt-get install python3 python3-venv")
	version, err := exec.Command(python, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(version, requirements...))
	wanted := hex.EncodeToString(sum[:])
	cache := filepath.Join(need.Root(t), ".cache")
	venv, stamp := filepath.Join(cache, "moto-venv"), filepath.Join(cache, "moto-venv", "stamp")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(venv+".lock", os.O_CREATE|os.O_RDWR, 0o600) // other tests may want it too
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(stamp); err == nil && string(have) == wanted {
		return venv
	}
	pins := filepath.Join(need.Root(t), "test", "moto", "requirements.txt")
	for _, command := range [][]string{
		{python, "-m", "venv", "--clear", venv},
		{filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", pins},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			if os.Getenv("REQUIRE_ALL") == "1" {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
			t.Skipf("python3 cannot make the environment of %s: %v (Debian: apt-get install python3-venv; it needs PyPI)", pins, err)
		}
	}
	if err := os.WriteFile(stamp, []byte(wanted), 0o600); err != nil {
		t.Fatal(err)
	}
	return venv
}
