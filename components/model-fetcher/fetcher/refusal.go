package fetcher

import (
	"errors"
	"fmt"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/modelstore"
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

// maxDoubts is how often bytes that are wrong are fetched before they count as what is published.
const maxDoubts = 3

// doubts are the fetches of one offer whose bytes were wrong.
type doubts struct {
	etag  string
	count int
}

// doubt turns the refusal of bytes that are not what they should be into an error that passes, the first few times: a bit
// that was flipped on the way, or an answer that was cut, is fetched again from its beginning.
func (r *run) doubt(o offer, err error) error {
	refused, ok := errors.AsType[*refusal](err)
	if !ok || refused.reason != modelstore.ReasonSignature && refused.reason != modelstore.ReasonDelivery {
		return err
	}
	if r.doubts.etag != o.etag {
		r.doubts = doubts{etag: o.etag}
	}
	if r.doubts.count++; r.doubts.count < maxDoubts {
		return fmt.Errorf("other bytes came than were published, and are fetched again: %w", refused.err)
	}
	r.doubts = doubts{}
	return err
}

// judge turns the errors that say that a model is bad into refusals.
func judge(err error) error {
	for _, c := range []struct {
		kind   error
		reason modelstore.Reason
	}{
		{modelstore.ErrFormat, modelstore.ReasonFormat},
		{modelstore.ErrUntrusted, modelstore.ReasonUntrusted},
		{modelstore.ErrSignature, modelstore.ReasonSignature},
		{modelstore.ErrManifest, modelstore.ReasonManifest},
		{download.ErrTooLarge, ReasonOversized},
		{download.ErrNotWanted, modelstore.ReasonDelivery},
	} {
		if errors.Is(err, c.kind) {
			return &refusal{c.reason, err}
		}
	}
	return err
}
