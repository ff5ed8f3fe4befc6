package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of an answer of discovery. A device is associated with a few cores.
const (
	maxAnswer     = 1 << 20 // bytes
	maxEndpoints  = 64
	maxCAs        = 32
	discoveryPort = "8443"
	// alpn is what a client names on port 443, where AWS IoT serves other protocols, too.
	alpn = "x-amzn-http-ca"
)

// Core is a Greengrass core that a device may connect to, as discovery gives it.
type Core struct {
	Thing     string     `json:"thing"`     // the core's name
	Group     string     `json:"group"`     // "greengrassV2-coreDevice-…"
	Endpoints []Endpoint `json:"endpoints"` // to be tried in order
	CAs       []string   `json:"cas"`       // PEM; one of them has signed the core's certificate
}

// Endpoint is an address of a core's MQTT broker.
type Endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

func (e Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// document is the answer of Greengrass discovery:
// https://docs.aws.amazon.com/greengrass/v2/developerguide/greengrass-discover-api.html. AWS's own examples spell its keys in
// several cases, which encoding/json takes for equal.
type document struct {
	GGGroups []struct {
		GGGroupID string
		Cores     []struct {
			ThingArn     string
			Connectivity []struct {
				HostAddress string
				PortNumber  json.Number
			}
		}
		CAs []string
	}
}

// discover asks where the cores are: one GET with the device's certificate. Host may have a port.
func discover(ctx context.Context, host, thing string, identity tls.Certificate, roots *x509.CertPool, timeout time.Duration) ([]Core, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, discoveryPort)
	}
	config := &tls.Config{Certificates: []tls.Certificate{identity}, RootCAs: roots, MinVersion: tls.VersionTLS12}
	if _, port, _ := net.SplitHostPort(host); port == "443" {
		config.NextProtos = []string{alpn}
	}
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: timeout}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: timeout}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/greengrass/discover/thing/"+url.PathEscape(thing), nil)
	if err != nil {
		return nil, failed(StepDiscovery, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, failed(tlsStep(err, StepDiscovery), fmt.Errorf("ask %s: %w", host, err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, failed(StepDiscovery, fmt.Errorf("read the answer of %s: %w", host, err))
	}
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return nil, failed(StepPolicy, fmt.Errorf("%s refuses %s (%s): its certificate needs a policy that allows greengrass:Discover on its thing, and must be attached to the thing",
			host, thing, response.Status))
	case response.StatusCode == http.StatusNotFound:
		return nil, failed(StepPolicy, fmt.Errorf("%s knows no core for %s: associate the device with a core device", host, thing))
	case response.StatusCode != http.StatusOK:
		return nil, failed(StepDiscovery, fmt.Errorf("%s answers %s", host, response.Status))
	case len(body) > maxAnswer:
		return nil, failed(StepDiscovery, fmt.Errorf("the answer of %s has more than %d bytes", host, maxAnswer))
	}
	cores, err := readDocument(body)
	if err != nil {
		return nil, failed(StepDiscovery, fmt.Errorf("answer of %s: %w", host, err))
	}
	return cores, nil
}

// readDocument reads an answer. What cannot be used, such as an address without a port, is left out.
func readDocument(body []byte) ([]Core, error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	var cores []Core
	endpoints := 0
	for _, group := range d.GGGroups {
		cas := usableCAs(group.CAs)
		for _, c := range group.Cores {
			core := Core{Thing: c.ThingArn[strings.LastIndexByte(c.ThingArn, '/')+1:], Group: group.GGGroupID, CAs: cas}
			for _, at := range c.Connectivity {
				port, err := strconv.Atoi(at.PortNumber.String())
				if err != nil || port < 1 || port > 65535 || at.HostAddress == "" || strings.ContainsAny(at.HostAddress, "/ \t\r\n") || endpoints == maxEndpoints {
					continue
				}
				endpoints++
				core.Endpoints = append(core.Endpoints, Endpoint{at.HostAddress, port})
			}
			if len(core.Endpoints) > 0 && len(cas) > 0 {
				cores = append(cores, core)
			}
		}
	}
	if len(cores) == 0 {
		return nil, errors.New("it has no core with an address and a CA: deploy the IP detector to the core, or enter its endpoints by hand")
	}
	return cores, nil
}

func usableCAs(list []string) []string {
	var cas []string
	for _, pem := range list {
		if len(cas) < maxCAs && x509.NewCertPool().AppendCertsFromPEM([]byte(pem)) {
			cas = append(cas, pem)
		}
	}
	return cas
}
