package localcloud

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// DiscoveredCore is what the cloud knows of a core for its client devices.
type DiscoveredCore struct {
	Thing     string
	CAs       []string // PEM
	Addresses []DiscoveredAddress
}

// DiscoveredAddress is an endpoint of a core, from its IP detector or entered by hand.
type DiscoveredAddress struct {
	Host string
	Port int
}

// Devices is the part of AWS IoT that client devices need: their certificates and Greengrass discovery.
type Devices struct {
	log    *slog.Logger
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	now    func() time.Time
	mu     sync.Mutex
	serial int64
	denied map[string]bool                  // have no policy that allows greengrass:Discover
	cores  map[string]func() DiscoveredCore // of a device
	upper  bool                             // keys are spelled as in the API reference's example, not as in the developer guide's
}

func newDevices(now func() time.Time, log *slog.Logger) (*Devices, error) {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edgepdm localcloud device CA"},
		NotBefore: now().Add(-time.Hour), NotAfter: now().Add(certificateLifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, der, err := certify(ca, ca, nil)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("read the device CA: %w", err)
	}
	return &Devices{
		log: log, ca: ca, caKey: key, now: now, serial: 1, denied: make(map[string]bool), cores: make(map[string]func() DiscoveredCore),
	}, nil
}

// Roots are who may have signed a device's certificate.
func (d *Devices) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(d.ca)
	return pool
}

// Authority is the certificate, PEM, of who signs the devices'.
func (d *Devices) Authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.ca.Raw})
}

// Create makes a thing with a certificate, and writes certificate and key into dir.
func (d *Devices) Create(thing, dir string) (certFile, keyFile string, err error) {
	d.mu.Lock()
	d.serial++
	serial := d.serial
	d.mu.Unlock()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: thing}, NotBefore: d.ca.NotBefore, NotAfter: d.ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	key, der, err := certify(leaf, d.ca, d.caKey)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", fmt.Errorf("encode key: %w", err)
	}
	certFile, keyFile = filepath.Join(dir, thing+".pem.crt"), filepath.Join(dir, thing+".private.key")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return "", "", fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return "", "", fmt.Errorf("write key: %w", err)
	}
	return certFile, keyFile, nil
}

// Associate makes a thing a client device of a core; nil ends that.
func (d *Devices) Associate(thing string, core func() DiscoveredCore) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if core == nil {
		delete(d.cores, thing)
		return
	}
	d.cores[thing] = core
}

// Associated says whether a thing is a client device of a core.
func (d *Devices) Associated(thing string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cores[thing] != nil
}

// Deny takes greengrass:Discover away from a thing, or gives it back.
func (d *Devices) Deny(thing string, denied bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.denied[thing] = denied
}

// SpellAsReference has answers spell keys as the API reference's example does: AWS's documents have both.
func (d *Devices) SpellAsReference(reference bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upper = reference
}

// identity returns the configuration of the server of discovery, which asks for a device's certificate.
func (d *Devices) identity(server *tls.Config) *tls.Config {
	c := server.Clone()
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, d.Roots()
	return c
}

// ServeHTTP answers GET /greengrass/discover/thing/NAME, as
// https://docs.aws.amazon.com/greengrass/v2/developerguide/greengrass-discover-api.html says.
func (d *Devices) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /greengrass/discover/thing/{thing}", d.discover)
	mux.ServeHTTP(w, r)
}

func (d *Devices) discover(w http.ResponseWriter, r *http.Request) {
	thing := r.PathValue("thing")
	d.mu.Lock()
	core, denied, upper := d.cores[thing], d.denied[thing], d.upper
	d.mu.Unlock()
	var status int
	var answer any
	switch {
	case r.TLS == nil || r.TLS.PeerCertificates[0].Subject.CommonName != thing || denied:
		status, answer = http.StatusForbidden, map[string]string{"errorMessage": "User is not authorized to perform: greengrass:Discover"}
	case core == nil:
		status, answer = http.StatusNotFound, map[string]string{"errorMessage": "Thing is not associated with a core device"}
	default:
		status, answer = http.StatusOK, d.document(core(), upper)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		d.log.Debug("answer discovery", "err", err)
	}
}

func (d *Devices) document(core DiscoveredCore, upper bool) any {
	type object = map[string]any
	arn, host, port, id, metadata := "thingArn", "hostAddress", "portNumber", "id", "metadata"
	if upper {
		arn, host, port, id, metadata = "ThingArn", "HostAddress", "PortNumber", "Id", "Metadata"
	}
	connectivity := []object{}
	for _, a := range core.Addresses {
		connectivity = append(connectivity, object{id: a.Host, host: a.Host, port: a.Port, metadata: ""})
	}
	cores := []object{{arn: "arn:aws:iot:us-east-1:" + account + ":thing/" + core.Thing, "Connectivity": connectivity}}
	return object{"GGGroups": []object{{"GGGroupId": "greengrassV2-coreDevice-" + core.Thing, "Cores": cores, "CAs": core.CAs}}}
}
