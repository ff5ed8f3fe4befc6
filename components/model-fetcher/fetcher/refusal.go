package fetcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/wait"
)

// ReasonOversized says that a model is larger than maxBytes. The other reasons are those of modelstore; a reason begins the
// detail of the event, and ends the name of a counter.
const ReasonOversized modelstore.Reason = "oversized"

// refusal says why a model is refused. It is not tried again until what is published changes.
type refusal struct {
	reason modelstore.Reason
	err    error
}

func (r *refusal) Error() string { return string(r.reason) + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(reason modelstore.Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Errorf(format, args...)}
}

// maxWrong is how often bytes that are wrong are fetched before they count as what is published, whatever their ETags are.
const maxWrong = 3

const wrongMax = 30 * time.Second // between two of them

// doubtful tells whether a refusal is for bytes that are not what they should be, the first few times, and waits a little:
// a bit that was flipped on the way, or an answer that was cut, is fetched again from its beginning.
func (l *looker) doubtful(ctx context.Context, err error) bool {
	refused, ok := errors.AsType[*refusal](err)
	if !ok || refused.reason != modelstore.ReasonSignature && refused.reason != modelstore.ReasonDelivery {
		return false
	}
	l.headway.over = true
	if l.wrong++; l.wrong >= maxWrong {
		return false
	}
	l.rt.Log.Warn("wrong bytes received: fetching them again", "error", err)
	pause := l.Retry
	if pause.Max == 0 {
		pause = wait.Backoff{Min: retryMin, Max: wrongMax}
	}
	pause.Wait(ctx, l.wrong)
	return true
}

// judge turns the errors that say that a model is bad into refusals.
func judge(err error) error {
	for _, c := range []struct {
		kind   error
		reason modelstore.Reason
	}{
		{envelope.ErrFormat, modelstore.ReasonFormat},
		{envelope.ErrUntrusted, modelstore.ReasonUntrusted},
		{envelope.ErrSignature, modelstore.ReasonSignature},
		{envelope.ErrManifest, modelstore.ReasonManifest},
		{download.ErrTooLarge, ReasonOversized},
		{download.ErrNotWanted, modelstore.ReasonDelivery},
	} {
		if errors.Is(err, c.kind) {
			return &refusal{c.reason, err}
		}
	}
	return err
}
