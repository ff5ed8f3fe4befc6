package plantpeers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/test/must"
)

// Authority signs certificates, and keeps them in files: ca.pem, and for each its name with .pem and .key.
type Authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one for the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "plant CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.Issue("ca", template)
	return a
}

// Issue writes <name>.pem and <name>.key.
func (a *Authority) Issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must.OK(a.t, err)
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must.OK(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must.OK(a.t, err)
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		must.OK(a.t, os.WriteFile(a.File(file), pem.EncodeToMemory(block), 0o600))
	}
	cert, err := x509.ParseCertificate(der)
	must.OK(a.t, err)
	return cert, key
}

// File is the path of one of them.
func (a *Authority) File(name string) string { return filepath.Join(a.dir, name) }

// Server issues a broker on loopback its certificate, and returns the lines of mosquitto's configuration that use it.
func (a *Authority) Server() []string {
	a.Issue("server", &x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return []string{"cafile " + a.File("ca.pem"), "certfile " + a.File("server.pem"), "keyfile " + a.File("server.key")}
}
