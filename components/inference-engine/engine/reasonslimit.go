package engine

import (
	"maps"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

const (
	// reasonsShare is how much of a processor's time reasons may take; reasonsBurst is how much of it at once.
	reasonsShare = 0.1
	reasonsBurst = 100 * time.Millisecond
)

// allowance fills with time, up to most; what is taken may overdraw it.
type allowance struct {
	perSecond, most float64
	level           float64
	at              time.Time // zero: it was never used, and is full
}

func (a *allowance) fill(now time.Time) float64 {
	if a.at.IsZero() {
		a.level = a.most
	} else {
		a.level = min(a.level+a.perSecond*max(now.Sub(a.at).Seconds(), 0), a.most)
	}
	a.at = now
	return a.level
}

// reasonsLimit says which rows get reasons: for each thing one in a while, in all so many a second, and no more than a share of the
// processor's time. The scorer's goroutine owns it.
type reasonsLimit struct {
	every time.Duration        // 0: none
	given map[string]time.Time // by thing: when it had some last
	rows  allowance
	time  allowance // seconds
}

func newReasonsLimit(c Config) *reasonsLimit {
	l := &reasonsLimit{
		every: c.ReasonsEvery, given: make(map[string]time.Time),
		rows: allowance{perSecond: float64(c.ReasonsPerSecond), most: float64(c.ReasonsPerSecond)},
		time: allowance{perSecond: reasonsShare, most: reasonsBurst.Seconds()},
	}
	if c.ReasonsPerSecond == 0 {
		l.every = 0
	}
	return l
}

// refuse returns the counter that counts that a row of a thing gets no reasons now; "": it gets some.
func (l *reasonsLimit) refuse(thing string, now time.Time) (counter string) {
	if last, ok := l.given[thing]; ok && now.Sub(last) < l.every {
		return CounterReasonsSpaced
	}
	if rows := l.rows.fill(now); rows < 1 || l.time.fill(now) <= 0 {
		return CounterReasonsWithheld
	}
	return ""
}

// took notes that a thing had reasons, which took so long.
func (l *reasonsLimit) took(thing string, now time.Time, long time.Duration) {
	if _, known := l.given[thing]; !known && len(l.given) >= ledger.MaxThings {
		maps.DeleteFunc(l.given, func(_ string, last time.Time) bool { return now.Sub(last) >= l.every })
		if len(l.given) >= ledger.MaxThings { // things come and go within that time
			clear(l.given)
		}
	}
	l.given[thing] = now
	l.rows.level--
	l.time.level -= long.Seconds()
}

// explain puts reasons into the prediction of a row if it points to a fault and the limits allow, or if somebody asked for them. row is
// what was scored.
func (s *scorer) explain(p *event.Prediction, row []float32) {
	asked := s.asks.take(p.Thing)
	if len(asked) == 0 && (p.Label != event.LabelFaulty || s.limit.every == 0 || s.model.reasons == nil) {
		return
	}
	begin := s.now()
	if len(asked) == 0 {
		if counter := s.limit.refuse(p.Thing, begin); counter != "" {
			s.rt.Counter(counter).Add(1)
			return
		}
	}
	err := s.model.unexplained
	if s.model.reasons != nil {
		p.Contributors, err = s.model.reasons.contributors(row)
		s.limit.took(p.Thing, begin, s.now().Sub(begin))
	}
	if err == nil {
		s.rt.Counter(CounterReasons).Add(1)
	} else if len(asked) == 0 {
		s.rt.Log.Warn("a row is not explained", "thing", p.Thing, "seq", p.Seq, "error", err)
	}
	for _, a := range asked {
		s.asks.answers <- answer{a, explanationText(p), err}
	}
}
