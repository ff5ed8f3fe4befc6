package opcuasource

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/plantpeers"
)

// peer is the source, of which each tag is a sensor s0, s1, …
type peer struct {
	table    *rows.Table
	problems chan error
	ahead    atomic.Int64 // of the table's clock

	mu     sync.Mutex
	counts map[string]int
}

// run reads the nodes of namespace 2 until the test ends.
func run(t *testing.T, o mapping.OPCUA, nodes ...string) *peer {
	t.Helper()
	o.Interval = 50 * time.Millisecond
	c := mapping.Config{Sources: []mapping.Source{{Name: "opc", OPCUA: &o}}, Things: []mapping.Thing{{Thing: "m", Every: 10 * time.Millisecond, MaxAge: 5 * time.Second}}}
	for i, node := range nodes {
		c.Things[0].Sensors = append(c.Things[0].Sensors, mapping.Sensor{Sensor: "s" + strconv.Itoa(i), Source: "opc", Tag: "ns=2;s=" + node})
	}
	must.OK(t, c.Validate())
	p := &peer{counts: make(map[string]int), problems: make(chan error, 1000)}
	p.table = rows.New(c, "e", func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }, p.count)
	env := &source.Env{
		Name: "opc", Tags: p.table.Tags("opc"), Table: p.table, Log: slog.New(slog.DiscardHandler), Count: p.count,
		Problem: func(err error) { p.problems <- err },
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { Run(ctx, env, o) })
	t.Cleanup(func() { stop(); work.Wait() })
	return p
}

func (p *peer) count(reason string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[reason] += n
}

func (p *peer) counted(reason string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[reason]
}

// await waits for a row; - is a missing value.
func (p *peer) await(t *testing.T, within time.Duration, want string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, row := range p.table.Due(nil) {
			var values []string
			for i := range len(row.Readings) {
				text := "-"
				if x := row.Readings["s"+strconv.Itoa(i)]; x == x {
					text = fmt.Sprint(x)
				}
				values = append(values, text)
			}
			if last = strings.Join(values, " "); last == want {
				return
			}
		}
	}
	t.Fatalf("not within %v: %q; last %q, counted %v", within, want, last, p.counts)
}

func endpoint(s *plantpeers.Server) string { return "opc.tcp://127.0.0.1:" + strconv.Itoa(s.Port) }

func TestValuesOfAServer(t *testing.T) {
	need.Long(t)
	again = 500 * time.Millisecond
	t.Cleanup(func() { again = time.Minute })
	server := plantpeers.OPCUA(t)
	p := run(t, mapping.OPCUA{Endpoint: endpoint(server)}, "Oil.Temp", "Speed", "Runs", "Text", "Nowhere")
	p.await(t, 20*time.Second, "70.5 1480 1 - -")
	if p.counted(reasonType) == 0 || p.counted(rows.ReasonNoTag) == 0 {
		t.Errorf("counted: %v", p.counts)
	}
	server.Do("set Oil.Temp 71.25")
	server.Do("set Runs false")
	p.await(t, 10*time.Second, "71.25 1480 0 - -")
	server.Do("bad Oil.Temp")
	p.await(t, 10*time.Second, "- 1480 0 - -")
	if p.counted(rows.ReasonQuality) == 0 {
		t.Errorf("counted: %v", p.counts)
	}
	server.Do("set Oil.Temp 72.5")
	p.await(t, 10*time.Second, "72.5 1480 0 - -")
	p.ahead.Store(int64(time.Minute)) // maxAge is 5 s: constant values come back with the server's next word
	p.await(t, 10*time.Second, "72.5 1480 0 - -")
	server.Do("delete Speed")
	p.await(t, 10*time.Second, "72.5 - 0 - -")
	server.Do("add Speed")
	p.await(t, 10*time.Second, "72.5 1480 0 - -")
}

func TestServerIsKilledAndStartedAgain(t *testing.T) {
	need.Long(t)
	server := plantpeers.OPCUA(t)
	p := run(t, mapping.OPCUA{Endpoint: endpoint(server)}, "Oil.Temp")
	p.await(t, 20*time.Second, "70.5")
	server.Kill()
	timeout := time.After(20 * time.Second)
	for err := error(nil); err == nil; {
		select {
		case err = <-p.problems:
		case <-timeout:
			t.Fatal("nobody says that the server is away")
		}
	}
	if len(p.table.Unheard()) != 1 {
		t.Error("the value stays")
	}
	server.Start()
	server.Do("set Oil.Temp 80")
	p.await(t, 30*time.Second, "80")
	if n := p.counted(source.ReasonLost); n != 1 {
		t.Errorf("%d connections were lost", n)
	}
}

// certificate makes files of a certificate, DER and PEM, and a key as openssl writes it.
func certificate(t *testing.T, uri string) (der, cert, key string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must.OK(t, err)
	u, err := url.Parse(uri)
	must.OK(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edgepdm test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, URIs: []*url.URL{u}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must.OK(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must.OK(t, err)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must.OK(t, os.WriteFile(path, data, 0o600))
		return path
	}
	return write("cert.der", raw), write("cert.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})),
		write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func TestSecurity(t *testing.T) {
	serverDER, _, serverKey := certificate(t, "urn:freeopcua:python:server")
	der, cert, key := certificate(t, "urn:edgepdm:ingest")
	server := plantpeers.OPCUA(t, serverDER, serverKey)
	for _, file := range []string{der, cert} {
		o := mapping.OPCUA{Endpoint: endpoint(server), Policy: "Basic256Sha256", Mode: "SignAndEncrypt", CertFile: file, KeyFile: key}
		p := run(t, o, "Oil.Temp")
		p.await(t, 20*time.Second, "70.5")
	}
	_, err := Connect(context.Background(), mapping.OPCUA{Endpoint: endpoint(server), Policy: "None", Mode: "None"})
	if err == nil || !strings.Contains(err.Error(), "Basic256Sha256/SignAndEncrypt") {
		t.Errorf("a server without an open endpoint: %v", err)
	}
	_, err = Connect(context.Background(), mapping.OPCUA{Endpoint: endpoint(server), Policy: "Basic256Sha256", Mode: "SignAndEncrypt", CertFile: cert, KeyFile: serverKey})
	if err == nil || !strings.Contains(err.Error(), "keyFile") {
		t.Errorf("the key of another certificate: %v", err)
	}
}

func TestUserAndPassword(t *testing.T) {
	serverDER, _, serverKey := certificate(t, "urn:freeopcua:python:server")
	_, cert, key := certificate(t, "urn:edgepdm:ingest")
	server := plantpeers.OPCUA(t, serverDER, serverKey)
	file := filepath.Join(t.TempDir(), "password")
	o := mapping.OPCUA{
		Endpoint: endpoint(server), Policy: "Basic256Sha256", Mode: "SignAndEncrypt", CertFile: cert, KeyFile: key, Username: "edgepdm", PasswordFile: file,
	}
	must.OK(t, os.WriteFile(file, []byte("wrong\n"), 0o600))
	p := run(t, o, "Oil.Temp")
	select {
	case err := <-p.problems:
		if err == nil || strings.Contains(err.Error(), "wrong") || !errors.Is(err, ua.StatusBadUserAccessDenied) {
			t.Errorf("a wrong password: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody says that the password is wrong")
	}
	must.OK(t, os.WriteFile(file, []byte("secret\n"), 0o600)) // it is read again
	p.await(t, 30*time.Second, "70.5")
}

func TestBrowse(t *testing.T) {
	server := plantpeers.OPCUA(t)
	got := make(map[string]Variable)
	must.OK(t, Browse(t.Context(), mapping.OPCUA{Endpoint: endpoint(server), Policy: "None", Mode: "None"}, func(v Variable) error {
		got[v.Node] = v
		return nil
	}))
	if v := got["ns=2;s=Oil.Temp"]; len(got) != 4 || v.Path != "Press1/Oil.Temp" || v.Value != "70.5" {
		t.Errorf("%v", got)
	}
}
