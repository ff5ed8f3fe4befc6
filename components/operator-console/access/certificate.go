package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/shared/durable"
)

// Files of the console's own certificate, in its work directory.
const (
	certificateFile = "console-cert.pem"
	keyFile         = "console-key.pem"

	certificateTime = 10 * 365 * 24 * time.Hour // people look at the fingerprint once
)

// Certificate returns the certificate in a folder. If there is none, or it is over, one is made that is signed by itself, for the hosts.
func Certificate(dir string, hosts []string, now time.Time) (tls.Certificate, error) {
	c, err := LoadCertificate(filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	switch {
	case err == nil && now.Before(c.Leaf.NotAfter):
		return c, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return c, err
	}
	certificate, key, err := newCertificate(hosts, now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	err = durable.WriteFileAtomic(filepath.Join(dir, keyFile), key, 0o600)
	if err == nil {
		err = durable.WriteFileAtomic(filepath.Join(dir, certificateFile), certificate, 0o644)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("write the certificate: %w", err)
	}
	return LoadCertificate(filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
}

// LoadCertificate reads a certificate and its key, PEM files.
func LoadCertificate(certificate, key string) (tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return c, fmt.Errorf("read the certificate: %w", err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return c, fmt.Errorf("read the certificate: %w", err)
		}
	}
	return c, nil
}

func newCertificate(hosts []string, now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "edgepdm operator console"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateTime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if host != "" {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// Hosts are the names under which this machine is likely to be called, for an address to listen at.
func Hosts(address string) []string {
	var hosts []string
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		return append(hosts, host)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return hosts
	}
	for _, a := range addresses {
		if network, is := a.(*net.IPNet); is && !network.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, network.IP.String())
		}
	}
	return hosts
}

// Fingerprint is the SHA-256 of the certificate in a PEM file, as browsers show it.
func Fingerprint(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("read the certificate: %s has none", filepath.Base(path))
	}
	sum := sha256.Sum256(block.Bytes)
	text := strings.ToUpper(hex.EncodeToString(sum[:]))
	parts := make([]string, 0, len(sum))
	for i := 0; i < len(text); i += 2 {
		parts = append(parts, text[i:i+2])
	}
	return strings.Join(parts, ":"), nil
}

// OwnCertificate is the path of the console's own certificate in a work directory.
func OwnCertificate(dir string) string { return filepath.Join(dir, certificateFile) }

// UsersFile is the path of the logins in a work directory.
func UsersFile(dir string) string { return filepath.Join(dir, "logins.json") }
