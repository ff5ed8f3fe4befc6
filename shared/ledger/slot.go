package ledger

import (
	"time"

	"edgepdm/shared/event"
)

// A thing's rows and its shadow's updates are numbered each for themselves. A sequence that another one has followed, as
// the producer started again, is remembered for a while: nuclei keep no order between topics, so that its last rows may
// come after the first ones of the next. Two senders under one name, too, have a sequence each.
const (
	shadowTrack = 0 // the place of the shadow's sequence
	tracksKept  = 5 // sequences of a thing, with that of its shadow
)

const (
	// maxStep is how far apart two numbers of a sequence may be. What is farther is another sequence.
	maxStep = 1 << 20
	// A producer that starts again can have numbered so many rows since the last one that was heard of it.
	rowsAtOnce, rowsPerSecond = 100, 1000
	// Two sequences that go on in turn are two senders' after so many turns, each within turnTime of the one before, or when
	// one goes on that was left longer ago than messages overtake each other.
	turnsOfTwins = 10
	turnTime     = time.Minute
	overtakeTime = 5 * time.Second
)

// slot is what is remembered of a thing.
type slot struct {
	offset int64  // of the thing's name, in the file; 0: it has no place yet
	named  bool   // the file has the name there; not yet, where the thing takes the place of another
	sum    uint32 // of the name; 0: not made yet
	heard  time.Time
	tracks [tracksKept]track

	last   int       // the thing's sequence that was heard last; 0: none since Open
	rowAt  time.Time // when that was
	turns  int
	turned time.Time
}

// track is one sequence of numbers.
type track struct {
	epoch string // "": there is none
	seq   uint64
	holes uint64 // which of the 64 numbers before seq are missed, the nearest in bit 0
	live  bool   // it was heard since Open
	heard time.Time
	left  time.Time // when another was heard after it; zero: not since Open
}

// find returns the sequence that a number belongs to, of those with its epoch the nearest; -1: it begins one.
func (s *slot) find(epoch string, seq uint64) int {
	found := -1
	for i := range s.tracks {
		t := &s.tracks[i]
		if t.epoch == epoch && distance(t.seq, seq) <= maxStep &&
			(found < 0 || distance(t.seq, seq) < distance(s.tracks[found].seq, seq)) {
			found = i
		}
	}
	return found
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// hearShadow notes a version of the thing's shadow. The first one that is heard may be any.
func (s *slot) hearShadow(seq uint64) Gap {
	if s.find(event.ShadowEpoch, seq) == shadowTrack {
		return s.tracks[shadowTrack].move(seq)
	}
	g := Gap{Jump: s.tracks[shadowTrack].epoch != ""}
	s.tracks[shadowTrack] = track{epoch: event.ShadowEpoch, seq: seq, live: true}
	return g
}

// hear notes a row.
func (s *slot) hear(epoch string, seq uint64, now time.Time) Gap {
	i := s.find(epoch, seq)
	var g Gap
	if i >= 0 {
		if g = s.tracks[i].move(seq); !g.New() {
			return g
		}
		g.Twin = i != s.last && s.turn(&s.tracks[i], now)
	} else {
		g = s.beginning(epoch, seq, now)
		i = s.oldest()
		s.tracks[i] = track{epoch: epoch, seq: seq, live: true}
		s.tracks[i].miss(g.Missed)
	}
	if s.last != 0 && s.last != i {
		s.tracks[s.last].left = now
	}
	s.last, s.rowAt, s.tracks[i].heard = i, now, now
	return g
}

// beginning says what the first number of a sequence tells.
func (s *slot) beginning(epoch string, seq uint64, now time.Time) Gap {
	before := seq - 1
	first, jump := true, before > maxStep
	for i := range s.tracks {
		if i != shadowTrack && s.tracks[i].epoch != "" {
			first = false
			jump = jump || s.tracks[i].epoch == epoch
		}
	}
	heardBefore := s.last != 0
	plausible := !heardBefore || float64(before) <= rowsAtOnce+rowsPerSecond*now.Sub(s.rowAt).Seconds()
	switch {
	case jump:
		return Gap{Jump: true}
	case first || !plausible: // of a sender that was not heard before
		return Gap{Unheard: before}
	}
	return Gap{Missed: before, Resumed: !heardBefore} // the producer has started again, at 1
}

// oldest returns the place for another sequence: one that is free, or that of the one that was heard longest ago.
func (s *slot) oldest() int {
	oldest := shadowTrack + 1
	for i := shadowTrack + 1; i < tracksKept; i++ {
		if s.tracks[i].epoch == "" {
			return i
		}
		if s.tracks[i].heard.Before(s.tracks[oldest].heard) {
			oldest = i
		}
	}
	return oldest
}

// turn counts that a sequence goes on after another one was heard, and reports whether that makes two senders.
func (s *slot) turn(t *track, now time.Time) bool {
	if s.last == 0 { // since Open there was none
		return false
	}
	if now.Sub(s.turned) > turnTime {
		s.turns = 0
	}
	s.turns, s.turned = min(s.turns+1, turnsOfTwins), now
	if !t.left.IsZero() && now.Sub(t.left) > overtakeTime {
		s.turns = turnsOfTwins
	}
	return s.turns >= turnsOfTwins
}

// move notes a number that belongs to the sequence.
func (t *track) move(seq uint64) Gap {
	if seq <= t.seq {
		back := t.seq - seq - 1 // of 64 bits when it is the last one again
		if back < 64 && t.holes>>back&1 == 1 {
			t.holes &^= 1 << back
			return Gap{Late: true}
		}
		return Gap{Repeated: true}
	}
	g := Gap{Missed: seq - t.seq - 1, Resumed: !t.live}
	t.holes = shift(t.holes, g.Missed+1)
	t.seq, t.live = seq, true
	t.miss(g.Missed)
	return g
}

// miss notes that the last n numbers before seq are missed.
func (t *track) miss(n uint64) { t.holes |= shift(1, n) - 1 }

// shift is x << n, where n may be large: shift(1, 64) - 1 are 64 bits.
func shift(x, n uint64) uint64 { return x << min(n, 64) }
