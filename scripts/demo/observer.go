package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcloud"
)

// observer watches all messages of the plant and keeps account: every published row must be scored, or counted as
// invalid or missed by the engine. It receives all topics in one subscription, so that their order is kept.
type observer struct {
	mu sync.Mutex

	published   uint64
	predictions uint64
	waiting     map[string]struct{} // rows without a prediction yet
	early       map[string]struct{} // predictions whose row has not been seen
	latencies   []float64           // milliseconds from a row's timestamp to the arrival of its prediction
	models      []string            // versions, in the order of their first prediction
	runs        map[string]event.Health
	things      map[string]*thingView
	right       confusion
	explained   int // predictions that say what points to a fault
	faulty      int // predictions of a fault
	life        lifeAccount
	alerts      []event.Alert       // each once, in the order of their first publication
	predicted   map[string]struct{} // ids of predictions
	accepted    map[string]struct{} // ids that the forwarder said it has on disk, and ids of alerts
	swaps       int                 // models that took over
	refused     []string            // why models were refused
	lastModel   event.ModelEvent
	orders      chan []byte // of the console's page
	drift       driftAccount
	shadow      shadowAccount
}

// thingView is what is known of a thing.
type thingView struct {
	last   event.Prediction
	peak   float64 // highest probability so far
	faults int     // rows labelled Faulty
}

// confusion compares labels with the truth, where rows tell it. A label is early, not false, when the machine will need maintenance
// within earlyHours.
type confusion struct{ truePositive, early, falsePositive, trueNegative, falseNegative int }

// earlyHours is how long before maintenance is due the simulated machines' sensors show that they wear.
const earlyHours = 20

func newObserver() *observer {
	return &observer{
		orders: make(chan []byte, maxOrders), waiting: make(map[string]struct{}), early: make(map[string]struct{}),
		runs: make(map[string]event.Health), things: make(map[string]*thingView), predicted: make(map[string]struct{}), accepted: make(map[string]struct{}),
		drift: driftAccount{rows: make(map[string]int), told: make(map[string]struct{})},
	}
}

// watch handles messages until the subscription ends.
func (o *observer) watch(sub *ipc.Subscription[ipc.TopicMessage]) {
	for m := range sub.Events() {
		o.handle(m, time.Now())
	}
}

func (o *observer) handle(m ipc.TopicMessage, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case strings.HasPrefix(m.Topic, event.TelemetryTopic("")):
		t, err := event.DecodeTelemetry(m.Payload)
		o.row(event.Row{Telemetry: t, Err: err})
	case m.Topic == event.TopicTelemetryBatch:
		rows, err := event.DecodeTelemetryBatch(m.Payload)
		if err != nil {
			rows = []event.Row{{Err: err}}
		}
		for _, r := range rows {
			o.row(r)
		}
	case strings.HasPrefix(m.Topic, event.PredictionTopic("")):
		if p, err := event.DecodePrediction(m.Payload); err == nil {
			o.prediction(p, now)
		}
	case m.Topic == event.TopicPredictionBatch:
		batch, _ := event.DecodePredictionBatch(m.Payload)
		for _, p := range batch {
			if p.Err == nil {
				o.prediction(p.Prediction, now)
			}
		}
	case strings.HasPrefix(m.Topic, event.AlertTopic("")):
		if a, err := event.DecodeAlert(m.Payload); err == nil {
			o.alert(a)
		}
	case strings.HasPrefix(m.Topic, event.ModelTopic("")):
		if e, err := event.DecodeModelEvent(m.Payload); err == nil {
			o.lastModel = e
			o.shadow.happened(e)
			switch e.Event {
			case event.ModelActivated:
				if e.Role == event.RoleLife {
					o.life.model = e.Version
				} else {
					o.swaps++
				}
			case event.ModelRejected, event.ModelRefused:
				o.refused = append(o.refused, e.Detail)
			}
		}
	case strings.HasPrefix(m.Topic, strings.TrimSuffix(event.FilterDrift, "+")):
		if d, err := event.DecodeDrift(m.Payload); err == nil {
			o.drift.add(d)
			o.accepted[d.ID] = struct{}{}
		}
	case m.Topic == event.TopicDemoAct:
		select {
		case o.orders <- m.Payload:
		default: // somebody clicks faster than the demo acts; the page says that nothing answers
		}
	case m.Topic == event.TopicComparison:
		if c, err := event.DecodeComparison(m.Payload); err == nil {
			o.shadow.compare(c)
		}
	case m.Topic == event.TopicAckAlert || m.Topic == event.TopicAckPrediction:
		if a, err := event.DecodeAck(m.Payload); err == nil {
			for _, id := range a.IDs {
				o.accepted[id] = struct{}{}
			}
		}
	case strings.HasPrefix(m.Topic, event.HealthTopic("")):
		if h, err := event.DecodeHealth(m.Payload); err == nil {
			o.runs[h.Component+" "+h.Run] = h
		}
	}
}

func (o *observer) row(r event.Row) {
	o.published++
	if r.Err != nil {
		return // the engine counts it as invalid
	}
	o.drift.row(&r.Telemetry)
	id := r.ID()
	if _, ok := o.early[id]; ok {
		delete(o.early, id)
		return
	}
	o.waiting[id] = struct{}{}
}

func (o *observer) prediction(p event.Prediction, now time.Time) {
	o.predictions++
	o.predicted[p.ID] = struct{}{}
	if _, ok := o.waiting[p.ID]; ok {
		delete(o.waiting, p.ID)
	} else {
		o.early[p.ID] = struct{}{}
	}
	o.latencies = append(o.latencies, float64(now.Sub(p.TS))/float64(time.Millisecond))
	if !slices.Contains(o.models, p.Model.Version) {
		o.models = append(o.models, p.Model.Version)
	}
	t := o.things[p.Thing]
	if t == nil {
		t = &thingView{}
		o.things[p.Thing] = t
	}
	t.last, t.peak = p, max(t.peak, p.Probability)
	faulty := p.Label == event.LabelFaulty
	if faulty {
		t.faults++
		o.faulty++
	}
	if len(p.Contributors) > 0 {
		o.explained++
	}
	o.life.add(p.Life, p.Remaining)
	if p.Faulty != nil {
		o.right.add(faulty, *p.Faulty, p.Remaining)
	}
}

// lifeAccount compares remaining life with the truth, where rows tell it.
type lifeAccount struct {
	model   string  // the version that took over last
	rows    int     // predictions with a remaining life
	known   int     // of them, those whose truth the row told
	covered int     // of them, those whose truth is from low to high
	width   float64 // sum over the rows
}

func (a *lifeAccount) add(l *event.Life, truth *float64) {
	if l == nil {
		return
	}
	a.rows++
	a.width += l.High - l.Low
	if truth == nil {
		return
	}
	a.known++
	if *truth >= l.Low && (*truth <= l.High || l.Beyond) {
		a.covered++
	}
}

// coverage is 0 where no truth is known.
func (a *lifeAccount) coverage() float64 { return float64(a.covered) / float64(max(a.known, 1)) }

func (a *lifeAccount) meanWidth() float64 { return a.width / float64(max(a.rows, 1)) }

// alert records an alert. From its first publication on it must not be lost.
func (o *observer) alert(a event.Alert) {
	if !slices.ContainsFunc(o.alerts, func(known event.Alert) bool { return known.ID == a.ID }) {
		o.alerts = append(o.alerts, a)
	}
	o.accepted[a.ID] = struct{}{}
}

// standing returns the machine's alarm that was raised last, and is not over.
func (o *observer) standing() (last event.Alert, stands bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := make(map[string]bool)
	for _, a := range slices.Backward(o.alerts) {
		switch {
		case a.Fault != event.FaultMachine:
		case a.State == event.AlarmNormal:
			over[a.Thing] = true
		case !over[a.Thing]:
			return a, true
		}
	}
	return last, false
}

// told returns the text of the last alarm of a machine that says why, and when from and to if one does.
func (o *observer) told() (text string) {
	for _, a := range o.alerts {
		if raised(&a) && len(a.Reasons) > 0 && (text == "" || a.Life != nil && !a.Life.Beyond) {
			text = a.Text
		}
	}
	return text
}

// raised reports whether an alert says for the first time that a machine has a fault.
func raised(a *event.Alert) bool {
	return a.Fault == event.FaultMachine && a.State == event.AlarmUnacknowledged && a.Change == ""
}

// delivery compares what must arrive with the cloud's own journal.
type delivery struct {
	alerts     int // raised alarms
	delivered  int // ids that arrived
	lost       int // ids that must arrive and did not
	unaccepted int // predictions that the forwarder never said it has on disk
	duplicates int // arrivals after the first
	audio      int // sound files made
	reused     int // alerts that were spoken by a sound that was there already
}

func (o *observer) delivery(journal localcloud.Journal) delivery {
	arrived := journal.IDs(localcloud.KindIoT)
	d := delivery{delivered: len(arrived), audio: journal.Count(localcloud.KindAudio)}
	for _, n := range arrived {
		d.duplicates += n - 1
	}
	for _, e := range journal {
		if e.Kind == localcloud.KindIoTCloud && strings.HasPrefix(e.Name, audioTopics+"/") {
			d.reused++
		}
	}
	d.reused = max(0, d.reused-d.audio)
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.accepted {
		if arrived[id] == 0 {
			d.lost++
		}
	}
	for id := range o.predicted {
		if _, ok := o.accepted[id]; !ok {
			d.unaccepted++
		}
	}
	for _, a := range o.alerts {
		if a.State == event.AlarmUnacknowledged && a.Change == "" { // not one that is told again
			d.alerts++
		}
	}
	return d
}

func (c *confusion) add(labelled, truth bool, remaining *float64) {
	switch {
	case labelled && truth:
		c.truePositive++
	case labelled && remaining != nil && *remaining <= earlyHours:
		c.early++
	case labelled:
		c.falsePositive++
	case truth:
		c.falseNegative++
	default:
		c.trueNegative++
	}
}

// account is the state of the books.
type account struct {
	published, predictions, invalid, unscored, missed uint64
}

// balance returns the books. Rows that are neither scored nor invalid are unscored; the engine must have missed them,
// that is, counted them as gaps.
func (o *observer) balance() account {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := account{published: o.published, predictions: o.predictions}
	for _, h := range o.runs {
		for name, n := range h.Counters {
			switch {
			case strings.HasPrefix(name, event.CounterTelemetryInvalid):
				a.invalid += n
			case name == event.CounterTelemetryMissed || name == event.CounterTelemetryUnheard:
				a.missed += n
			}
		}
	}
	if handled := a.predictions + a.invalid; a.published > handled {
		a.unscored = a.published - handled
	}
	return a
}

// settled reports whether nothing is under way any more: every row is scored, invalid or missed.
func (a account) settled() bool { return a.unscored <= a.missed }

// health returns the newest health message of a component.
func (o *observer) health(component string) (event.Health, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var newest event.Health
	for _, h := range o.runs {
		if h.Component == component && h.TS.After(newest.TS) {
			newest = h
		}
	}
	return newest, newest.Component != ""
}

// thingNames returns the things, those with the highest probability first.
func (o *observer) thingNames() []string {
	return slices.SortedFunc(maps.Keys(o.things), func(a, b string) int {
		pa, pb := o.things[a].last.Probability, o.things[b].last.Probability
		switch {
		case pa != pb && pa > pb:
			return -1
		case pa != pb:
			return 1
		}
		return strings.Compare(a, b)
	})
}
