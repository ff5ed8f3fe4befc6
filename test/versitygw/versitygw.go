// Package versitygw starts versitygw for tests: an S3 that others have written, which verifies signatures and checksums.
package versitygw

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

const patience = time.Minute

// Gateway is one that runs, until the test ends.
type Gateway struct {
	Endpoint       string
	Access, Secret string // the only key that it knows
}

// Start starts one with an empty bucket, whose objects have no versions, or skips the test where there is none.
func Start(t testing.TB, bucket string) Gateway {
	t.Helper()
	program := filepath.Join(need.Installed(t, tools.Versitygw), "versitygw")
	g := Gateway{Access: "operator", Secret: "not-a-secret"}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	address := listener.Addr().String()
	must.OK(t, listener.Close())
	g.Endpoint = "http://" + address
	root, sidecar := t.TempDir(), t.TempDir()
	must.OK(t, os.Mkdir(filepath.Join(root, bucket), 0o755))
	server := exec.Command(program, "--quiet", "--port", address, "--access", g.Access, "--secret", g.Secret, "posix", "--sidecar", sidecar, root)
	var out bytes.Buffer
	server.Stdout, server.Stderr = &out, &out
	must.OK(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("versitygw: %s", out.String())
		}
	})
	awaitListener(t, address)
	return g
}

func awaitListener(t testing.TB, address string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatalf("nothing listens at %s", address)
}
