package cloud

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrustAlso(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	dir := t.TempDir()
	ca, empty := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "empty.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for file, text := range map[string][]byte{ca: block, empty: nil} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(transport *http.Transport) error {
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	for _, c := range []struct {
		files []string
		bad   string // what stands in the way
		works bool
	}{
		{[]string{""}, "", false},
		{[]string{ca}, "", true},
		{[]string{ca, ca}, "", true}, // a second one adds to the first
		{[]string{empty}, "has no certificate", false},
		{[]string{filepath.Join(dir, "nowhere")}, "no such file", false},
	} {
		transport := &http.Transport{}
		for _, file := range c.files {
			if err := TrustAlso(transport, file); (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%v: %v", c.files, err)
			}
		}
		if err := get(transport); (err == nil) != c.works {
			t.Errorf("%v: %v", c.files, err)
		}
	}
}
