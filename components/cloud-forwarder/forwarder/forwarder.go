package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
)

// Names of counters in the health messages; those of streams are in stream.go.
const (
	CounterInvalid = "message.invalid"
	CounterRefused = "message.refused"    // could not be put on disk: not acknowledged
	CounterSkipped = "prediction.skipped" // stays on the site, by the sample setting
)

// Names of the streams.
const (
	streamAlertsIoT   = "alerts-iot"
	streamAlertsSNS   = "alerts-sns"
	streamPredictions = "predictions"
)

const (
	spoolDir        = "spool"
	deadLettersName = "dead-letters.jsonl"
	deadLettersSize = 10 << 20 // bytes, twice with the file before
	measureEvery    = time.Second
	recentAlerts    = 10_000
	retryMin        = 100 * time.Millisecond
	alertQueueBytes = 64 << 20 // alerts are refused beyond it, and stay with the alarm manager
)

func (r *run) alertQueue() spool.Options {
	return spool.Options{MaxBytes: alertQueueBytes, WhenFull: spool.Reject, Log: r.rt.Log}
}

func (r *run) predictionQueue() spool.Options {
	return spool.Options{
		GroupCommit: r.config.GroupCommit, MaxBytes: int64(r.config.MaxSpoolMB) << 20, WhenFull: spool.DropOldest, Log: r.rt.Log,
	}
}

// Forwarder delivers what leaves the site.
type Forwarder struct {
	Core   string // the core's thing name, part of the cloud topics
	Getenv func(string) string
	Now    func() time.Time // time.Now in production
}

// Run takes, keeps and delivers messages until ctx ends. It is the component's Run. Without access to AWS it still takes
// and keeps them.
func (f Forwarder) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	r := &run{forwarder: f, rt: rt, config: config, filter: newFilter(config.Sample), accepted: newRecent(recentAlerts), pending: make(chan pending, maxPending)}
	defer r.close()
	problem := r.openStreams(ctx)
	if errors.Is(problem, errSpool) || errors.Is(problem, ipc.ErrConnectionLost) {
		return problem
	}
	if problem != nil {
		rt.Log.Error("messages are kept, and not delivered", "error", problem)
	}
	return r.run(ctx, problem)
}

// run is one Run of the forwarder.
type run struct {
	forwarder Forwarder
	rt        *component.Runtime
	config    Config
	filter    *filter
	accepted  *recent // ids of alerts
	pending   chan pending

	alertsIoT, alertsSNS, predictions *stream // alertsSNS is nil without a topic
	streams                           []*stream
}

// pending is a prediction on its way to the disk.
type pending struct {
	id      string
	receipt *spool.Receipt
}

const (
	maxPending = 4096
	maxAckIDs  = 30 // of the longest ids, in one local message
)

// errSpool marks a queue that cannot be opened: a restart may help.
var errSpool = errors.New("spool")

// openStreams opens the queues, and gives them their sinks as far as AWS can be used; otherwise it says what is missing.
func (r *run) openStreams(ctx context.Context) error {
	prefix := r.config.TopicPrefix + "/" + r.forwarder.Core
	var toIoT, toSNS, toCore sink
	toCore = &iotCoreSink{client: r.rt.IPC, prefix: prefix}
	access, problem := newCloud(r.config, r.forwarder.Getenv)
	if problem == nil {
		toSNS = &snsSink{client: access.sns(), arn: r.config.AlertTopicARN}
		client, err := access.iotData(ctx, r.rt.IPC())
		if err != nil {
			problem = err
		} else {
			toIoT = &iotDataSink{client: client, prefix: prefix}
		}
	}
	toPredictions := toIoT
	if r.config.PredictionSink == SinkIoTCoreIPC {
		toPredictions = toCore
	}
	var err error
	if r.alertsIoT, err = r.open(streamAlertsIoT, toIoT, r.alertQueue()); err != nil {
		return err
	}
	if r.config.AlertTopicARN != "" {
		if r.alertsSNS, err = r.open(streamAlertsSNS, toSNS, r.alertQueue()); err != nil {
			return err
		}
	}
	if r.predictions, err = r.open(streamPredictions, toPredictions, r.predictionQueue()); err != nil {
		return err
	}
	return problem
}

func (r *run) open(name string, to sink, options spool.Options) (*stream, error) {
	queue, err := spool.Open(filepath.Join(r.rt.WorkDir, spoolDir, name), options)
	if err != nil {
		return nil, fmt.Errorf("%w: open %s: %w", errSpool, name, err)
	}
	s := &stream{
		name: name, queue: queue, sink: to, timeout: r.config.Timeout, rt: r.rt,
		backoff: component.Backoff{Min: retryMin, Max: r.config.RetryMax},
		dead:    &deadLetters{path: filepath.Join(r.rt.WorkDir, deadLettersName), limit: deadLettersSize, now: r.forwarder.Now},
	}
	if _, local := to.(*iotCoreSink); !local {
		s.uplink = r.uplink
	}
	r.streams = append(r.streams, s)
	return s, nil
}

// uplink reports what an attempt said of the way to the cloud.
func (r *run) uplink(up bool) {
	state := event.UplinkDown
	if up {
		state = event.UplinkUp
	}
	r.rt.SetUplink(state)
}

func (r *run) close() {
	for _, s := range r.streams {
		if err := s.queue.Close(); err != nil {
			r.rt.Log.Error("queue was not closed cleanly", "stream", s.name, "error", err)
		}
	}
}

// run receives messages and drains the streams until ctx ends.
func (r *run) run(ctx context.Context, problem error) error {
	alerts, err := r.rt.Subscribe(ctx, event.FilterAlert)
	if err != nil {
		return fmt.Errorf("subscribe to alerts: %w", err)
	}
	predictions, err := r.rt.Subscribe(ctx, event.FilterPrediction)
	if err != nil {
		return fmt.Errorf("subscribe to predictions: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	failed := make(chan error, len(r.streams))
	for _, s := range r.streams {
		if s.sink == nil {
			continue
		}
		working.Go(func() {
			if err := s.drain(ctx); err != nil {
				failed <- err
			}
		})
	}
	working.Go(func() { r.acknowledge(ctx) })
	defer func() {
		cancel()
		close(r.pending)
		working.Wait()
	}()

	if problem != nil {
		r.rt.SetState(event.StateDegraded, problem.Error())
	} else {
		r.rt.SetState(event.StateOK, "")
	}
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-ticker.C:
			for _, s := range r.streams {
				s.measure(r.forwarder.Now())
			}
		case m, open := <-alerts.Events():
			if !open {
				return fmt.Errorf("receive alerts: %w", alerts.Err())
			}
			r.alert(ctx, m)
		case m, open := <-predictions.Events():
			if !open {
				return fmt.Errorf("receive predictions: %w", predictions.Err())
			}
			r.prediction(ctx, m)
		}
	}
}

// alert puts an alert on disk, for every sink that gets it, and then acknowledges it (promises F1 and F12).
func (r *run) alert(ctx context.Context, m ipc.TopicMessage) {
	a, err := event.DecodeAlert(m.Payload)
	if err != nil {
		r.invalid(m, err)
		return
	}
	if !r.accepted.has(a.ID) {
		for _, s := range []*stream{r.alertsIoT, r.alertsSNS} {
			if s == nil || s == r.alertsSNS && a.State != event.AlarmUnacknowledged {
				continue
			}
			if err := r.keep(ctx, s, m, a.ID, a.TS); err != nil {
				r.refuse(s, a.ID, err)
				return // without an acknowledgement it comes again
			}
		}
		r.accepted.add(a.ID)
	}
	r.publishAck(ctx, event.TopicAckAlert, []string{a.ID})
}

func (r *run) keep(ctx context.Context, s *stream, m ipc.TopicMessage, id string, ts time.Time) error {
	record, err := r.record(s, m, id, ts)
	if err != nil {
		return err
	}
	if err := s.queue.Append(ctx, record); err != nil {
		return err
	}
	s.count(counterAccepted, 1)
	return nil
}

func (r *run) record(s *stream, m ipc.TopicMessage, id string, ts time.Time) (spool.Record, error) {
	payload, err := json.Marshal(envelope{m.Topic, m.Payload})
	if err != nil {
		return spool.Record{}, fmt.Errorf("encode record: %w", err)
	}
	if ts.IsZero() {
		ts = r.forwarder.Now()
	}
	return spool.Record{Stream: s.name, ID: id, Time: ts.UnixNano(), Payload: payload}, nil
}

// prediction puts a prediction on disk, if it leaves the site. The acknowledgement follows with its group.
func (r *run) prediction(ctx context.Context, m ipc.TopicMessage) {
	p, err := event.DecodePrediction(m.Payload)
	if err == nil && p.ID == "" {
		err = errors.New("it has no id")
	}
	if err != nil {
		r.invalid(m, err)
		return
	}
	if !r.filter.takes(&p, r.forwarder.Now()) {
		r.rt.Counter(CounterSkipped).Add(1)
		return
	}
	record, err := r.record(r.predictions, m, p.ID, p.TS)
	if err != nil {
		r.refuse(r.predictions, p.ID, err)
		return
	}
	receipt, err := r.predictions.queue.AppendAsync(ctx, record)
	if err != nil {
		r.refuse(r.predictions, p.ID, err)
		return
	}
	r.pending <- pending{p.ID, receipt}
}

// acknowledge publishes the ids of predictions that are on disk, several in a message.
func (r *run) acknowledge(ctx context.Context) {
	var ids []string
	for p := range r.pending {
		<-p.receipt.Done()
		if err := p.receipt.Err(); err != nil {
			r.refuse(r.predictions, p.id, err)
		} else {
			r.predictions.count(counterAccepted, 1)
			ids = append(ids, p.id)
		}
		if len(ids) > 0 && (len(ids) == maxAckIDs || len(r.pending) == 0) {
			r.publishAck(ctx, event.TopicAckPrediction, ids)
			ids = ids[:0]
		}
	}
}

func (r *run) publishAck(ctx context.Context, topic string, ids []string) {
	payload, err := event.Encode(event.Ack{V: event.Version, IDs: ids})
	if err == nil {
		err = r.rt.IPC().PublishToTopic(ctx, topic, payload)
	}
	if err != nil && ctx.Err() == nil {
		r.rt.Log.Error("acknowledgement was not published", "topic", topic, "error", err)
	}
}

func (r *run) invalid(m ipc.TopicMessage, err error) {
	if r.rt.Counter(CounterInvalid).Add(1) == 1 {
		r.rt.Log.Warn("invalid messages are ignored, and counted", "topic", m.Topic, "error", err)
	}
}

func (r *run) refuse(s *stream, id string, err error) {
	if r.rt.Counter(CounterRefused).Add(1) == 1 {
		r.rt.Log.Error("a message cannot be put on disk", "stream", s.name, "id", id, "error", err)
	}
	r.rt.SetState(event.StateDegraded, fmt.Sprintf("put %s on disk: %v", s.name, err))
}
