// Package alarms is the alarm component: it decides from predictions, from silence and from the state of the uplink what
// is an alarm, and keeps every alert until the forwarder has it on disk.
package alarms

import (
	"fmt"
	"slices"
	"time"

	"edgepdm/components/alarm-manager/speech"
	"edgepdm/shared/alarm"
)

// Config is the component's configuration.
type Config struct {
	Raise      float64       `json:"raise"`      // probability from which a row votes for an alarm; 0 = the prediction's threshold
	Clear      float64       `json:"clear"`      // probability up to which a row votes for its end; 0, or not below raise = half of raise
	Votes      int           `json:"votes"`      // votes of the last Window rows that raise an alarm, or end it
	Window     int           `json:"window"`     // rows
	Silence    time.Duration `json:"silence"`    // without a prediction, or the engine, until that is an alarm; 0 = never
	UplinkDown time.Duration `json:"uplinkDown"` // without the cloud, or without the forwarder, until that is an alarm; 0 = never
	Republish  time.Duration `json:"republish"`  // until an alert that is not acknowledged is published again
	MaxThings  int           `json:"maxThings"`  // things that are watched; bounds memory

	Limits []alarm.Limit `json:"limits"` // of sensors that the engine's watch names

	alarm.Config `json:",squash"` //nolint:staticcheck // how alarms are managed: its keys are beside the others, as package mapstructure has it

	Languages     []string `json:"languages"`     // of texts; the first one is that of an alert's text
	CloudCommands bool     `json:"cloudCommands"` // commands are taken from AWS IoT Core, too
	TopicPrefix   string   `json:"topicPrefix"`   // of those, as the forwarder's

	Voice speech.Config `json:"voice"` // how alarms are spoken at the site
}

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Votes: 3, Window: 5, Silence: 30 * time.Second, UplinkDown: 5 * time.Minute, Republish: 5 * time.Second, MaxThings: 1000,
		Config: alarm.Default(), Languages: []string{alarm.English}, TopicPrefix: "edgepdm",
		Voice: speech.Default(),
	}
}

const (
	maxWindow    = 64 // votes are the bits of a word
	maxLanguages = 4
	maxPrefix    = 64
)

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case !(c.Raise >= 0 && c.Raise <= 1):
		return fmt.Errorf("raise: %v is not between 0 and 1", c.Raise)
	case !(c.Clear >= 0 && c.Clear <= 1):
		return fmt.Errorf("clear: %v is not between 0 and 1", c.Clear)
	case c.Raise > 0 && c.Clear >= c.Raise:
		return fmt.Errorf("clear: %v is not below raise (%v)", c.Clear, c.Raise)
	case c.Window < 1 || c.Window > maxWindow:
		return fmt.Errorf("window: %d is not between 1 and %d", c.Window, maxWindow)
	case c.Votes < 1 || c.Votes > c.Window:
		return fmt.Errorf("votes: %d is not between 1 and window (%d)", c.Votes, c.Window)
	case c.Silence < 0:
		return fmt.Errorf("silence: %v is negative", c.Silence)
	case c.UplinkDown < 0:
		return fmt.Errorf("uplinkDown: %v is negative", c.UplinkDown)
	case c.Republish < 100*time.Millisecond:
		return fmt.Errorf("republish: %v is below 100ms", c.Republish)
	case c.MaxThings < 1 || c.MaxThings > 10_000:
		return fmt.Errorf("maxThings: %d is not between 1 and 10000", c.MaxThings)
	}
	if err := c.Voice.Validate(); err != nil {
		return fmt.Errorf("voice.%w", err)
	}
	return c.validateAlarms()
}

func (c Config) validateAlarms() error {
	if n := len(c.Languages); n < 1 || n > maxLanguages {
		return fmt.Errorf("languages: has %d, must have 1 to %d", n, maxLanguages)
	}
	for i, l := range c.Languages {
		if len(l) < 2 || len(l) > 20 || slices.Contains(c.Languages[:i], l) {
			return fmt.Errorf("languages[%d]: %q is no language such as en, or is there twice", i, l)
		}
	}
	if len(c.TopicPrefix) > maxPrefix || !prefix.MatchString(c.TopicPrefix) {
		return fmt.Errorf("topicPrefix: %q has not 1 to %d of the characters a-z A-Z 0-9 _ - and /", c.TopicPrefix, maxPrefix)
	}
	if n := len(c.Rules); n > maxOwnRules {
		return fmt.Errorf("rules: has %d, at most %d", n, maxOwnRules)
	}
	if err := alarm.ValidateLimits(c.Limits, ownFaults...); err != nil {
		return err
	}
	return c.managed().Validate()
}

// levels returns the probabilities from which a row votes for an alarm and up to which it votes for its end, for a model's
// threshold. The second is always the lower one, or an alarm would be raised and ended by the same rows: a configured one that
// is not below the threshold gives way.
func (c Config) levels(threshold float64) (raise, clear float64) {
	raise, clear = c.Raise, c.Clear
	if raise == 0 {
		raise = threshold
	}
	if clear == 0 || clear >= raise {
		clear = raise / 2
	}
	if clear >= raise { // raise is 0: every row is a fault, and none ends it
		clear = -1
	}
	return raise, clear
}
