// Package console is the operator console: it listens to what the components say, keeps a picture of the plant, and serves pages that show
// it and take commands. It needs no cloud.
package console

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"edgepdm/components/operator-console/access"
	"edgepdm/components/operator-console/picture"
	"edgepdm/components/operator-console/trends"
	"edgepdm/components/operator-console/web"
	"edgepdm/shared/alarm"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/memory"
	"edgepdm/shared/random"
)

// Names of the counters in the health messages.
const (
	CounterInvalid  = "message.invalid"
	CounterUnshown  = "thing.unshown" // predictions of things beyond maxThings
	CounterPages    = "page.streams"  // pages that listen now
	CounterCommands = "command"
	CounterUnkept   = "trend.unkept" // machines' minutes that found no room on disk
)

// Console is the component.
type Console struct {
	Now func() time.Time // time.Now in production
}

// Run shows the plant until ctx ends. It is the component's Run.
func (c Console) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	memory.Lean(config.MaxThings > memory.ManyThings)
	l := &listener{rt: rt, config: config, now: c.Now, store: picture.NewStore(random.ID()), things: make(map[string]picture.Thing), alarms: make(map[alarm.Key]Listed), whole: make(chan struct{}, 1), live: live{wake: make(chan struct{}, 1), looks: make(map[string]*look)}, desk: desk{waiting: make(map[string]chan event.Reply)}}
	l.audit = &access.Audit{Path: filepath.Join(rt.WorkDir, auditFile), Problem: func(err error) { rt.Conditions().Set(event.CodeDisk, auditFile, err) }}
	l.trends = trends.Open(trends.Options{Dir: filepath.Join(rt.WorkDir, trendsDir), Bytes: config.Trends.Bytes, Age: config.Trends.Age, Log: rt.Log})
	defer l.trends.Close()
	subs, err := l.subscribe(ctx)
	if err != nil {
		return err
	}
	l.site()
	l.past()
	server := &web.Server{
		Store: l.store, Now: c.Now, Log: rt.Log, Streams: rt.Counter(CounterPages), Command: l.command, Trend: l.trend, Live: l.liveOf,
	}
	if config.Demo != "" {
		server.Sounds = l.inWorkDir(config.Demo)
	}
	if config.Metrics {
		server.Metrics = l.metrics
	}
	problem := l.protect(server)
	work, ctx := errgroup.WithContext(ctx)
	for _, s := range subs {
		work.Go(func() error { return l.listen(ctx, s) })
	}
	work.Go(func() error { l.refresh(ctx); return nil })
	work.Go(func() error { l.tell(ctx); return nil })
	work.Go(func() error { l.hearLive(ctx); return nil })
	work.Go(func() error {
		err := problem
		if err == nil {
			err = server.Serve(ctx, config.Address)
		}
		rt.Conditions().Set(event.CodeConfiguration, "address", err)
		if err != nil {
			rt.Log.Error("the page is not served", "address", config.Address, "error", err)
			<-ctx.Done()
		}
		return nil
	})
	rt.SetState(event.StateOK, "")
	return work.Wait()
}

const (
	trendsDir = "trends"
	tellEvery = 5 * time.Second
)

// tell says in the health messages how the trends are, and writes what the disk did not take of the record, until ctx ends.
func (l *listener) tell(ctx context.Context) {
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		l.audit.Flush()
		l.rt.Conditions().Set(event.CodeDisk, trendsDir, l.trends.Problem())
		l.rt.Counter(CounterUnkept).Store(l.trends.Unkept())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

const auditFile = "audit.jsonl"

// protect gives a page that others than this machine can reach a certificate and logins. An error leaves it unserved.
func (l *listener) protect(server *web.Server) (err error) {
	if l.config.Loopback() {
		return nil
	}
	var certificate tls.Certificate
	if own := l.config.TLS; own.Certificate != "" {
		certificate, err = access.LoadCertificate(own.Certificate, own.Key)
	} else {
		certificate, err = access.Certificate(l.rt.WorkDir, access.Hosts(l.config.Address), l.now())
	}
	if err != nil {
		return err
	}
	users := access.OpenUsers(access.UsersFile(l.rt.WorkDir))
	names, err := users.Names()
	if err != nil {
		return fmt.Errorf("read logins: %w", err)
	}
	if len(names) == 0 {
		l.rt.Log.Warn("nobody has a login: make one with operator-console password")
	}
	server.TLS, server.Guard = &certificate, access.NewGuard(users, l.now, l.rt.Log, l.audit)
	return nil
}

// listener puts what the components say into the picture.
type listener struct {
	rt     *component.Runtime
	config Config
	now    func() time.Time
	store  *picture.Store
	trends *trends.Store
	audit  *access.Audit
	whole  chan struct{} // the list of alarms is wanted
	desk   desk
	live   live

	mu      sync.Mutex // held while a message is taken
	decoder event.PredictionDecoder
	things  map[string]picture.Thing
	alarms  map[alarm.Key]Listed
	number  uint64   // of the last change of alarms; 0: no list has come
	parts   []Listed // of a list that is coming
	places  []alarm.Place
	next    int // the part that is next
}

// source is a subscription and what takes its messages.
type source struct {
	*ipc.Subscription[ipc.TopicMessage]
	filter string
	take   func(ipc.TopicMessage) error
}

// subscribe subscribes to all that is shown.
func (l *listener) subscribe(ctx context.Context) ([]source, error) {
	var sources []source
	for _, s := range []struct {
		filter string
		take   func(ipc.TopicMessage) error
	}{
		{event.FilterPrediction, l.prediction}, {event.TopicPredictionBatch, l.predictions},
		{event.TopicAlarmEvent, l.alarmEvent}, {event.TopicAlarmSnapshot, l.alarmList},
		{event.FilterHealth, l.health}, {event.FilterModel, l.model}, {event.FilterDrift, l.drift}, {event.TopicComparison, l.comparison},
		{event.FilterReply, l.reply},
	} {
		sub, err := l.rt.Subscribe(ctx, s.filter)
		if err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", s.filter, err)
		}
		sources = append(sources, source{sub, s.filter, s.take})
	}
	return sources, nil
}

// listen takes a source's messages until ctx or the connection ends.
func (l *listener) listen(ctx context.Context, s source) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-s.Events():
			if !open {
				return fmt.Errorf("receive %s: %w", s.filter, s.Err())
			}
			l.mu.Lock()
			err := s.take(m)
			l.mu.Unlock()
			if err != nil && l.rt.Counter(CounterInvalid).Add(1) == 1 {
				l.rt.Log.Warn("invalid messages are ignored, and counted", "topic", m.Topic, "error", err)
			}
		}
	}
}

// site puts facts of the site into the picture.
func (l *listener) site() {
	l.set(picture.Site, "site", map[string]any{
		"core": os.Getenv("AWS_IOT_THING_NAME"), "zone": l.config.TimeZone, "language": l.config.Language, "version": l.rt.Version(), "demo": l.config.Demo != "",
	})
}

func (l *listener) set(kind picture.Kind, key string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		l.rt.Log.Error("a record cannot be shown", "kind", kind, "key", key, "error", err)
		return
	}
	l.store.Set(kind, key, data)
}
