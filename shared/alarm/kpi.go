package alarm

import (
	"cmp"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// Counts are the figures of a time.
type Counts struct {
	Raised       int           `json:"raised"`
	Announced    int           `json:"announced"`
	Acknowledged int           `json:"acknowledged"`
	MeanTime     time.Duration `json:"-"`             // to acknowledge
	MeanSeconds  float64       `json:"mean_s"`        // likewise
	FloodMinutes int           `json:"flood_minutes"` // with more than ten alarms in ten minutes, until fewer than five
}

// Actor is an alarm that comes often.
type Actor struct {
	Key
	Line  string `json:"line,omitempty"`
	Count int    `json:"count"` // in the last 24 hours, also while it chattered
}

// KPIs are the figures of ISA-18.2 that are known. They are of running time.
type KPIs struct {
	TenMinutes     Counts  `json:"ten_minutes"` // the last ten whole minutes and the present one
	Day            Counts  `json:"day"`         // 24 hours, in steps of ten minutes
	Active         int     `json:"active"`
	Unacknowledged int     `json:"unacknowledged"` // those that are over, too
	Shelved        int     `json:"shelved"`
	Suppressed     int     `json:"suppressed"`
	Chattering     int     `json:"chattering"`
	Stale          int     `json:"stale"` // active for more than 24 hours
	Worst          []Actor `json:"worst"` // the ten that came most often
}

const (
	slotTime   = 10 * time.Minute
	daySlots   = int64(dayTime / slotTime)
	slotLength = int64(slotTime / time.Minute)
	dayHours   = 24
	worst      = 10
	floodBegin = 10 // alarms in ten minutes above which it is a flood
	floodEnd   = 5  // below which it is over
)

// slot counts what happened in one of the times into which a day is divided.
type slot struct {
	At           int64         `json:"at"` // which it is
	Raised       int           `json:"raised,omitempty"`
	Announced    int           `json:"announced,omitempty"`
	Acknowledged int           `json:"acknowledged,omitempty"`
	AckTime      time.Duration `json:"ack_time,omitempty"`
	Flood        int           `json:"flood,omitempty"` // minutes
}

// kpi counts. It has slots of a minute for ten minutes, and of ten minutes for a day.
type kpi struct {
	minutes [slotLength + 1]slot
	slots   [daySlots]slot
	minute  int64 // the present one
	flood   bool
	news    bool // a slot of ten minutes is complete
}

func newKPI() *kpi { return &kpi{minute: int64(origin / time.Minute)} }

// at returns the slot of a time of both kinds.
func (k *kpi) at(run time.Duration) (minute, ten *slot) {
	return use(k.minutes[:], int64(run/time.Minute)), use(k.slots[:], int64(run/slotTime))
}

// use returns a slot of a ring, emptied if it was of another time.
func use(ring []slot, at int64) *slot {
	s := &ring[at%int64(len(ring))]
	if s.At != at {
		*s = slot{At: at}
	}
	return s
}

func (k *kpi) count(run time.Duration, add func(*slot)) {
	minute, ten := k.at(run)
	add(minute)
	add(ten)
}

func (k *kpi) raised(run time.Duration)    { k.count(run, func(s *slot) { s.Raised++ }) }
func (k *kpi) announced(run time.Duration) { k.count(run, func(s *slot) { s.Announced++ }) }
func (k *kpi) acknowledged(run, after time.Duration) {
	k.count(run, func(s *slot) { s.Acknowledged++; s.AckTime += after })
}

// advance closes the minutes that are over.
func (k *kpi) advance(run time.Duration) {
	now := int64(run / time.Minute)
	for end := min(now, k.minute+2*slotLength); k.minute < end; k.minute++ {
		k.closeMinute()
		k.news = k.news || (k.minute+1)%slotLength == 0
	}
	k.minute = now // no flood lasts longer without alarms
}

// closeMinute decides whether the present minute was of a flood.
func (k *kpi) closeMinute() {
	raised := 0
	for _, m := range k.minutes {
		if m.At > k.minute-slotLength && m.At <= k.minute {
			raised += m.Raised
		}
	}
	if k.flood = raised > floodBegin || k.flood && raised >= floodEnd; k.flood {
		use(k.minutes[:], k.minute).Flood = 1
		use(k.slots[:], k.minute/slotLength).Flood++
	}
}

// sum adds up the slots of a ring that are not before first.
func sum(ring []slot, first int64) Counts {
	c := Counts{}
	acks := time.Duration(0)
	for _, s := range ring {
		if s.At >= first {
			c.Raised += s.Raised
			c.Announced += s.Announced
			c.Acknowledged += s.Acknowledged
			c.FloodMinutes += s.Flood
			acks += s.AckTime
		}
	}
	if c.Acknowledged > 0 {
		c.MeanTime = acks / time.Duration(c.Acknowledged)
		c.MeanSeconds = c.MeanTime.Round(time.Millisecond).Seconds()
	}
	return c
}

// count notes that an alarm came.
func (a *item) count(run time.Duration) {
	a.turnHours(run)
	if len(a.Hours) == 0 {
		a.Hours = []uint16{0}
	}
	if a.Hours[0] < 1<<16-1 {
		a.Hours[0]++
	}
}

// turnHours makes the first of Hours the present one.
func (a *item) turnHours(run time.Duration) {
	hour := int64(run / time.Hour)
	if gone := hour - a.Hour; gone >= dayHours || gone < 0 {
		a.Hours = nil
	} else if gone > 0 && len(a.Hours) > 0 {
		a.Hours = append(make([]uint16, gone), a.Hours...)
		a.Hours = a.Hours[:min(len(a.Hours), dayHours)]
	}
	a.Hour = hour
}

// KPIs returns the figures as they are now.
func (s *System) KPIs(now time.Time) KPIs {
	s.advance(now)
	run := s.clock.run
	k := KPIs{
		TenMinutes: sum(s.kpi.minutes[:], int64(run/time.Minute)-slotLength),
		Day:        sum(s.kpi.slots[:], int64(run/slotTime)-daySlots+1),
	}
	var actors []Actor
	for _, a := range s.items {
		if a.Active {
			k.Active++
			if run-a.RaisedRun > dayTime {
				k.Stale++
			}
		}
		if a.State == event.AlarmUnacknowledged || a.State == event.AlarmReturnedUnacknowledged {
			k.Unacknowledged++
		}
		k.Shelved += one(a.ShelvedEnd > 0)
		k.Suppressed += one(a.Suppressed)
		k.Chattering += one(a.Chatters)
		a.turnHours(run)
		n := 0
		for _, c := range a.Hours {
			n += int(c)
		}
		if n > 0 {
			actors = append(actors, Actor{a.Key, a.Line, n})
		}
	}
	slices.SortFunc(actors, func(a, b Actor) int { return cmp.Or(cmp.Compare(b.Count, a.Count), a.compare(b.Key)) })
	k.Worst = slices.Clone(actors[:min(len(actors), worst)])
	return k
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
