package alarm

import (
	"errors"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // devices often have no time zones of their own

	"edgepdm/shared/event"
)

// Config is how alarms are managed. Default returns one that works with no rule at all.
type Config struct {
	TimeZone       string        `json:"timeZone"`       // of the site, by its IANA name; for mute intervals and texts
	MaxTimeShelved time.Duration `json:"maxTimeShelved"` // the longest shelving
	MaxPerLine     int           `json:"maxPerLine"`     // alarms of a line that are announced in ten minutes; others are summed up
	MaxPerSite     int           `json:"maxPerSite"`     // alarms of the site that are announced in one minute; likewise
	MaxAlarms      int           `json:"maxAlarms"`      // that are known; bounds memory
	Rules          []Rule        `json:"rules"`          // each property is decided by the first rule that matches and sets it
	Inhibit        []Inhibition  `json:"inhibit"`        // alarms that others make needless
}

// Rule sets properties of the alarms that it matches. A property that is zero is left to the rules after it, and to the
// defaults.
type Rule struct {
	Line  string `json:"line"`  // pattern with * and ?; "" matches all
	Thing string `json:"thing"` // likewise
	Fault string `json:"fault"` // likewise

	Priority        event.Severity    `json:"priority"`        // instead of the one that is observed
	Votes           int               `json:"votes"`           // of the last Window observations that change the condition; default 1
	Window          int               `json:"window"`          // observations; default 1
	OnDelay         time.Duration     `json:"onDelay"`         // how long the condition holds until the alarm is raised
	OffDelay        time.Duration     `json:"offDelay"`        // how long it is over until the alarm returns
	ReAlarm         time.Duration     `json:"reAlarm"`         // a standing alarm is raised again so long after; 0 = never
	Cooldown        time.Duration     `json:"cooldown"`        // an alarm that comes again so soon is announced later; default 1m
	Latched         *bool             `json:"latched"`         // it stays until it is reset; default false
	AutoAcknowledge *bool             `json:"autoAcknowledge"` // its return needs no acknowledgement; default false
	Tell            []string          `json:"tell"`            // of cloud, sns and voice, or none alone; default all
	Mute            []Interval        `json:"mute"`            // when sns and voice are not told
	Group           string            `json:"group"`           // thing, line or site: what comes at one time there is summed up
	Escalate        []time.Duration   `json:"escalate"`        // unacknowledged so long: told again; at most two steps
	Text            map[string]string `json:"text"`            // by language: what is said when it is raised
}

// Inhibition suppresses alarms while another one, the cause, is active.
type Inhibition struct {
	Source string        `json:"source"` // fault of the cause
	Line   string        `json:"line"`   // pattern of the cause's line; "" matches all
	Thing  string        `json:"thing"`  // pattern of the cause's thing; likewise
	Faults []string      `json:"faults"` // that are suppressed
	Same   string        `json:"same"`   // thing, line or site: where they are, seen from the cause; default site
	Hold   time.Duration `json:"hold"`   // how long they stay suppressed when the cause is over; default 30s
}

// Where something is the same.
const (
	sameThing = "thing"
	sameLine  = "line"
	sameSite  = "site"
)

// Fixed times and bounds.
const (
	lineWindow     = 10 * time.Minute // for MaxPerLine
	siteWindow     = time.Minute      // for MaxPerSite
	groupWindow    = 5 * time.Minute  // for groups
	summaryDelay   = 30 * time.Second // from the first alarm that is held back to the summary
	defaultCool    = time.Minute
	defaultHold    = 30 * time.Second
	chatterWindow  = time.Minute     // so many raises within it are chattering
	chatterRaises  = 3               //
	chatterQuiet   = 5 * time.Minute // without a change until chattering is over
	briefTime      = 5 * time.Second // the end of a shorter alarm is told when it stays away as long
	dayTime        = 24 * time.Hour
	maxSetting     = 31 * dayTime // the longest delay
	maxRules       = 250          // their indices are bytes
	maxInhibitions = 50
	maxListed      = 20 // intervals, faults, languages of a rule
	maxWindow      = 64 // votes are the bits of a word
	maxPattern     = 128
	maxTemplate    = 500 // characters
	maxEscalations = 2
	maxFault       = 64
)

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		TimeZone: "UTC", MaxTimeShelved: 12 * time.Hour, MaxPerLine: 10, MaxPerSite: 10, MaxAlarms: 20_000,
		Inhibit: []Inhibition{
			{Source: string(event.FaultEngineDown), Faults: []string{string(event.FaultSilence), string(event.FaultLine), string(event.FaultNoData)}},
			{Source: string(event.FaultUplinkDown), Faults: []string{string(event.FaultSilence), string(event.FaultLine)}},
			{Source: string(event.FaultLine), Faults: []string{string(event.FaultSilence)}, Same: sameLine},
			{Source: string(event.FaultNoData), Faults: []string{string(event.FaultQuality)}, Same: sameThing},
		},
	}
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.MaxTimeShelved < time.Minute || c.MaxTimeShelved > maxSetting:
		return fmt.Errorf("maxTimeShelved: %v is not between 1m and %v", c.MaxTimeShelved, maxSetting)
	case c.MaxPerLine < 1 || c.MaxPerLine > 1000:
		return fmt.Errorf("maxPerLine: %d is not between 1 and 1000", c.MaxPerLine)
	case c.MaxPerSite < 1 || c.MaxPerSite > 1000:
		return fmt.Errorf("maxPerSite: %d is not between 1 and 1000", c.MaxPerSite)
	case c.MaxAlarms < 10 || c.MaxAlarms > 100_000:
		return fmt.Errorf("maxAlarms: %d is not between 10 and 100000", c.MaxAlarms)
	case len(c.Rules) > maxRules:
		return fmt.Errorf("rules: there are %d, at most %d", len(c.Rules), maxRules)
	case len(c.Inhibit) > maxInhibitions:
		return fmt.Errorf("inhibit: there are %d, at most %d", len(c.Inhibit), maxInhibitions)
	}
	if _, err := c.location(); err != nil {
		return fmt.Errorf("timeZone: %w", err)
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rules[%d].%w", i, err)
		}
	}
	for i, in := range c.Inhibit {
		if err := in.validate(); err != nil {
			return fmt.Errorf("inhibit[%d].%w", i, err)
		}
	}
	return c.checkCycles()
}

// location loads the site's time zone. The device's own setting, which Go calls Local, is none: it may differ from the site's.
func (c Config) location() (*time.Location, error) {
	if c.TimeZone == "" || c.TimeZone == "Local" || len(c.TimeZone) > event.MaxTimeZone {
		return nil, fmt.Errorf("%q is not the IANA name of a time zone, such as Europe/Berlin", c.TimeZone)
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("%q is not the IANA name of a time zone, such as Europe/Berlin", c.TimeZone)
	}
	return zone, nil
}

// Has reports whether a rule is for a fault.
func (r Rule) Has(f event.Fault) bool { return matches(r.Fault, string(f)) }

func (r Rule) validate() error {
	for _, p := range []struct{ field, pattern string }{{"line", r.Line}, {"thing", r.Thing}, {"fault", r.Fault}} {
		if err := checkPattern(p.pattern); err != nil {
			return fmt.Errorf("%s: %w", p.field, err)
		}
	}
	for _, d := range []struct {
		field string
		time  time.Duration
	}{{"onDelay", r.OnDelay}, {"offDelay", r.OffDelay}, {"reAlarm", r.ReAlarm}, {"cooldown", r.Cooldown}} {
		if d.time < 0 || d.time > maxSetting {
			return fmt.Errorf("%s: %v is not between 0 and %v", d.field, d.time, maxSetting)
		}
	}
	switch {
	case r.Priority != "" && rank(r.Priority) == 0:
		return fmt.Errorf("priority: %q is none of high, medium and low", r.Priority)
	case r.Window < 0 || r.Window > maxWindow:
		return fmt.Errorf("window: %d is not between 1 and %d", r.Window, maxWindow)
	case r.Votes < 0 || r.Votes > max(r.Window, 1):
		return fmt.Errorf("votes: %d is not between 1 and window (%d)", r.Votes, max(r.Window, 1))
	case r.Window > 0 && r.Votes == 0:
		return errors.New("votes: is missing, window is set")
	case r.Votes > 0 && r.Window == 0:
		return errors.New("window: is missing, votes is set")
	case r.ReAlarm > 0 && r.ReAlarm < time.Minute:
		return fmt.Errorf("reAlarm: %v is below 1m", r.ReAlarm)
	case r.Group != "" && !isPlace(r.Group):
		return fmt.Errorf("group: %q is none of thing, line and site", r.Group)
	case len(r.Escalate) > maxEscalations:
		return fmt.Errorf("escalate: has %d steps, at most %d", len(r.Escalate), maxEscalations)
	case len(r.Mute) > maxListed:
		return fmt.Errorf("mute: has %d intervals, at most %d", len(r.Mute), maxListed)
	}
	for i, d := range r.Escalate {
		if d <= 0 || d > maxSetting || i > 0 && d <= r.Escalate[i-1] {
			return fmt.Errorf("escalate[%d]: %v is not above the step before it and at most %v", i, d, maxSetting)
		}
	}
	if _, err := audience(r.Tell); err != nil {
		return err
	}
	for i, in := range r.Mute {
		if err := in.validate(); err != nil {
			return fmt.Errorf("mute[%d].%w", i, err)
		}
	}
	return checkTexts(r.Text)
}

func (in Inhibition) validate() error {
	for _, p := range []struct{ field, pattern string }{{"line", in.Line}, {"thing", in.Thing}} {
		if err := checkPattern(p.pattern); err != nil {
			return fmt.Errorf("%s: %w", p.field, err)
		}
	}
	if err := checkFault(in.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if n := len(in.Faults); n < 1 || n > maxListed {
		return fmt.Errorf("faults: has %d, must have 1 to %d", n, maxListed)
	}
	for i, f := range in.Faults {
		if err := checkFault(f); err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
	}
	switch {
	case in.Same != "" && !isPlace(in.Same):
		return fmt.Errorf("same: %q is none of thing, line and site", in.Same)
	case in.Hold < 0 || in.Hold > dayTime:
		return fmt.Errorf("hold: %v is not between 0 and %v", in.Hold, dayTime)
	}
	return nil
}

// checkCycles refuses faults that inhibit each other, or themselves: none of them would be told.
func (c Config) checkCycles() error {
	reach := make(map[string][]string) // fault: those that inhibit it, directly or not
	for changed := true; changed; {
		changed = false
		for i, in := range c.Inhibit {
			for j, f := range in.Faults {
				for _, cause := range append([]string{in.Source}, reach[in.Source]...) {
					if cause == f {
						return fmt.Errorf("inhibit[%d].faults[%d]: %s would inhibit itself", i, j, f)
					}
					if !slices.Contains(reach[f], cause) {
						reach[f] = append(reach[f], cause)
						changed = true
					}
				}
			}
		}
	}
	return nil
}

// rank orders severities; 0 is none.
func rank(s event.Severity) int {
	return 1 + slices.Index([]event.Severity{event.SeverityLow, event.SeverityMedium, event.SeverityHigh}, s)
}

func isPlace(same string) bool { return same == sameThing || same == sameLine || same == sameSite }

func checkFault(f string) error {
	if len(f) > maxFault {
		return fmt.Errorf("fault has %d characters, at most %d", len(f), maxFault)
	}
	return event.CheckName(f)
}

func checkPattern(pattern string) error {
	if n := len(pattern); n > maxPattern {
		return fmt.Errorf("pattern has %d characters, at most %d", n, maxPattern)
	}
	return nil
}

// matches reports whether a pattern with * and ? matches a name; "" matches all.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // the last * takes one character more
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
