package alarms

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
)

// A setting that is wrong is refused with its name; the manager's own rules are behind those of the site.
func TestWrongSettingsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"timeZone: ":                 func(c *Config) { c.TimeZone = "Berlin" },
		"maxTimeShelved: ":           func(c *Config) { c.MaxTimeShelved = time.Second },
		"maxPerLine: ":               func(c *Config) { c.MaxPerLine = 0 },
		"maxPerSite: ":               func(c *Config) { c.MaxPerSite = 2000 },
		"maxAlarms: ":                func(c *Config) { c.MaxAlarms = 1 },
		"languages: ":                func(c *Config) { c.Languages = nil },
		"languages[1]: ":             func(c *Config) { c.Languages = []string{"en", "en"} },
		"topicPrefix: ":              func(c *Config) { c.TopicPrefix = "a//b" },
		"rules: has 191":             func(c *Config) { c.Rules = make([]alarm.Rule, 191) },
		"rules[1].priority: ":        func(c *Config) { c.Rules = []alarm.Rule{{}, {Priority: "urgent"}} },
		"rules[0].onDelay: ":         func(c *Config) { c.Rules = []alarm.Rule{{OnDelay: -1}} },
		"rules[0].mute[0].from: ":    func(c *Config) { c.Rules = []alarm.Rule{{Mute: []alarm.Interval{{From: "25:00", To: "06:00"}}}} },
		"rules[0].text.en: ":         func(c *Config) { c.Rules = []alarm.Rule{{Text: map[string]string{"en": "{what}"}}} },
		"inhibit[0].faults: ":        func(c *Config) { c.Inhibit = []alarm.Inhibition{{Source: "uplink-down"}} },
		"limits[0].above: ":          func(c *Config) { c.Limits = []alarm.Limit{{Sensor: "oil_temp"}} },
		"limits[0].fault: silence":   func(c *Config) { c.Limits = []alarm.Limit{{Sensor: "oil_temp", Above: new(float64), Fault: "silence"}} },
		"votes: 6 is not between 1 ": func(c *Config) { c.Votes = 6 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := Default()
	c.Rules = make([]alarm.Rule, maxOwnRules)
	for i := range alarm.MaxLimits {
		c.Limits = append(c.Limits, alarm.Limit{Sensor: fmt.Sprint("s", i), Above: new(float64)})
	}
	if err := c.Validate(); err != nil {
		t.Errorf("with as many rules and limits as there may be: %v", err)
	}
	if managed := c.managed(); len(managed.Rules) <= maxOwnRules || len(c.Rules) != maxOwnRules {
		t.Errorf("%d rules", len(managed.Rules))
	}
}
