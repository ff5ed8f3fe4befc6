package alarm

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// recordVersion is the version of the records.
const recordVersion = 1

// Record is a piece of the state: of one alarm, one place, one flood or the figures. A snapshot is a list of them, and so is what
// has changed since: applied one after the other they give the state again. Their members are this package's own; the owner
// writes and reads records whole.
type Record struct {
	V    int           `json:"v"`
	Run  time.Duration `json:"run"`         // running time
	At   time.Time     `json:"at,omitzero"` // the wall clock at Base, when it was believed last
	Base time.Duration `json:"base,omitempty"`

	Alarm   *saved   `json:"alarm,omitempty"`
	Gone    *Key     `json:"gone,omitempty"` // it is forgotten
	Place   *Place   `json:"place,omitempty"`
	Service *Place   `json:"service,omitempty"` // it is in service again
	Flood   *flood   `json:"flood,omitempty"`
	Figures *figures `json:"figures,omitempty"`
}

// figures are what is kept of the KPIs; up to ten minutes are lost with a process that is killed.
type figures struct {
	Slots   []slot `json:"slots,omitempty"`
	Minutes []slot `json:"minutes,omitempty"`
	Minute  int64  `json:"minute"`
	Flood   bool   `json:"flood,omitempty"`
}

// ErrNewer is returned for records of a newer version.
var ErrNewer = errors.New("written by a newer version")

// changed is what the records do not have yet.
type changed struct {
	alarms map[Key]bool // false: it is gone
	places map[place]bool
	floods map[string]bool
}

func (c *changed) alarm(a *item) { set(&c.alarms, a.Key, true) }
func (c *changed) gone(a *item) {
	if a.recorded || c.alarms[a.Key] {
		set(&c.alarms, a.Key, false)
	}
}
func (c *changed) place(p place)  { set(&c.places, p, true) }
func (c *changed) flood(f *flood) { set(&c.floods, f.Name, true) }

func set[K comparable](m *map[K]bool, k K, v bool) {
	if *m == nil {
		*m = make(map[K]bool)
	}
	(*m)[k] = v
}

// Changed returns records of what has changed since the last call of it or of Snapshot. What only observations have changed, such
// as a vote or a delay that goes on, is in snapshots alone: it costs no writing.
func (s *System) Changed() []Record {
	var records []Record
	add := func(r Record) { records = append(records, s.stamp(r)) }
	for _, k := range slices.SortedFunc(maps.Keys(s.changed.alarms), Key.compare) {
		if a := s.items[k]; a != nil {
			a.recorded = true
			add(Record{Alarm: a.copy()})
		} else {
			add(Record{Gone: &k})
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(s.changed.places), place.compare) {
		if found, is := s.places[p]; is {
			add(Record{Place: &found})
		} else {
			add(Record{Service: &Place{Thing: p.thing, Line: p.line}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.changed.floods)) {
		if f := s.floods[name]; f != nil {
			add(Record{Flood: f.copy()})
		}
	}
	if s.kpi.news {
		add(Record{Figures: s.kpi.figures()})
	}
	s.changed, s.kpi.news = changed{}, false
	return records
}

// Snapshot returns the whole state.
func (s *System) Snapshot() []Record {
	records := []Record{s.stamp(Record{Figures: s.kpi.figures()})}
	for _, k := range slices.SortedFunc(maps.Keys(s.items), Key.compare) {
		s.items[k].recorded = true
		records = append(records, s.stamp(Record{Alarm: s.items[k].copy()}))
	}
	for _, p := range s.Places() {
		records = append(records, s.stamp(Record{Place: &p}))
	}
	for _, name := range slices.Sorted(maps.Keys(s.floods)) {
		if f := s.floods[name]; !s.rests(f) {
			records = append(records, s.stamp(Record{Flood: f.copy()}))
		}
	}
	s.changed, s.kpi.news = changed{}, false
	return records
}

func (s *System) stamp(r Record) Record {
	r.V, r.Run, r.At, r.Base = recordVersion, s.clock.run, s.clock.anchor.wall, s.clock.anchor.run
	return r
}

// copy returns what is kept of an alarm, apart from what goes on.
func (a *item) copy() *saved {
	c := a.saved
	c.Edges, c.Hours = slices.Clone(a.Edges), slices.Clone(a.Hours)
	return &c
}

func (f *flood) copy() *flood {
	c := *f
	c.Times, c.Keys = slices.Clone(f.Times), slices.Clone(f.Keys)
	return &c
}

func (k *kpi) figures() *figures {
	used := func(ring []slot) []slot {
		return slices.DeleteFunc(slices.Clone(ring), func(s slot) bool { return s == slot{At: s.At} })
	}
	return &figures{used(k.slots[:]), used(k.minutes[:]), k.minute, k.flood}
}

// maxRecord is the longest encoded record, in bytes.
const maxRecord = 64 << 10

// DecodeRecord reads a record from JSON.
func DecodeRecord(data []byte) (Record, error) {
	var r Record
	if len(data) > maxRecord {
		return r, fmt.Errorf("decode record: it has %d bytes, at most %d", len(data), maxRecord)
	}
	err := json.Unmarshal(data, &r)
	if r.V > recordVersion { // whose members may be others
		return Record{}, fmt.Errorf("decode record: version %d: %w", r.V, ErrNewer)
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	return r, nil
}

// check refuses what no System writes.
func (r *Record) check() error {
	members := one(r.Alarm != nil) + one(r.Gone != nil) + one(r.Place != nil) + one(r.Service != nil) + one(r.Flood != nil) + one(r.Figures != nil)
	switch {
	case r.V != recordVersion:
		return fmt.Errorf("version %d is none", r.V)
	case members != 1:
		return fmt.Errorf("it has %d members, must have 1", members)
	case r.Run < origin || r.Run > maxRun || r.Base < 0 || r.Base > r.Run:
		return errors.New("run: is no running time")
	}
	switch {
	case r.Alarm != nil:
		return r.Alarm.check(r.Run)
	case r.Gone != nil:
		return r.Gone.check()
	case r.Flood != nil:
		return r.Flood.check(r.Run)
	case r.Figures != nil:
		return r.Figures.check(r.Run)
	}
	p := cmp.Or(r.Place, r.Service)
	if max(len(p.Thing), len(p.Line)) > maxLine || max(len(p.By), len(p.Comment)) > maxComment || (p.Thing == "") == (p.Line == "") {
		return errors.New("place: is none")
	}
	return nil
}

func (a *saved) check(run time.Duration) error {
	if err := a.Key.check(); err != nil {
		return err
	}
	past := []time.Duration{a.TurnedRun, a.EdgeRun, a.RaisedRun, a.ReturnedRun, a.AlarmedRun, a.ToldRun}
	ahead := []time.Duration{a.ReturnDue, a.ShelvedEnd, a.ReleaseRun}
	wrong := func(limit time.Duration) func(time.Duration) bool {
		return func(t time.Duration) bool { return t < 0 || t > limit }
	}
	standing := a.State == event.AlarmUnacknowledged || a.State == event.AlarmAcknowledged
	switch {
	case a.State != event.AlarmNormal && a.State != event.AlarmReturnedUnacknowledged && !standing:
		return fmt.Errorf("state: %q is none", a.State)
	case a.Active && !standing, !a.Active && standing != a.Latched, a.Active && a.Latched, a.Chatters && !a.Active:
		return errors.New("state: does not fit")
	case (a.Suppressed || a.ReleaseRun > 0) && !a.Active, a.ReleaseRun > 0 && !a.Suppressed:
		return errors.New("suppressed: does not fit")
	case rank(a.Priority) == 0 && (a.Priority != "" || a.State != event.AlarmNormal || a.Condition || a.Level):
		return fmt.Errorf("priority: %q is none", a.Priority)
	case rank(a.ToldPriority) == 0 && a.ToldPriority != "":
		return fmt.Errorf("told_priority: %q is none", a.ToldPriority)
	case !a.Chatters && a.Level != a.Active:
		return errors.New("level: does not fit")
	case slices.ContainsFunc(append(past, a.Edges...), wrong(run)), slices.ContainsFunc(ahead, wrong(run+maxSetting)):
		return errors.New("a running time is none")
	case len(a.Edges) > chatterRaises || len(a.Hours) > dayHours || a.Step < 0 || a.Step > maxEscalations:
		return errors.New("edges, hours or step: too many")
	case len(a.Line) > maxLine || len(a.Text) > maxText || len(a.Detail) > maxDetail || len(a.Data) > maxData:
		return errors.New("a text is too long")
	}
	return nil
}

func (f *flood) check(run time.Duration) error {
	wrong := func(t time.Duration) bool { return t < 0 || t > run }
	switch {
	case len(f.Name) > 2*maxLine || len(f.Line) > maxLine:
		return errors.New("flood: its name is too long")
	case len(f.Times) > 1000 || len(f.Keys) > maxHeld || f.Held < 0:
		return errors.New("flood: has too many")
	case slices.ContainsFunc(f.Times, wrong) || wrong(f.Summed) || f.Due < 0 || f.Due > run+lineWindow:
		return errors.New("flood: a running time is none")
	}
	return nil
}

func (g *figures) check(run time.Duration) error {
	minute := int64(run / time.Minute)
	late := func(at int64) func(slot) bool { return func(s slot) bool { return s.At < 0 || s.At > at } }
	if len(g.Slots) > int(daySlots) || len(g.Minutes) > int(slotLength)+1 || g.Minute < 0 || g.Minute > minute ||
		slices.ContainsFunc(g.Slots, late(minute/slotLength)) || slices.ContainsFunc(g.Minutes, late(minute)) {
		return errors.New("figures: are none")
	}
	return nil
}

// Restore returns a System with the state that records give, the oldest first, and what has become due since. Time in which there
// was no System counts for people (a shelving, an escalation), not for delays of conditions. It takes all that is right: the
// error joins what was not taken.
func Restore(config Config, records []Record, now time.Time) (*System, []Change, error) {
	s, err := New(config, now)
	if err != nil {
		return nil, nil, err
	}
	s.clock = clock{run: origin}
	s.kpi = newKPI()
	var wrong []error
	for i := range records {
		r := &records[i]
		err := r.check()
		if err == nil {
			s.apply(r)
			continue
		}
		if len(wrong) < maxHeld {
			wrong = append(wrong, fmt.Errorf("record %d: %w", i, err))
		}
	}
	s.resume(now)
	s.expire()
	return s, s.finish(), errors.Join(wrong...)
}

// apply takes a record.
func (s *System) apply(r *Record) {
	if r.Run >= s.clock.run {
		s.clock.run, s.clock.anchor = r.Run, anchor{plain(r.At), r.Base}
	}
	switch {
	case r.Alarm != nil:
		a := s.items[r.Alarm.Key]
		if a == nil {
			if len(s.items) >= s.config.MaxAlarms && r.Alarm.State == event.AlarmNormal {
				return
			}
			a = &item{}
			s.items[r.Alarm.Key] = a
			s.faults[r.Alarm.Key.Fault] = true
		}
		*a = item{saved: *r.Alarm, recorded: true, run: r.Run}
		a.Since, a.Raised = plain(a.Since), plain(a.Raised)
		if a.Ack != nil {
			a.Ack = &Acknowledgement{plain(a.Ack.At), a.Ack.By, a.Ack.Outcome, a.Ack.Comment}
		}
	case r.Gone != nil:
		delete(s.items, *r.Gone)
	case r.Place != nil:
		p := *r.Place
		p.Since = plain(p.Since)
		s.places[p.place()] = p
	case r.Service != nil:
		delete(s.places, r.Service.place())
	case r.Flood != nil:
		s.floods[r.Flood.Name] = r.Flood.copy()
	case r.Figures != nil:
		s.kpi.restore(r.Figures)
	}
}

func (k *kpi) restore(f *figures) {
	*k = kpi{minute: f.Minute, flood: f.Flood}
	for _, s := range f.Slots {
		*use(k.slots[:], s.At) = s
	}
	for _, s := range f.Minutes {
		*use(k.minutes[:], s.At) = s
	}
}

// resume goes on from what was restored.
func (s *System) resume(now time.Time) {
	for _, a := range s.items {
		a.policy = s.policies.of(a.Line, a.Key)
		a.index = len(s.timers)
		a.due = never
		s.timers = append(s.timers, a)
		a.Edges, a.Hours = slices.Clone(a.Edges), slices.Clone(a.Hours)
		a.ShelvedEnd = min(a.ShelvedEnd, s.clock.run+s.config.MaxTimeShelved)
		if a.run < s.clock.run { // what was observed since is not known
			a.Condition, a.Votes, a.EdgeRun = a.Level, 0, s.clock.run
		}
		if a.Active {
			s.cause(a, true)
		}
	}
	for _, f := range s.floods {
		if f.Held > 0 {
			s.summary = min(s.summary, f.Due)
		}
	}
	s.advance(now)
	for _, a := range s.items {
		s.schedule(a)
	}
	s.recheck = true
}
