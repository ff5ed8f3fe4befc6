package plantpeers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// Moquette starts the broker of Greengrass cores with the certificate of a.Server. It takes clients that the authorities in the
// file devices signed.
func Moquette(t testing.TB, a *Authority, devices string) (port int) {
	t.Helper()
	jars := filepath.Join(need.Installed(t, tools.Moquette), "jars")
	a.Server()
	dir, secret := t.TempDir(), "changeit"
	store := filepath.Join(dir, "store.p12")
	for _, line := range [][]string{
		{"openssl", "pkcs12", "-export", "-in", a.File("server.pem"), "-inkey", a.File("server.key"), "-out", store, "-passout", "pass:" + secret},
		{"keytool", "-importcert", "-noprompt", "-alias", "devices", "-file", devices, "-keystore", store, "-storetype", "PKCS12", "-storepass", secret},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[0], err, out)
		}
	}
	port = FreePort(t)
	must.OK(t, os.Mkdir(filepath.Join(dir, "config"), 0o700))
	must.OK(t, os.WriteFile(filepath.Join(dir, "config", "moquette.conf"), fmt.Appendf(nil, `host 127.0.0.1
port disabled
ssl_port %d
jks_path %s
key_store_type pkcs12
key_store_password %s
key_manager_password %s
need_client_auth true
allow_anonymous true
persistence_enabled false
telemetry_enabled false
`, port, store, secret, secret), 0o600))
	c := exec.Command(need.Tool(t, "java", "Debian: apt-get install default-jre-headless"),
		"-Dmoquette.path="+dir, "-cp", filepath.Join(jars, "*"), "io.moquette.broker.Server")
	c.Dir = dir
	listening(t, port, c)
	return port
}
