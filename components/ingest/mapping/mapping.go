// Package mapping is the configuration of the ingest component: which tags of the plant's own systems are which sensors of
// which machines.
package mapping

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// Config is the component's configuration.
type Config struct {
	Sources []Source `json:"sources"`
	Things  []Thing  `json:"things"`
}

// Source is a system that has values. One of MQTT, OPCUA and Modbus is set.
type Source struct {
	Name   string  `json:"name"`
	MQTT   *MQTT   `json:"mqtt"`
	OPCUA  *OPCUA  `json:"opcua"`
	Modbus *Modbus `json:"modbus"`
}

// MQTT is a broker (MQTT 3.1.1).
type MQTT struct {
	Broker       string  `json:"broker"`       // tcp://host:1883 or ssl://host:8883
	ClientID     string  `json:"clientId"`     // empty: a new one at each start
	Username     string  `json:"username"`     // empty: none
	PasswordFile string  `json:"passwordFile"` // file whose first line is the password
	CAFile       string  `json:"caFile"`       // PEM of the CAs that are trusted besides the system's
	CertFile     string  `json:"certFile"`     // PEM of a client certificate
	KeyFile      string  `json:"keyFile"`      // PEM of its key
	Topics       []Topic `json:"topics"`
}

// Topic is what is subscribed to, and how its messages are read.
type Topic struct {
	Filter string `json:"filter"` // such as plant/+/values
	Format Format `json:"format"`
	// For JSON: where a message has its time, such as meta.time, and how it is written: rfc3339, s, ms, us or ns since 1970.
	TimePath   string `json:"timePath"`
	TimeFormat string `json:"timeFormat"`
	// For JSON: where a message says how good its values are. Good, GOOD, 0, 192 to 255 and true are good; anything else is not.
	QualityPath string `json:"qualityPath"`
}

// Format is how messages are written.
type Format string

// The formats.
const (
	SiteWise  Format = "sitewise"  // AWS IoT SiteWise's gateway: propertyAlias and propertyValues
	JSON      Format = "json"      // any JSON object: values by their path
	Sparkplug Format = "sparkplug" // Sparkplug B
)

// OPCUA is an OPC UA server.
type OPCUA struct {
	Endpoint     string        `json:"endpoint"` // opc.tcp://host:4840/path
	Policy       string        `json:"policy"`   // None, Basic256Sha256, Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss
	Mode         string        `json:"mode"`     // None, Sign or SignAndEncrypt
	CertFile     string        `json:"certFile"` // of this client, PEM or DER
	KeyFile      string        `json:"keyFile"`  // PEM
	Username     string        `json:"username"` // empty: anonymous
	PasswordFile string        `json:"passwordFile"`
	Interval     time.Duration `json:"interval"` // between two values of a tag; default 1s
}

// Modbus is a Modbus TCP server.
type Modbus struct {
	Address string        `json:"address"` // host:502
	Unit    uint8         `json:"unit"`    // default 1
	Poll    time.Duration `json:"poll"`    // between two reads of a tag; default 1s
	Timeout time.Duration `json:"timeout"` // of a read; default 1s
}

// Thing is a machine whose rows are made.
type Thing struct {
	Thing    string        `json:"thing"`
	Line     string        `json:"line"`
	Every    time.Duration `json:"every"`    // between two rows; default 1s
	OnChange bool          `json:"onChange"` // a row comes when a value has changed, at most one each Every
	AtLeast  time.Duration `json:"atLeast"`  // with OnChange: a row comes after so long in any case; default 10s
	MaxAge   time.Duration `json:"maxAge"`   // a value that was heard so long ago is missing; default 1m, or three times every or a source's poll
	Packed   bool          `json:"packed"`   // the sensors are those of the model, in its order: rows go in the compact form
	Sensors  []Sensor      `json:"sensors"`
}

// Sensor is a value of a thing.
type Sensor struct {
	Sensor   string  `json:"sensor"`
	Source   string  `json:"source"`
	Tag      string  `json:"tag"`      // in the source's own terms
	Factor   float64 `json:"factor"`   // value·factor + offset; default 1
	Offset   float64 `json:"offset"`   //
	DeadBand float64 `json:"deadBand"` // a smaller change is none, after factor and offset
}

// Bounds.
const (
	MaxSources = 64
	MaxThings  = 10_000
	MaxSensors = 4_096   // of a thing
	MaxTags    = 100_000 // in all
	maxTag     = 512     // bytes
)

// Default returns the configuration with no key set.
func Default() Config { return Config{} }

// Validate names the field that is wrong, and fills in what is left out.
func (c *Config) Validate() error {
	if len(c.Sources) > MaxSources {
		return fmt.Errorf("sources: has %d, at most %d", len(c.Sources), MaxSources)
	}
	if len(c.Things) > MaxThings {
		return fmt.Errorf("things: has %d, at most %d", len(c.Things), MaxThings)
	}
	sources := make(map[string]*Source)
	for i := range c.Sources {
		s := &c.Sources[i]
		if err := s.validate(); err != nil {
			return fmt.Errorf("sources[%d].%w", i, err)
		}
		if sources[s.Name] != nil {
			return fmt.Errorf("sources[%d].name: %q is there twice", i, s.Name)
		}
		sources[s.Name] = s
	}
	things, tags := make(map[string]bool), 0
	for i := range c.Things {
		t := &c.Things[i]
		if err := t.validate(sources); err != nil {
			return fmt.Errorf("things[%d].%w", i, err)
		}
		if things[t.Thing] {
			return fmt.Errorf("things[%d].thing: %q is there twice", i, t.Thing)
		}
		things[t.Thing] = true
		if tags += len(t.Sensors); tags > MaxTags {
			return fmt.Errorf("things[%d].sensors: more than %d in all", i, MaxTags)
		}
	}
	return nil
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (s *Source) validate() error {
	if !sourceName.MatchString(s.Name) {
		return fmt.Errorf("name: %.64q is not 1 to 64 of A-Z a-z 0-9 . _ -", s.Name)
	}
	var kinds []error
	if s.MQTT != nil {
		kinds = append(kinds, prefixed("mqtt", s.MQTT.validate()))
	}
	if s.OPCUA != nil {
		kinds = append(kinds, prefixed("opcua", s.OPCUA.validate()))
	}
	if s.Modbus != nil {
		kinds = append(kinds, prefixed("modbus", s.Modbus.validate()))
	}
	if len(kinds) != 1 {
		return fmt.Errorf("name: source %s needs one of mqtt, opcua and modbus, it has %d", s.Name, len(kinds))
	}
	return kinds[0]
}

func prefixed(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", field, err)
}

// checkURL says whether text is a URL of a host with one of the schemes.
func checkURL(text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("%.128q is not a URL such as %s://host", text, schemes[0])
	}
	if u.User != nil {
		return errors.New("has a user name in it: give username and passwordFile")
	}
	return nil
}

func (m *MQTT) validate() error {
	if err := checkURL(m.Broker, "tcp", "ssl"); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	switch {
	case m.PasswordFile != "" && m.Username == "":
		return errors.New("passwordFile: without username")
	case m.PasswordFile != "" && strings.HasPrefix(m.Broker, "tcp:"):
		return errors.New("passwordFile: a password goes over ssl:// only")
	case (m.CertFile == "") != (m.KeyFile == ""):
		return errors.New("certFile: needs keyFile, and the other way round")
	case len(m.Topics) == 0:
		return errors.New("topics: empty")
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		switch {
		case t.Filter == "" || len(t.Filter) > maxTag:
			return fmt.Errorf("topics[%d].filter: has %d bytes, must have 1 to %d", i, len(t.Filter), maxTag)
		case t.Format != SiteWise && t.Format != JSON && t.Format != Sparkplug:
			return fmt.Errorf("topics[%d].format: %.32q is none of %s, %s and %s", i, t.Format, SiteWise, JSON, Sparkplug)
		case t.Format != JSON && (t.TimePath != "" || t.TimeFormat != "" || t.QualityPath != ""):
			return fmt.Errorf("topics[%d].timePath: %s has its own time and quality", i, t.Format)
		case !slices.Contains([]string{"", "rfc3339", "s", "ms", "us", "ns"}, t.TimeFormat):
			return fmt.Errorf("topics[%d].timeFormat: %.32q is none of rfc3339, s, ms, us and ns", i, t.TimeFormat)
		}
		if t.TimePath != "" && t.TimeFormat == "" {
			t.TimeFormat = "rfc3339"
		}
	}
	return nil
}

func (o *OPCUA) validate() error {
	if err := checkURL(o.Endpoint, "opc.tcp"); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if o.Policy == "" {
		o.Policy = "None"
	}
	if o.Mode == "" {
		o.Mode = "None"
		if o.Policy != "None" {
			o.Mode = "SignAndEncrypt"
		}
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	switch {
	case !slices.Contains([]string{"None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"}, o.Policy):
		return fmt.Errorf("policy: %.32q is none of None, Basic256Sha256, Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss", o.Policy)
	case !slices.Contains([]string{"None", "Sign", "SignAndEncrypt"}, o.Mode):
		return fmt.Errorf("mode: %.32q is none of None, Sign and SignAndEncrypt", o.Mode)
	case (o.Policy == "None") != (o.Mode == "None"):
		return fmt.Errorf("mode: %s does not go with policy %s", o.Mode, o.Policy)
	case o.Policy != "None" && (o.CertFile == "" || o.KeyFile == ""):
		return fmt.Errorf("certFile: policy %s needs certFile and keyFile", o.Policy)
	case o.PasswordFile != "" && o.Username == "":
		return errors.New("passwordFile: without username")
	case o.Username != "" && o.PasswordFile == "":
		return errors.New("username: needs passwordFile")
	case o.Interval < 10*time.Millisecond || o.Interval > time.Hour:
		return fmt.Errorf("interval: %v is not between 10ms and 1h", o.Interval)
	}
	return nil
}

func (m *Modbus) validate() error {
	host, port, err := net.SplitHostPort(m.Address)
	if n, odd := strconv.ParseUint(port, 10, 16); err != nil || host == "" || odd != nil || n == 0 {
		return fmt.Errorf("address: %.128q is not such as 10.0.0.5:502", m.Address)
	}
	if m.Unit == 0 {
		m.Unit = 1
	}
	if m.Poll == 0 {
		m.Poll = time.Second
	}
	if m.Timeout == 0 {
		m.Timeout = time.Second
	}
	switch {
	case m.Poll < 10*time.Millisecond || m.Poll > time.Hour:
		return fmt.Errorf("poll: %v is not between 10ms and 1h", m.Poll)
	case m.Timeout < 10*time.Millisecond || m.Timeout > 10*time.Second: // a stop waits for it
		return fmt.Errorf("timeout: %v is not between 10ms and 10s", m.Timeout)
	}
	return nil
}

func (t *Thing) validate(sources map[string]*Source) error {
	if err := event.CheckName(t.Thing); err != nil {
		return fmt.Errorf("thing: %w", err)
	}
	if t.Line != "" {
		if err := event.CheckLine(t.Line); err != nil {
			return fmt.Errorf("line: %w", err)
		}
	}
	setDefault(&t.Every, time.Second)
	setDefault(&t.AtLeast, max(10*time.Second, t.Every))
	slowest := t.Every
	for _, s := range t.Sensors {
		if source := sources[s.Source]; source != nil && source.Modbus != nil {
			slowest = max(slowest, source.Modbus.Poll)
		}
	}
	setDefault(&t.MaxAge, min(max(time.Minute, 3*slowest), 24*time.Hour))
	switch {
	case t.Every < 10*time.Millisecond || t.Every > 24*time.Hour:
		return fmt.Errorf("every: %v is not between 10ms and 24h", t.Every)
	case t.AtLeast < t.Every || t.AtLeast > 24*time.Hour:
		return fmt.Errorf("atLeast: %v is not between every (%v) and 24h", t.AtLeast, t.Every)
	case t.MaxAge < slowest || t.MaxAge > 24*time.Hour:
		return fmt.Errorf("maxAge: %v is not between %v (every, or a source's poll) and 24h", t.MaxAge, slowest)
	case len(t.Sensors) == 0 || len(t.Sensors) > MaxSensors:
		return fmt.Errorf("sensors: has %d, must have 1 to %d", len(t.Sensors), MaxSensors)
	}
	names := make(map[string]bool, len(t.Sensors))
	for i := range t.Sensors {
		s := &t.Sensors[i]
		if err := s.validate(sources); err != nil {
			return fmt.Errorf("sensors[%d].%w", i, err)
		}
		if names[s.Sensor] {
			return fmt.Errorf("sensors[%d].sensor: %q is there twice", i, s.Sensor)
		}
		names[s.Sensor] = true
	}
	return nil
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

func (s *Sensor) validate(sources map[string]*Source) error {
	if err := event.CheckSensor(s.Sensor); err != nil {
		return fmt.Errorf("sensor: %w", err)
	}
	if s.Factor == 0 {
		s.Factor = 1
	}
	switch {
	case sources[s.Source] == nil:
		return fmt.Errorf("source: there is no source %.64q", s.Source)
	case s.Tag == "" || len(s.Tag) > maxTag:
		return fmt.Errorf("tag: has %d bytes, must have 1 to %d", len(s.Tag), maxTag)
	case !finite(s.Factor) || !finite(s.Offset):
		return errors.New("factor: it and offset must be numbers")
	case !(s.DeadBand >= 0) || !finite(s.DeadBand):
		return fmt.Errorf("deadBand: %v is below 0", s.DeadBand)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
