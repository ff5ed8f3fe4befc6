package engine

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

// Places of conditions.
const (
	placeRows    = "rows"
	placeSenders = "senders"
)

const (
	// The share of missed rows is judged over lossTime, or longer where rows are few: until there are lossRows.
	lossTime, longLossTime = 10 * time.Second, time.Minute
	lossRows               = 100
	// A single row is lost now and then.
	leastMissed = 2
	// reportEvery is the least time between two health messages about what was missed before the start.
	reportEvery = time.Second
	// twinTime is how long two senders under one name are told, after the last word of both.
	twinTime = 2 * time.Minute
)

// losses owns the sequence numbers of rows, and tells what they say: that some rows never arrived, or too many did not. The
// intake's goroutine owns it.
type losses struct {
	ledger    *ledger.Ledger
	now       func() time.Time
	max       float64 // share that may be missed
	counter   func(name string) *atomic.Uint64
	condition func(code event.Code, place string, problem error)
	report    func() // the counters at once
	log       *slog.Logger
	numbers   []ledger.Number // scratch of record

	missed   int64  // since the window began; what came late is taken off
	rows     uint64 // when it began
	gaveWay  uint64 // likewise: rows that came, and gave way to newer ones
	begun    time.Time
	twin     time.Time // when two senders were seen last; zero: none are told
	logged   time.Time
	reported time.Time
	untold   bool // what was missed before the start is in no health message yet
}

// newLosses begins to judge. So many of the rows that were counted wait to be scored: they are judged with those that come.
func newLosses(rt *component.Runtime, config Config, now func() time.Time, waiting uint64) *losses {
	l := &losses{
		ledger: ledger.Begin(filepath.Join(rt.WorkDir, ledgerName), config.MaxThings), now: now, max: config.MaxMissed,
		counter: rt.Counter, condition: rt.Conditions().Set, report: rt.ReportHealth, log: rt.Log, begun: now(), rows: rt.Counter(CounterRows).Load() - waiting, gaveWay: rt.Counter(CounterSuperseded).Load(),
	}
	l.counter(event.CounterTelemetryMissed) // is told from the start
	l.counter(event.CounterTelemetryUnheard)
	l.tellLedger()
	return l
}

func (l *losses) close() { _ = l.ledger.Close() }

// tellLedger says what is wrong with the file of numbers.
func (l *losses) tellLedger() {
	l.condition(event.CodeStateOnDisk, ledgerName, l.ledger.State())
}

// record records the numbers of rows, and counts the rows that never came. A prediction that the nucleus has not taken when the
// process is killed is not recorded: its row counts as missed afterwards. Nothing is remembered of a thing that is not known
// and whose row was refused.
func (l *losses) record(rows []handled) {
	now, numbers := l.now(), l.numbers[:0]
	for _, t := range rows {
		if !t.scored() && !l.ledger.Knows(t.thing) {
			continue
		}
		gap, err := l.ledger.Observe(t.thing, t.epoch, t.seq)
		switch {
		case err != nil:
			l.unrecorded(1, err)
		case gap.New():
			numbers = append(numbers, ledger.Number{Thing: t.thing, Epoch: t.epoch, Seq: t.seq})
		}
		if gap != (ledger.Gap{}) {
			l.note(t, gap, now)
		}
	}
	if err := l.ledger.CommitAll(numbers...); err != nil {
		l.unrecorded(len(numbers), err)
	}
	clear(numbers)
	l.numbers = numbers
}

func (l *losses) unrecorded(n int, err error) {
	if l.counter(CounterLedger).Add(uint64(n)) == uint64(n) {
		l.log.Error("gaps may be counted wrong", "error", err)
	}
}

// note counts what the number of a row told.
func (l *losses) note(t handled, gap ledger.Gap, now time.Time) {
	gap.Tally(l.counter(event.CounterTelemetryMissed))
	l.counter(event.CounterTelemetryUnheard).Add(gap.Unheard)
	switch {
	case gap.Repeated:
		l.counter(CounterRepeated).Add(1)
	case gap.Jump:
		l.counter(CounterJumps).Add(1)
	case gap.Twin:
		l.counter(CounterTwoSenders).Add(1)
	}
	if gap.Missed == 0 && !gap.Late && !gap.Jump && !gap.Twin {
		return
	}
	switch {
	case gap.Late:
		l.missed--
	case !gap.Resumed: // what was lost while the engine was down does not make it too slow
		l.missed += int64(gap.Missed)
	default:
		l.untold = true
		l.tell(now)
	}
	if gap.Twin {
		if l.twin.IsZero() {
			l.condition(event.CodeInput, placeSenders, fmt.Errorf(
				"rows of %s come in two sequences of numbers: two senders use its name", t.thing))
		}
		l.twin = now
	}
	if (gap.Missed > 0 || gap.Jump) && now.Sub(l.logged) >= logEvery {
		l.logged = now
		l.log.Warn("rows of telemetry never arrived", "thing", t.thing, "missed", gap.Missed, "jump", gap.Jump, "before_seq", t.seq,
			"total", l.counter(event.CounterTelemetryMissed).Load())
	}
}

// tell reports what was missed before the start: this process, too, may be killed before its next health message.
func (l *losses) tell(now time.Time) {
	if l.untold && now.Sub(l.reported) >= reportEvery {
		l.untold, l.reported = false, now
		l.report()
	}
}

// judge says in the health messages when too many rows are missed, and when two senders are not heard any more. rows is how
// many have arrived, but for those that wait. One that gave way to newer ones is missed, too.
func (l *losses) judge(now time.Time, rows uint64) {
	l.tell(now)
	if !l.twin.IsZero() && now.Sub(l.twin) > twinTime {
		l.twin = time.Time{}
		l.condition(event.CodeInput, placeSenders, nil)
	}
	took, missed := now.Sub(l.begun), uint64(max(l.missed, 0))
	gaveWay := l.counter(CounterSuperseded).Load()
	arrived, slow := rows-min(rows, l.rows), gaveWay-l.gaveWay
	arrived -= min(arrived, slow)
	if took < lossTime || arrived+missed < lossRows && took < longLossTime {
		return
	}
	l.begun, l.rows, l.gaveWay, l.missed = now, rows, gaveWay, 0
	l.condition(event.CodeOverload, placeRows, l.problem(arrived, max(missed, slow), slow, took))
}

// problem says that too many rows have no prediction; slow of those that are missed came faster than they are scored.
func (l *losses) problem(arrived, missed, slow uint64, took time.Duration) error {
	tooMany := func(n uint64) bool { return n >= leastMissed && float64(n) > l.max*float64(arrived+missed) }
	if tooMany(slow) {
		return fmt.Errorf("%.1f %% of the rows of the last %.0f s were not scored: %d of %d; they come faster than they can be, and of each thing the newest are",
			100*float64(slow)/float64(arrived+missed), took.Seconds(), slow, arrived+missed)
	}
	if all := arrived + missed; tooMany(missed) {
		return fmt.Errorf("%.1f %% of the rows of the last %.0f s never arrived: %d of %d; they come faster than they are taken, or are lost on the way",
			100*float64(missed)/float64(all), took.Seconds(), missed, all)
	}
	return nil
}
