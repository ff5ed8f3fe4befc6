package console

import (
	"errors"
	"fmt"
	"net"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

// Config is the component's configuration.
type Config struct {
	Address   string `json:"address"`   // host and port of the page; beyond loopback it takes TLS and a login
	MaxThings int    `json:"maxThings"` // that are shown
	TimeZone  string `json:"timeZone"`  // of the site, such as Europe/Berlin; empty = the browser's
	Language  string `json:"language"`  // of the page: en or de; empty = the browser's

	Engine    string `json:"engine"`    // work directory of the inference engine, for names and usual values of sensors; in the work directory if relative
	Forwarder string `json:"forwarder"` // likewise of the cloud forwarder, for the replay of dead letters
	Alarms    string `json:"alarms"`    // likewise of the alarm manager, for the history of alarms

	Trends  TrendConfig `json:"trends"`
	TLS     TLSConfig   `json:"tls"`
	Metrics bool        `json:"metrics"` // whether /metrics is there, for Prometheus
	Demo    string      `json:"demo"`    // of the demo only: the folder of its sounds; empty = no page of the demo
}

// TrendConfig bounds what is kept of trends on disk.
type TrendConfig struct {
	Bytes int64         `json:"bytes"` // 0 = none are kept
	Age   time.Duration `json:"age"`   // of what is kept by the hour
}

// TLSConfig names a certificate of the site's own. Without one the console makes one that is signed by itself.
type TLSConfig struct {
	Certificate string `json:"certificate"` // PEM file
	Key         string `json:"key"`
}

const maxTrendBytes = 64 << 30

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Address: "127.0.0.1:8090", MaxThings: 1000,
		Engine: "../" + event.InferenceEngine, Forwarder: "../" + event.CloudForwarder, Alarms: "../" + event.AlarmManager,
		Trends: TrendConfig{Bytes: 256 << 20, Age: 90 * 24 * time.Hour},
	}
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if _, port, err := net.SplitHostPort(c.Address); err != nil || port == "" {
		return fmt.Errorf("address: %.60q is not host and port, such as 127.0.0.1:8090", c.Address)
	}
	switch {
	case c.MaxThings < 1 || c.MaxThings > ledger.MaxThings:
		return fmt.Errorf("maxThings: %d is not between 1 and %d", c.MaxThings, ledger.MaxThings)
	case c.Language != "" && c.Language != "en" && c.Language != "de":
		return fmt.Errorf("language: %.20q is neither en nor de", c.Language)
	case c.Trends.Bytes < 0 || c.Trends.Bytes > maxTrendBytes:
		return fmt.Errorf("trends.bytes: %d is not between 0 and %d", c.Trends.Bytes, int64(maxTrendBytes))
	case c.Trends.Age < time.Hour || c.Trends.Age > 10*366*24*time.Hour:
		return fmt.Errorf("trends.age: %v is not between 1h and 87840h", c.Trends.Age)
	case (c.TLS.Certificate == "") != (c.TLS.Key == ""):
		return errors.New("tls: certificate and key go together")
	}
	if c.Demo != "" && !c.Loopback() {
		return errors.New("demo: its page is on a loopback address only")
	}
	if _, err := time.LoadLocation(c.TimeZone); err != nil || len(c.TimeZone) > event.MaxTimeZone || c.TimeZone == "Local" {
		return fmt.Errorf("timeZone: %.64q is not the name of a time zone, such as Europe/Berlin", c.TimeZone)
	}
	return nil
}

// Loopback says whether only this machine can reach the page.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
