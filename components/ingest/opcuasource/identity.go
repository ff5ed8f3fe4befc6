package opcuasource

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/gopcua/opcua/ua"

	"edgepdm/components/ingest/mapping"
	"edgepdm/shared/durable"
)

const maxFile = 64 << 10 // bytes, of a certificate or key

// identity reads the client's certificate, PEM or DER, and its key, PEM of PKCS#1 or PKCS#8.
func identity(c mapping.OPCUA) (certificate []byte, key *rsa.PrivateKey, err error) {
	certPEM, err := durable.ReadFile(c.CertFile, maxFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read certFile: %w", err)
	}
	if !bytes.Contains(certPEM, []byte("-----BEGIN")) {
		certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certPEM})
	}
	keyPEM, err := durable.ReadFile(c.KeyFile, maxFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read keyFile: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("read certFile %s and keyFile %s: %w", c.CertFile, c.KeyFile, err)
	}
	key, isRSA := pair.PrivateKey.(*rsa.PrivateKey)
	if !isRSA {
		return nil, nil, errors.New("keyFile: OPC UA needs an RSA key")
	}
	return pair.Certificate[0], key, nil
}

// describe names what a server offers.
func describe(endpoints []*ua.EndpointDescription) string {
	var list []string
	for _, e := range endpoints {
		_, policy, _ := strings.Cut(e.SecurityPolicyURI, "#")
		list = append(list, policy+"/"+strings.TrimPrefix(e.SecurityMode.String(), "MessageSecurityMode"))
	}
	return strings.Join(list, ", ")
}
