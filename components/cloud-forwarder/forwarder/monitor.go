package forwarder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/spool"
)

// Names of counters in the health messages; those of streams are in stream.go.
const (
	CounterInvalid     = "message.invalid"
	CounterRefused     = "message.refused"       // could not be put on disk: not acknowledged; also with "." and the reason
	CounterOverrun     = "message.overrun"       // came faster than the disk took it; alerts come again
	CounterSkipped     = "prediction.skipped"    // stays on the site, by the sample setting
	CounterSuppressed  = "prediction.suppressed" // of those, changes of a label that came too fast one after another
	CounterMissed      = "prediction.missed"     // numbers that never came: rows that were not scored, or local messages that were lost
	CounterJumps       = "prediction.jumps"      // numbers too far from the others to say what is between
	CounterDeadDropped = "deadletters.dropped"   // as there were too many
	CounterLedger      = "ledger.failed"         // predictions whose number could not be recorded
)

const (
	deadLettersSize = 10 << 20 // bytes of each of the two kinds, twice with the file before
	deadToldFor     = 24 * time.Hour
)

// monitor drops what is too old, brings the counters up to date that are not counted as it happens, and reports drops.
type monitor struct {
	rt     *component.Runtime
	now    func() time.Time
	state  *state
	ledger *ledger.Ledger
	out    *outboxes
	uplink *uplink
	subs   map[string]*ipc.Subscription[ipc.TopicMessage]

	mu sync.Mutex // one look at the streams at a time
}

// look does that once.
func (m *monitor) look(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.rt.Conditions().Set(event.CodeStateOnDisk, ledgerName, m.ledger.State())
	m.out.telemetry.makeRoom()
	for _, s := range m.out.all {
		if s.isOpen() {
			s.expire(now)
			s.measure(now)
		}
	}
	for _, s := range m.out.topicless {
		if !s.isOpen() {
			continue
		}
		var problem error
		if n := s.queue.Stats().Depth; n > 0 {
			problem = fmt.Errorf("alertTopicArn is not set: %d previous alerts wait for a topic", n)
		}
		m.rt.Conditions().Set(event.CodeConfiguration, s.name+" "+placeDeliver, problem)
	}
	for _, name := range deadNames() {
		m.countDead(now, m.state.dead[name])
	}
	for name, sub := range m.subs {
		m.countOverrun(name, sub)
	}
	m.reportDrops(ctx, now)
}

// drop drops the oldest messages of a stream, as a person wants it. That they are dropped is on disk when it returns.
func (m *monitor) drop(s *stream, through uint64) (dropped uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dropped, err = s.queue.Drop(through, spool.ReasonOperator)
	now := m.now()
	s.measure(now)
	return dropped, errors.Join(err, m.state.drops.keep(now, true))
}

// countDead tells of dead letters that were dropped: until somebody takes them, or for a day.
func (m *monitor) countDead(now time.Time, d *deadLetters) {
	dropped, since, last := d.lost()
	var problem error
	if dropped > 0 && now.Sub(last) < deadToldFor {
		problem = fmt.Errorf("%d dead letters were dropped, as there is room for %d MB of them: look at their reasons, and send them again with replay",
			dropped, 2*deadLettersSize>>20)
	}
	m.rt.Conditions().Set(event.CodeDelivery, d.name, problem)
	m.rt.Counter(CounterDeadDropped).Add(since)
	m.state.drops.add(strings.TrimSuffix(d.name, replaySuffix), "full", since, now)
}

// overrun is how many messages a subscription had dropped when that was counted last.
type overrun struct {
	sub     *ipc.Subscription[ipc.TopicMessage]
	dropped uint64
}

// countOverrun counts what was dropped because it came faster than the disk took it.
func (m *monitor) countOverrun(name string, sub *ipc.Subscription[ipc.TopicMessage]) {
	before := m.state.overrun[name]
	if before.sub != sub { // a new connection
		before.dropped = 0
	}
	dropped := sub.Dropped()
	m.rt.Counter(CounterOverrun).Add(dropped - before.dropped)
	m.state.overrun[name] = overrun{sub, dropped}
}

// reportDrops puts a report of what was dropped beside the alerts, when the cloud can be reached again.
func (m *monitor) reportDrops(ctx context.Context, now time.Time) {
	d := m.state.drops
	err := d.keep(now, ctx.Err() != nil)
	if d.report.Sum() > 0 && m.uplink.works() && m.out.alertsIoT.urgent.isOpen() && ctx.Err() == nil {
		if sent := m.sendDrops(ctx, now); sent == nil {
			err = d.reported()
		}
	}
	m.out.alertsIoT.urgent.report(placeDrops, err)
}

func (m *monitor) sendDrops(ctx context.Context, now time.Time) error {
	report := m.state.drops.report
	report.TS = now.UTC()
	payload, err := event.Encode(report)
	if err != nil {
		return err
	}
	receipt, err := m.out.alertsIoT.urgent.put(ctx, ipc.TopicMessage{Topic: event.TopicDropped, Payload: payload}, report.ID, report.TS)
	if err != nil {
		return err
	}
	return await(ctx, receipt)
}
