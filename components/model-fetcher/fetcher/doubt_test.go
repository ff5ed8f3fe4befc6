package fetcher_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// An archive, or a manifest, that is damaged on its way is fetched again from its beginning: the model is not refused.
func TestDamageOnTheWayIsNoWordOnTheModel(t *testing.T) {
	flip := func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		object string
		damage func([]byte) []byte
	}{
		"bit of the archive":           {inbox.ArchiveFile, flip},
		"archive cut, with its length": {inbox.ArchiveFile, func(b []byte) []byte { return b[:len(b)/2] }},
		"bit of the manifest":          {envelope.EnvelopeFile, flip},
		"manifest cut":                 {envelope.EnvelopeFile, func(b []byte) []byte { return b[:len(b)/2] }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			archive := noise(t, 1, 10_000)
			envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
			left := 2
			r.line.spoil = func(q request, answer *http.Response) {
				if q.name != c.object || left == 0 {
					return
				}
				left--
				content, err := io.ReadAll(answer.Body)
				if err != nil {
					t.Error(err)
				}
				_ = answer.Body.Close()
				content = c.damage(content)
				answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
				answer.Header.Set("Content-Length", strconv.Itoa(len(content)))
			}
			r.start()
			if e := r.delivered(); e.Version != "1.0.0" {
				t.Errorf("%+v", e)
			}
			r.take(envelope, archive)
			if h := r.state(event.StateOK, ""); h.Counters[fetcher.CounterRefused] != 0 || left != 0 {
				t.Errorf("%v refused, %d left", h.Counters[fetcher.CounterRefused], left)
			}
		})
	}
}

// A server that shows another ETag with each answer, and wrong bytes, is asked a few times and not without end: the model is
// refused, and the next look comes as usual.
func TestAnETagThatChangesWithEachAnswerKeepsNoLookBusy(t *testing.T) {
	for _, object := range []string{envelope.EnvelopeFile, inbox.ArchiveFile} {
		t.Run(object, func(t *testing.T) {
			r := newRig(t)
			archive := noise(t, 1, 10_000)
			r.publish(manifest("1.0.0", archive), archive, r.key)
			answers := 0
			r.line.spoil = func(q request, answer *http.Response) {
				answers++
				answer.Header.Set("ETag", strconv.Quote("tag "+strconv.Itoa(answers)))
				if q.name != object {
					return
				}
				content, err := io.ReadAll(answer.Body)
				if err != nil {
					t.Error(err)
				}
				_ = answer.Body.Close()
				content[len(content)/2] ^= 1
				answer.Body = io.NopCloser(bytes.NewReader(content))
			}
			r.start()
			h := r.state(event.StateDegraded, "the published model is refused")
			if n := len(r.line.asked(object)); n != 3 || h.Counters[fetcher.CounterLooks] != 1 {
				t.Errorf("%d answers in %d looks", n, h.Counters[fetcher.CounterLooks])
			}
		})
	}
}
