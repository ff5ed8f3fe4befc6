package fetcher

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// deliver downloads a model into the inbox, or resumes that.
func (l *looker) deliver(ctx context.Context, o offer, again bool) error {
	if err := l.sweep(o.ID); err != nil {
		return err
	}
	err := l.fill(ctx, &o)
	if errors.Is(err, inbox.ErrReady) { // it was committed, and then the process was killed
		err = nil
	}
	err = judge(err)
	if l.doubtful(ctx, err) {
		return l.look(ctx, again)
	}
	if isDiskFull(err) {
		l.rt.Counter(CounterDiskFull).Add(1)
		return errors.Join(err, l.inbox.Remove(o.ID))
	}
	if refused := (*refusal)(nil); err == nil || errors.As(err, &refused) {
		return l.settle(o, err)
	}
	return err
}

// fill fills a delivery and commits it. What is there of it already is not downloaded once more.
func (l *looker) fill(ctx context.Context, o *offer) error {
	delivery, err := l.inbox.Begin(o.ID)
	if err != nil {
		return err
	}
	if l.seen != o.ID {
		l.seen = o.ID
		l.rt.Log.Info("a model is available", "role", l.role, "name", o.Event.Name, "version", o.Event.Version, "detail", o.Event.Detail)
		l.tellNews(l.happened(event.ModelAvailable, *o))
		l.tellNews(l.happened(event.ModelDownloading, *o))
	}
	if !o.Unsigned {
		if err := durable.WriteFileAtomic(delivery.Path(envelope.EnvelopeFile), o.envelope, 0o600); err != nil {
			return fmt.Errorf("put manifest into inbox: %w", err)
		}
	}
	got, err := l.loader.Fetch(ctx, o.want, delivery.Path(inbox.ArchiveFile))
	if err != nil {
		return err
	}
	o.Event.SHA256 = got.SHA256
	if o.Unsigned {
		o.ETag = got.ETag // it may have changed since it was found
	}
	return delivery.Commit()
}

// settle writes down what was decided, and announces it: a refusal if err is one, a delivery if it is nil. It is not decided
// again until what is published changes (promise M8), or the configuration, or an operator asks for it.
func (l *looker) settle(o offer, err error) error {
	refused := (*refusal)(nil)
	switch {
	case errors.As(err, &refused):
		l.rt.Counter(CounterRefused).Add(1)
		l.rt.Counter(CounterRefused + "." + string(refused.reason)).Add(1)
		l.rt.Log.Error("the published model is refused", "role", l.role, "name", o.Event.Name, "version", o.Event.Version, "error", err)
		o.Event.Detail = err.Error()
		l.record.Settle(l.policy, o.Offer, refused.reason, l.happened(event.ModelRefused, o))
	case err != nil:
		return err
	default:
		l.rt.Counter(CounterDelivered).Add(1)
		l.rt.Log.Info("a model is delivered", "role", l.role, "name", o.Event.Name, "version", o.Event.Version, "sha256", o.Event.SHA256, "delivery", o.ID)
		l.record.Settle(l.policy, o.Offer, "", l.happened(event.ModelDelivered, o))
		l.record.Deliver(o.Offer, l.inboxDir)
	}
	l.seen, l.unsaved, l.wrong = "", true, 0
	saveErr := l.save() // before it is announced: a decision that is announced stands
	l.tellNews(*l.record.Last)
	return errors.Join(saveErr, l.sweep(""))
}

// resettle writes down that what is published was delivered before.
func (l *looker) resettle(o offer) error {
	l.record.Settle(l.policy, o.Offer, "", l.happened(event.ModelDelivered, o))
	l.record.Deliver(o.Offer, l.inboxDir)
	l.unsaved, l.wrong = true, 0
	return l.save()
}

// sweep removes the deliveries of the role that were begun and are no longer wanted.
func (l *looker) sweep(wanted string) error {
	begun, err := l.inbox.Incoming()
	if err != nil {
		return err
	}
	for _, id := range begun {
		if id == wanted || !l.own(id) {
			continue
		}
		if err := l.inbox.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// report counts a download's progress, and says from time to time how far it is.
func (l *looker) report(p download.Progress) {
	switch {
	case p.Resumed:
		l.rt.Counter(CounterResumed).Add(1)
		l.rt.Log.Info("download resumed", "bytes", p.Done, "of", p.Total)
		return
	case p.Restarted:
		l.headway.over = true
		l.rt.Counter(CounterRestarted).Add(1)
		return
	}
	first := !l.headway.bytes
	l.headway.bytes = true
	l.rt.Counter(CounterBytes).Add(uint64(p.Received))
	now := time.Now()
	due := now.Sub(l.noted) >= noteEvery
	if due {
		l.noted = now
		l.rt.Log.Info("downloading", "bytes", p.Done, "of", p.Total)
	}
	if first || due {
		text := fmt.Sprintf("downloading: %d of %d bytes", p.Done, p.Total)
		l.say(text)
		l.progress(text)
	}
}

func isDiskFull(err error) bool {
	return errors.Is(err, download.ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
