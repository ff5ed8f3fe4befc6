package alarm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// Do is what a person orders.
type Do string

// The orders.
const (
	Acknowledge      Do = "acknowledge"
	Shelve           Do = "shelve"
	Unshelve         Do = "unshelve"
	TakeOutOfService Do = "out-of-service"
	ReturnToService  Do = "return-to-service"
	ResetLatch       Do = "reset"
	Retire           Do = "retire"
	Rename           Do = "rename"
	Test             Do = "test"
)

// Command is an order. It concerns the alarms named, or those of a line. A command that cannot be obeyed as a whole changes
// nothing.
type Command struct {
	Do      Do            `json:"do"`
	Alarms  []Key         `json:"alarms,omitempty"` // a key without a fault is for all alarms of the thing
	Line    string        `json:"line,omitempty"`
	By      string        `json:"by,omitempty"` // as claimed
	Outcome Outcome       `json:"outcome,omitempty"`
	Comment string        `json:"comment,omitempty"`
	Until   time.Time     `json:"until,omitzero"` // end of a shelving
	For     time.Duration `json:"-"`              // likewise, instead of Until
	Text    string        `json:"text,omitempty"` // of a test
	To      string        `json:"to,omitempty"`   // new name of a thing
}

// Place is a thing or a line that is out of service, or a thing that is retired.
type Place struct {
	Thing   string    `json:"thing,omitempty"`
	Line    string    `json:"line,omitempty"`
	Retired bool      `json:"retired,omitempty"`
	Since   time.Time `json:"since"`
	By      string    `json:"by,omitempty"`
	Comment string    `json:"comment,omitempty"`
}

type place struct{ thing, line string }

func (p Place) place() place { return place{p.Thing, p.Line} }

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.line, other.line), cmp.Compare(p.thing, other.thing))
}

// Why a command is not obeyed.
var (
	ErrUnknown = errors.New("there is no such alarm")
	ErrNoEnd   = errors.New("for: a shelving needs an end, such as 2h")
)

// Bounds of commands.
const (
	maxKeys    = 1000
	maxBy      = 200 // bytes
	maxComment = 1000
	maxPlaces  = 10_000
)

// Command obeys an order, and returns what happened. The error says why it was not obeyed; then the changes are those which
// were due anyway.
func (s *System) Command(c Command, now time.Time) ([]Change, error) {
	s.advance(now)
	s.expire()
	err := c.Check()
	if err == nil {
		err = s.obey(c)
	}
	return s.finish(), err
}

// Check names what is wrong with a command, whatever alarms there are.
func (c Command) Check() error {
	switch {
	case len(c.Alarms) > maxKeys:
		return fmt.Errorf("alarms: there are %d, at most %d", len(c.Alarms), maxKeys)
	case c.To != "" && c.Do != Rename:
		return errors.New("to: is for rename alone")
	case len(c.Line) > maxLine:
		return fmt.Errorf("line: has %d bytes, at most %d", len(c.Line), maxLine)
	case len(c.By) > maxBy:
		return fmt.Errorf("by: has %d bytes, at most %d", len(c.By), maxBy)
	case max(len(c.Comment), len(c.Text)) > maxComment:
		return fmt.Errorf("comment: has more than %d bytes", maxComment)
	case len(c.Alarms) == 0 && c.Line == "":
		return errors.New("alarms: names none, nor a line")
	case len(c.Alarms) > 0 && c.Line != "" && c.Do != Test:
		return errors.New("line: alarms are named already")
	case c.Do == Shelve && c.For != 0 && !c.Until.IsZero():
		return errors.New("until: the length is given already")
	case c.Do == Shelve && c.For == 0 && c.Until.IsZero():
		return ErrNoEnd
	case c.Do == Shelve && c.For < 0:
		return fmt.Errorf("for: %v is negative", c.For)
	}
	if c.Do == Rename {
		if err := c.checkRename(); err != nil {
			return err
		}
	}
	switch c.Outcome {
	case "", Confirmed, NoFaultFound, Planned:
	default:
		return fmt.Errorf("outcome: %q is none of %s, %s and %s", c.Outcome, Confirmed, NoFaultFound, Planned)
	}
	for i, k := range c.Alarms {
		if err := event.CheckName(k.Thing); err != nil {
			return fmt.Errorf("alarms[%d].thing: %w", i, err)
		}
		if k.Fault == "" {
			continue
		}
		if err := checkFault(string(k.Fault)); err != nil {
			return fmt.Errorf("alarms[%d].fault: %w", i, err)
		}
	}
	return nil
}

func (s *System) obey(c Command) error {
	switch c.Do {
	case Acknowledge:
		waits := func(a *item) bool {
			return a.State == event.AlarmUnacknowledged || a.State == event.AlarmReturnedUnacknowledged
		}
		return s.each(c, waits, "waiting for an acknowledgement", func(a *item) { s.acknowledge(a, c) })
	case Shelve:
		return s.shelve(c)
	case Unshelve:
		shelved := func(a *item) bool { return a.ShelvedEnd > 0 }
		return s.each(c, shelved, "shelved", func(a *item) { s.unshelve(a, c.By, c.Comment) })
	case ResetLatch:
		resets := func(a *item) bool { return a.Latched && a.State == event.AlarmAcknowledged }
		return s.each(c, resets, "latched, acknowledged and over", func(a *item) {
			s.normal(a)
			s.emit(Change{Kind: Reset, By: c.By, Why: c.Comment}, a)
			s.tellPast(a)
		})
	case TakeOutOfService, ReturnToService, Retire:
		return s.place(c)
	case Rename:
		return s.rename(c)
	case Test:
		return s.test(c)
	}
	return errors.New("there is no such command")
}

// each does something to all alarms that a command concerns, if it can be done to all that it names.
func (s *System) each(c Command, can func(*item) bool, what string, do func(*item)) error {
	concerned, err := s.concerned(c, can, what)
	for _, a := range concerned {
		do(a)
		s.settle(a)
	}
	return err
}

// concerned returns the alarms that a command concerns. One that it names has to be fit for it, of a thing or a line at least one.
// what says what is fit.
func (s *System) concerned(c Command, can func(*item) bool, what string) ([]*item, error) {
	var all []*item
	fit := func(name string, of func(*item) bool) error {
		before, err := len(all), fmt.Errorf("%s: %w", name, ErrUnknown)
		for _, a := range s.items {
			switch {
			case !of(a):
			case can(a):
				all = append(all, a)
			default:
				err = fmt.Errorf("no alarm of %s is %s", name, what)
			}
		}
		if len(all) > before {
			return nil
		}
		return err
	}
	if c.Line != "" {
		if err := fit("line "+c.Line, func(a *item) bool { return a.Line == c.Line }); err != nil {
			return nil, err
		}
	}
	for _, k := range c.Alarms {
		if k.Fault == "" {
			if err := fit(k.Thing, func(a *item) bool { return a.Key.Thing == k.Thing }); err != nil {
				return nil, err
			}
			continue
		}
		a := s.items[k]
		if a == nil {
			return nil, fmt.Errorf("%s: %w", k.name(), ErrUnknown)
		}
		if !can(a) {
			return nil, fmt.Errorf("%s is not %s: it is %s", k.name(), what, a.State)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *item) int { return a.Key.compare(b.Key) })
	return slices.Compact(all), nil
}

// acknowledge notes that somebody has seen an alarm. If it is over, that is its end, also of a latched one: it was seen that
// it is over.
func (s *System) acknowledge(a *item, c Command) {
	a.Ack = &Acknowledgement{s.clock.now(), c.By, c.Outcome, c.Comment}
	s.kpi.acknowledged(s.clock.run, s.clock.run-a.AlarmedRun)
	over := !a.Active
	if a.State, a.Owed = event.AlarmAcknowledged, false; over {
		s.normal(a)
	}
	s.emit(Change{Kind: Acknowledged, By: c.By, Why: c.Comment, Outcome: c.Outcome}, a)
	if over {
		s.tellPast(a)
	}
}

// tellPast announces that an alarm is over, if people were told that it is raised, and not yet of its end.
func (s *System) tellPast(a *item) {
	if a.Told {
		s.tellReturn(a)
	}
}

// shelve keeps alarms from being announced for a time.
func (s *System) shelve(c Command) error {
	field, length := "for", c.For
	if c.For == 0 {
		now := s.clock.now()
		if unset(now) {
			return errors.New("until: the clock is not set: say for how long")
		}
		if field, length = "until", c.Until.Sub(now); length <= 0 {
			return errors.New("until: is not in the future")
		}
	}
	if length > s.config.MaxTimeShelved {
		return fmt.Errorf("%s: %v is longer than maxTimeShelved (%v)", field, length, s.config.MaxTimeShelved)
	}
	return s.each(c, func(*item) bool { return true }, "", func(a *item) {
		a.ShelvedEnd, a.ShelvedBy, a.ShelvedWhy = s.clock.run+length, c.By, c.Comment
		s.emit(Change{Kind: Shelved, By: c.By, Why: c.Comment}, a)
	})
}

// outOfService reports whether an alarm's thing or line is worked on.
func (s *System) outOfService(a *item) bool {
	_, thing := s.places[place{thing: a.Key.Thing}]
	_, line := s.places[place{line: a.Line}]
	return thing || line && a.Line != ""
}

// Places returns what is out of service or retired.
func (s *System) Places() []Place {
	all := make([]Place, 0, len(s.places))
	for _, p := range s.places {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Place) int { return a.place().compare(b.place()) })
	return all
}

// place takes things or a line out of service and back, or retires things.
func (s *System) place(c Command) error {
	var places []place
	if c.Line != "" {
		if c.Do == Retire {
			return errors.New("line: things are retired, one by one")
		}
		places = append(places, place{line: c.Line})
	}
	for i, k := range c.Alarms {
		if k.Fault != "" {
			return fmt.Errorf("alarms[%d].fault: it concerns the whole machine: name no fault", i)
		}
		if p := (place{thing: k.Thing}); !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	for _, p := range places {
		name := cmp.Or(p.thing, "line "+p.line)
		old, is := s.places[p]
		switch {
		case c.Do == ReturnToService && !is:
			return fmt.Errorf("%s is in service", name)
		case is && old.Retired && c.Do != ReturnToService:
			return fmt.Errorf("%s is retired already", name)
		case c.Do == TakeOutOfService && is:
			return fmt.Errorf("%s is out of service already", name)
		case c.Do != ReturnToService && len(s.places)+len(places) > maxPlaces:
			return fmt.Errorf("%d places are out of service or retired, at most %d", len(s.places), maxPlaces)
		}
	}
	for _, p := range places {
		s.putPlace(p, c)
	}
	return nil
}

// putPlace does it to one place and its alarms.
func (s *System) putPlace(p place, c Command) {
	kind := map[Do]Kind{TakeOutOfService: OutOfService, ReturnToService: ReturnedToService, Retire: Retired}[c.Do]
	if c.Do == ReturnToService {
		delete(s.places, p)
	} else {
		s.places[p] = Place{p.thing, p.line, c.Do == Retire, s.clock.now(), c.By, c.Comment}
	}
	s.changed.place(p)
	change := Change{Kind: kind, By: c.By, Why: c.Comment}
	change.Alarm.Thing, change.Alarm.Line, change.Alarm.State = p.thing, p.line, event.AlarmNormal
	change.Alarm.OutOfService = c.Do != ReturnToService
	s.emit(change, nil)
	var there []*item
	for _, a := range s.items {
		if p.thing != "" && a.Key.Thing == p.thing || p.line != "" && a.Line == p.line {
			there = append(there, a)
		}
	}
	slices.SortFunc(there, func(a, b *item) int { return a.Key.compare(b.Key) })
	for _, a := range there {
		if c.Do == Retire {
			s.retire(a, c)
			continue
		}
		if c.Do == ReturnToService && a.Hidden && a.State == event.AlarmUnacknowledged {
			s.comeBack(a, change)
		}
		s.settle(a)
	}
}

// retire ends an alarm for ever.
func (s *System) retire(a *item, c Command) {
	change := Change{Kind: Retired, By: c.By, Why: c.Comment}
	if a.Told {
		change.To = a.policy.tell.and(Audience{Cloud: true})
	}
	raised := a.State != event.AlarmNormal
	if a.Active {
		a.Active, a.ReturnedRun = false, s.clock.run
		s.cause(a, false)
	}
	s.normal(a)
	if raised {
		s.emit(change, a)
	}
	s.forget(a)
}

// test announces that the way of an alarm works. It leaves none behind.
func (s *System) test(c Command) error {
	if len(c.Alarms) == 0 {
		return errors.New("alarms: names none")
	}
	for _, k := range c.Alarms {
		a := item{saved: saved{Key: Key{k.Thing, cmp.Or(k.Fault, event.FaultTest)}, Line: c.Line}}
		change := Change{Kind: Tested, By: c.By, Why: c.Comment, To: s.policies.of(c.Line, a.Key).tell}
		change.Alarm = Alarm{
			Key: a.Key, Line: c.Line, Priority: event.SeverityLow, State: event.AlarmUnacknowledged, Since: s.clock.now(),
			Raised: s.clock.now(), Text: c.Text,
		}
		s.emit(change, nil)
	}
	return nil
}
