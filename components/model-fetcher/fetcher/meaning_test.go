package fetcher_test

import (
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// M8: a manifest that says what was delivered is not downloaded again, in whatever envelope it comes.
func TestTheSameManifestInAnotherEnvelope(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, mega)
	m := manifest("1.1.0", archive)
	sealed := r.publish(m, archive, r.key)
	r.start()
	r.delivered()
	r.take(sealed, archive)
	downloaded := r.await("health", func(h event.Health) bool { return h.Counters[fetcher.CounterBytes] >= mega }).Counters[fetcher.CounterBytes]

	renewed := m
	renewed.Created, renewed.Expires = m.Created.Add(time.Second), m.Expires.Add(time.Hour)
	signed, err := envelope.Sign(renewed, r.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{string(sealed) + "\n", strings.Replace(string(sealed), `{`, `{ `, 1), string(signed)} {
		r.put(envelope.EnvelopeFile, []byte(other))
		r.quiet(fetchNow)
		r.untouched()
	}
	h := r.await("health", func(event.Health) bool { return true })
	if n := h.Counters[fetcher.CounterBytes]; n != downloaded {
		t.Errorf("%d bytes came after the delivery", n-downloaded)
	}
	r.command(`{"v":1,"again":true}`) // an operator may have it again
	r.delivered()
}
