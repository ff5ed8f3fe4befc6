// Package moto starts a server of moto, an implementation of AWS's APIs in Python that is not this project's: an independent
// peer for tests.
package moto

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// CLI returns the path of the AWS CLI, which is installed beside moto. A machine without it skips the test.
func CLI(t testing.TB) string {
	t.Helper()
	return filepath.Join(need.Installed(t, tools.Moto), "bin", "aws")
}

// Start starts a server and returns its URL; the test's cleanup ends it. A machine without python3 skips the test.
func Start(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(need.Installed(t, tools.Moto), "bin", "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
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
