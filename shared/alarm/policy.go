package alarm

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"edgepdm/shared/event"
)

// policy is what the rules say of an alarm.
type policy struct {
	priority event.Severity // "" = as observed
	votes    int
	window   int
	onDelay  time.Duration
	offDelay time.Duration
	reAlarm  time.Duration
	cooldown time.Duration
	latched  bool
	auto     bool // its return needs no acknowledgement
	tell     Audience
	mute     []week
	group    string // name of the group's flood, without its place; "" = none
	same     string
	escalate []time.Duration
	text     map[string]string
}

// policies finds and keeps policies: most alarms share a few.
type policies struct {
	config  Config
	applied []bool // which rules have matched so far
	known   map[string]*policy
}

// maxPolicies bounds those that are kept.
const maxPolicies = 1000

func newPolicies(c Config) *policies {
	return &policies{c, make([]bool, len(c.Rules)), make(map[string]*policy)}
}

// of returns the policy of an alarm.
func (p *policies) of(line string, key Key) *policy {
	matching := make([]byte, 0, 8)
	for i := range p.config.Rules {
		r := &p.config.Rules[i]
		if matches(r.Line, line) && matches(r.Thing, key.Thing) && matches(r.Fault, string(key.Fault)) {
			matching = append(matching, byte(i))
			p.applied[i] = true
		}
	}
	if known := p.known[string(matching)]; known != nil {
		return known
	}
	if len(p.known) >= maxPolicies {
		clear(p.known)
	}
	made := p.make(matching)
	p.known[string(matching)] = made
	return made
}

// make joins rules: the first one that sets a property decides it.
func (p *policies) make(rules []byte) *policy {
	all := Rule{}
	made := &policy{}
	for _, i := range rules {
		r := &p.config.Rules[i]
		all.Priority = cmp.Or(all.Priority, r.Priority)
		if all.Window == 0 {
			all.Votes, all.Window = r.Votes, r.Window
		}
		all.OnDelay = cmp.Or(all.OnDelay, r.OnDelay)
		all.OffDelay = cmp.Or(all.OffDelay, r.OffDelay)
		all.ReAlarm = cmp.Or(all.ReAlarm, r.ReAlarm)
		all.Cooldown = cmp.Or(all.Cooldown, r.Cooldown)
		all.Latched = cmp.Or(all.Latched, r.Latched)
		all.AutoAcknowledge = cmp.Or(all.AutoAcknowledge, r.AutoAcknowledge)
		if all.Tell == nil {
			all.Tell = r.Tell
		}
		if all.Mute == nil {
			all.Mute = r.Mute
		}
		if all.Group == "" && r.Group != "" {
			all.Group, made.group = r.Group, "group "+strconv.Itoa(int(i))
		}
		if all.Escalate == nil {
			all.Escalate = r.Escalate
		}
		if all.Text == nil {
			all.Text = r.Text
		}
	}
	made.priority, made.votes, made.window = all.Priority, max(all.Votes, 1), max(all.Window, 1)
	made.onDelay, made.offDelay, made.reAlarm = all.OnDelay, all.OffDelay, all.ReAlarm
	made.cooldown = cmp.Or(all.Cooldown, defaultCool)
	made.latched = all.Latched != nil && *all.Latched
	made.auto = all.AutoAcknowledge != nil && *all.AutoAcknowledge
	made.tell = Audience{Cloud: true, SNS: true, Voice: true}
	if all.Tell != nil {
		made.tell, _ = audience(all.Tell) // was validated
	}
	for _, in := range all.Mute {
		made.mute = append(made.mute, in.week())
	}
	made.same, made.escalate, made.text = all.Group, all.Escalate, all.Text
	return made
}

// mutedUntil returns when the mute interval that now is in ends; zero: there is none. With a clock that is not set nothing is
// muted: an alarm too many is better than one too few.
func (p *policy) mutedUntil(now time.Time, zone *time.Location) (end time.Time) {
	if len(p.mute) == 0 || unset(now) {
		return end
	}
	for range maxListed { // intervals may follow one another without a gap
		next := end
		for _, w := range p.mute {
			if t := w.end(later(now, end), zone); t.After(next) {
				next = t
			}
		}
		if next.Equal(end) {
			break
		}
		end = next
	}
	return end
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// placeOf returns the place of an alarm, of which there is one for a thing, a line or the site.
func placeOf(same, line, thing string) string {
	switch same {
	case sameThing:
		return "thing " + thing
	case sameLine:
		return "line " + line
	}
	return ""
}

// inhibition is an Inhibition that is in force.
type inhibition struct {
	Inhibition
	active map[string]map[Key]bool // causes by place
}

func newInhibitions(c Config) []*inhibition {
	all := make([]*inhibition, 0, len(c.Inhibit))
	for _, in := range c.Inhibit {
		in.Hold = cmp.Or(in.Hold, defaultHold)
		all = append(all, &inhibition{in, make(map[string]map[Key]bool)})
	}
	return all
}

func (in *inhibition) isCause(a *item) bool {
	return in.Source == string(a.Key.Fault) && matches(in.Line, a.Line) && matches(in.Thing, a.Key.Thing)
}

// cause returns the alarm that makes another one needless, the first by name; false: there is none. Things without a line are
// on none together.
func (in *inhibition) cause(a *item) (Key, bool) {
	if !slices.Contains(in.Faults, string(a.Key.Fault)) || in.Same == sameLine && a.Line == "" {
		return Key{}, false
	}
	first, found := Key{}, false
	for k := range in.active[placeOf(in.Same, a.Line, a.Key.Thing)] {
		if !found || k.compare(first) < 0 {
			first, found = k, true
		}
	}
	return first, found
}

// note tells whether a cause is active, and reports whether that is news for its place.
func (in *inhibition) note(a *item, active bool) bool {
	place := placeOf(in.Same, a.Line, a.Key.Thing)
	causes := in.active[place]
	if active {
		if causes == nil {
			causes = make(map[Key]bool)
			in.active[place] = causes
		}
		causes[a.Key] = true
		return len(causes) == 1
	}
	delete(causes, a.Key)
	if len(causes) == 0 {
		delete(in.active, place)
	}
	return len(causes) == 0
}
