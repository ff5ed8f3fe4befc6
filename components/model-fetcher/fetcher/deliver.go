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

// deliver downloads a model into the inbox, or goes on with that.
func (r *run) deliver(ctx context.Context, o offer, again bool) error {
	if err := r.sweep(o.id); err != nil {
		return err
	}
	err := r.fill(ctx, &o)
	if errors.Is(err, inbox.ErrReady) { // it was committed, and then the process was killed
		err = nil
	}
	err = judge(err)
	if r.doubtful(ctx, o, err) {
		return r.look(ctx, again)
	}
	if isDiskFull(err) {
		r.rt.Counter(CounterDiskFull).Add(1)
		return errors.Join(err, r.inbox.Remove(o.id))
	}
	if refused := (*refusal)(nil); err == nil || errors.As(err, &refused) {
		return r.settle(o, err)
	}
	return err
}

// fill fills a delivery and commits it. What is there of it already is not downloaded once more.
func (r *run) fill(ctx context.Context, o *offer) error {
	delivery, err := r.inbox.Begin(o.id)
	if err != nil {
		return err
	}
	if r.seen != o.id {
		r.seen = o.id
		r.rt.Log.Info("a model is available", "name", o.event.Name, "version", o.event.Version, "detail", o.event.Detail)
		r.tellNews(event.NewModelEvent(event.ModelAvailable, o.event, r.Now()))
		r.tellNews(event.NewModelEvent(event.ModelDownloading, o.event, r.Now()))
	}
	if !o.unsigned {
		if err := durable.WriteFileAtomic(delivery.Path(envelope.EnvelopeFile), o.envelope, 0o600); err != nil {
			return fmt.Errorf("put manifest into inbox: %w", err)
		}
	}
	got, err := r.loader.Fetch(ctx, o.want, delivery.Path(inbox.ArchiveFile))
	if err != nil {
		return err
	}
	o.event.SHA256 = got.SHA256
	if o.unsigned {
		o.etag = got.ETag // it may have changed since it was found
	}
	return delivery.Commit()
}

// settle writes down what was decided, and announces it: a refusal if err is one, a delivery if it is nil. It is not decided
// again until what is published changes (promise M8), or the configuration, or an operator asks for it.
func (r *run) settle(o offer, err error) error {
	refused := (*refusal)(nil)
	switch {
	case errors.As(err, &refused):
		r.rt.Counter(CounterRefused).Add(1)
		r.rt.Counter(CounterRefused + "." + string(refused.reason)).Add(1)
		r.rt.Log.Error("the published model is refused", "name", o.event.Name, "version", o.event.Version, "error", err)
		o.event.Detail = err.Error()
		r.record.settle(r.policy, o.etag, o.unsigned, OutcomeRefused, event.NewModelEvent(event.ModelRefused, o.event, r.Now()))
	case err != nil:
		return err
	default:
		r.rt.Counter(CounterDelivered).Add(1)
		r.rt.Log.Info("a model is delivered", "name", o.event.Name, "version", o.event.Version, "sha256", o.event.SHA256, "delivery", o.id)
		r.record.settle(r.policy, o.etag, o.unsigned, OutcomeDelivered, event.NewModelEvent(event.ModelDelivered, o.event, r.Now()))
		r.record.deliver(o, r.inboxDir)
	}
	r.seen, r.unsaved = "", true
	saveErr := r.save() // before it is announced: a decision that is announced stands
	r.tellNews(*r.record.Last)
	return errors.Join(saveErr, r.sweep(""))
}

// resettle writes down that what is published was delivered before.
func (r *run) resettle(o offer) error {
	last := event.NewModelEvent(event.ModelDelivered, o.event, r.Now())
	r.record.Last = &last
	r.record.deliver(o, r.inboxDir)
	r.record.Policy, r.record.ETag, r.record.Unsigned, r.record.Outcome = r.policy, o.etag, false, OutcomeDelivered
	r.unsaved = true
	return r.save()
}

// sweep removes the deliveries that were begun and are no longer wanted.
func (r *run) sweep(wanted string) error {
	begun, err := r.inbox.Incoming()
	if err != nil {
		return err
	}
	for _, id := range begun {
		if id == wanted {
			continue
		}
		if err := r.inbox.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// report counts a download's progress, and says from time to time how far it is.
func (r *run) report(p download.Progress) {
	switch {
	case p.Resumed:
		r.rt.Counter(CounterResumed).Add(1)
		r.rt.Log.Info("the download goes on", "bytes", p.Done, "of", p.Total)
		return
	case p.Restarted:
		r.rt.Counter(CounterRestarted).Add(1)
		return
	}
	first := !r.progress
	r.progress = true
	r.rt.Counter(CounterBytes).Add(uint64(p.Received))
	now := time.Now()
	due := now.Sub(r.noted) >= noteEvery
	if due {
		r.noted = now
		r.rt.Log.Info("downloading", "bytes", p.Done, "of", p.Total)
	}
	if first || due {
		text := fmt.Sprintf("downloading: %d of %d bytes", p.Done, p.Total)
		r.rt.SetState(event.StateOK, text)
		r.asked.progress(text)
	}
}

func isDiskFull(err error) bool {
	return errors.Is(err, download.ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
