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
