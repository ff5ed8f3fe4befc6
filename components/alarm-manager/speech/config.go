// Package speech makes the alarm manager's announcements heard: it gives package voice its sources and sinks by configuration, says
// in the component's health how it goes, and fetches clips from the cloud.
package speech

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/cloud"
)

// Config says how alarms are spoken.
type Config struct {
	Enabled  bool             `json:"enabled"`
	Language string           `json:"language"` // the only one that is spoken, such as en-US; "" = all in which there are texts
	Volume   float64          `json:"volume"`   // samples are multiplied by it; 1 = as they are
	Repeat   time.Duration    `json:"repeat"`   // between two announcements of an alarm that is not acknowledged; 0 = it is spoken once
	Quiet    []alarm.Interval `json:"quiet"`    // when only what is high is spoken, by the site's time zone
	Player   []string         `json:"player"`   // program and arguments that play a WAV file; none = no loudspeaker at the device
	RTP      RTP              `json:"rtp"`
	Espeak   string           `json:"espeak"` // program that speaks; "" = none
	Clips    Clips            `json:"clips"`
}

// RTP says where paging speakers are.
type RTP struct {
	Address   string `json:"address"`   // IPv4 address and port of a multicast group or of one speaker; "" = none
	TTL       int    `json:"ttl"`       // routers that multicast passes, and one
	Interface string `json:"interface"` // network interface of multicast; "" = the system chooses
}

// Clips says where the cloud keeps clips.
type Clips struct {
	Bucket   string `json:"bucket"`   // S3 bucket; "" = none are fetched
	Prefix   string `json:"prefix"`   // of their keys
	Region   string `json:"region"`   // AWS region; "" = the nucleus's
	Endpoint string `json:"endpoint"` // URL of S3; "" = AWS's
	CAFile   string `json:"caFile"`   // PEM file of authorities that are trusted besides the system's
}

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Volume: 1, Repeat: time.Minute, Player: []string{"aplay", "-q"}, RTP: RTP{TTL: 1}, Espeak: "espeak-ng", Clips: Clips{Prefix: "audio"},
	}
}

const (
	maxVolume    = 4
	minRepeat    = 5 * time.Second
	maxRepeat    = 24 * time.Hour
	maxArguments = 20
	maxArgument  = 1000
	maxInterface = 15 // characters, as Linux allows
	maxPrefix    = 512
)

var (
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$`)
	bucketPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Language != "" && !languagePattern.MatchString(c.Language):
		return fmt.Errorf("language: %.40q is no language such as en-US", c.Language)
	case !(c.Volume > 0 && c.Volume <= maxVolume):
		return fmt.Errorf("volume: %v is not above 0 and at most %d", c.Volume, maxVolume)
	case c.Repeat != 0 && (c.Repeat < minRepeat || c.Repeat > maxRepeat):
		return fmt.Errorf("repeat: %v is neither 0s nor between %v and %v", c.Repeat, minRepeat, maxRepeat)
	}
	if _, err := alarm.NewWeekly("UTC", c.Quiet); err != nil {
		return fmt.Errorf("quiet%w", err)
	}
	if err := checkPlayer(c.Player); err != nil {
		return err
	}
	if len(c.Espeak) > maxArgument || strings.HasPrefix(c.Espeak, "-") {
		return fmt.Errorf("espeak: %.40q is not the name of a program", c.Espeak)
	}
	if err := c.RTP.validate(); err != nil {
		return fmt.Errorf("rtp.%w", err)
	}
	if err := c.Clips.validate(); err != nil {
		return fmt.Errorf("clips.%w", err)
	}
	if !c.Enabled {
		return nil
	}
	if len(c.Player) == 0 && c.RTP.Address == "" {
		return errors.New("player: neither it nor rtp.address is set: nobody would hear anything")
	}
	if c.Espeak == "" && c.Clips.Bucket == "" {
		return errors.New("espeak: neither it nor clips.bucket is set: there is nothing that speaks")
	}
	return nil
}

func checkPlayer(player []string) error {
	if len(player) > maxArguments {
		return fmt.Errorf("player: has %d arguments, at most %d", len(player), maxArguments)
	}
	for i, argument := range player {
		if i == 0 && argument == "" || len(argument) > maxArgument {
			return fmt.Errorf("player[%d]: has %d characters, must have 1 to %d", i, len(argument), maxArgument)
		}
	}
	return nil
}

func (c RTP) validate() error {
	if _, err := c.address(); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	switch {
	case c.TTL < 0 || c.TTL > 255:
		return fmt.Errorf("ttl: %d is not between 0 and 255", c.TTL)
	case len(c.Interface) > maxInterface || strings.ContainsAny(c.Interface, "/ "):
		return fmt.Errorf("interface: %.40q is not the name of a network interface", c.Interface)
	}
	return nil
}

// address is that of the speakers; the zero value for none.
func (c RTP) address() (netip.AddrPort, error) {
	if c.Address == "" {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddrPort(c.Address)
	if err != nil || !a.Addr().Is4() || a.Addr().IsUnspecified() || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%.60q is not an IPv4 address and a port such as 239.255.0.1:5004", c.Address)
	}
	return a, nil
}

func (c Clips) validate() error {
	switch {
	case c.Bucket != "" && !bucketPattern.MatchString(c.Bucket):
		return fmt.Errorf("bucket: %.80q is not the name of an S3 bucket", c.Bucket)
	case c.Prefix == "" || len(c.Prefix) > maxPrefix || c.Prefix != strings.Trim(c.Prefix, "/ "):
		return fmt.Errorf("prefix: %.80q has not 1 to %d characters, without a slash at its ends", c.Prefix, maxPrefix)
	}
	if err := cloud.CheckRegion(c.Region); err != nil {
		return fmt.Errorf("region: %w", err)
	}
	if err := cloud.CheckEndpoint(c.Endpoint); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	return nil
}

// speaks reports whether announcements in a language are spoken, and by which name of it.
func (c Config) speaks(language string) (name string, spoken bool) {
	if c.Language == "" {
		return language, true
	}
	base := func(name string) string {
		name, _, _ = strings.Cut(name, "-")
		return strings.ToLower(cmp.Or(name, "en"))
	}
	return c.Language, language == "" || base(language) == base(c.Language)
}
