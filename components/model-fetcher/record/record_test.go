package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// A record with one flipped bit has what was written, or is set aside, told for a day, and begun again: no person has to
// remove it. That of a version before seals is read without one; then a flip within a text may pass.
func TestARecordWithAFlippedBit(t *testing.T) {
	need.Long(t)
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	last := event.ModelEvent{V: 1, ID: "model-1", Event: event.ModelDelivered, Name: "compressor", Version: "1.2.0", TS: now}
	written := Record{
		Format: 1, Policy: "0011223344556677", ETag: `"etag"`, Outcome: OutcomeDelivered, Last: &last, Envelope: strings.Repeat("a", 64), Content: strings.Repeat("b", 64),
		Created: now, Expires: now.Add(time.Hour), Inbox: "/inbox", Delivered: map[string]string{"compressor": "1.2.0"},
		Signers: map[string]string{"compressor": "00112233"},
	}
	sealed, err := durable.Marshal(written)
	must.OK(t, err)
	plain, err := json.MarshalIndent(written, "", "  ")
	must.OK(t, err)
	for name, good := range map[string][]byte{"sealed": sealed, "without a seal": plain} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, File)
			random, aside := rand.New(rand.NewPCG(1, 2)), 0
			for range 5000 {
				bad, bit := bytes.Clone(good), random.IntN(len(good)*8)
				bad[bit/8] ^= 1 << (bit % 8)
				must.OK(t, os.WriteFile(path, bad, 0o600))
				got, err := Open(dir, "", now)
				if err != nil {
					t.Fatalf("bit %d: %v", bit, err)
				}
				if got.Damage == nil {
					if name == "sealed" && !reflect.DeepEqual(got, written) {
						t.Fatalf("bit %d: %+v", bit, got)
					}
					continue
				}
				if aside++; got.Damage.Told(now) == nil || got.Damage.Told(now.Add(25*time.Hour)) != nil || len(got.Delivered) > 0 {
					t.Fatalf("bit %d: %+v", bit, got)
				}
				if aside > 20 {
					continue // the disk is slow
				}
				must.OK(t, got.Write(dir, ""))
				if again, err := Read(dir, ""); err != nil || again.Damage.Told(now) == nil { // it is told after a restart, too
					t.Fatalf("bit %d: %+v, %v", bit, again, err)
				}
			}
			if aside == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}

func TestACutRecord(t *testing.T) {
	dir := t.TempDir()
	good, err := durable.Marshal(Record{Format: 1, ETag: "etag"})
	must.OK(t, err)
	for n := range len(good) - 1 { // the newline may go
		must.OK(t, os.WriteFile(filepath.Join(dir, File), good[:n], 0o600))
		if _, err := Read(dir, ""); !errors.Is(err, durable.ErrDamaged) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// A newer manifest that is for other cores is no sign that somebody withholds the newer ones, until it has expired, too.
func TestAManifestForOtherCoresIsNotFrozen(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var r Record
	r.Deliver(Offer{ID: "a", Expires: now.Add(-time.Hour)}, "inbox")
	if r.Frozen(now) == nil {
		t.Fatal("an expired manifest without a newer one is not told")
	}
	r.Leave("policy", Offer{ETag: "b", Expires: now.Add(time.Hour)}, event.ModelEvent{Name: "compressor", Version: "1.2.0"})
	if err := r.Frozen(now); err != nil {
		t.Error(err)
	}
	if r.Frozen(now.Add(time.Hour)) == nil {
		t.Error("the one for other cores has expired, and is not told")
	}
	if tag := r.Settled("policy", false, now); tag != "b" {
		t.Errorf("settled is %q", tag)
	}
	if r.Bound("compressor", nil) != "" {
		t.Error("a version that is for other cores bounds this one")
	}
}
