package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/localcloud"
)

// The roll-out: a ring of cores gets a version first, and then more do. In a ring that fails, one core of so many does.
const (
	ring, wider   = 5, 50 // percent
	failing       = 50
	rolloutPrefix = "models/rollout"
)

// rollout is how many cores take a version: those of the ring, after an attempt to go on from a ring that failed, and from one that did not.
type rollout struct {
	InRing int    `json:"in_ring"`
	Failed int    `json:"failed"`
	Halted string `json:"halted"` // what publishing for more cores said; empty: it was done
	After  int    `json:"after"`
	Wider  int    `json:"wider"`
}

// fleet are cores that look for the models of one prefix.
type fleet struct {
	cloud *localcloud.Cloud
	cores int
	dir   string
	key   ed25519.PrivateKey
	begun string // day on which the models were made
}

// rollOut publishes a model for a ring of cores that fails, tries to go on, and does so with a ring that works.
func rollOut(ctx context.Context, cloud *localcloud.Cloud, cores int, dir string) (r rollout, err error) {
	f := fleet{cloud: cloud, cores: cores, dir: dir, begun: time.Now().UTC().Format(time.DateOnly)}
	if f.key, err = envelope.GenerateKey(nil); err != nil {
		return r, err
	}
	if err := f.publish(ctx, "1.1.0", ring, ""); err != nil {
		return r, err
	}
	if r.InRing, err = f.takers(ctx); err != nil {
		return r, err
	}
	r.Failed = (r.InRing + failing - 1) / failing
	told, err := f.tell("1.1.0", r.InRing, r.Failed)
	if err != nil {
		return r, err
	}
	switch err := f.publish(ctx, "1.1.0", wider, told); {
	case errors.Is(err, modelcli.ErrHalted):
		r.Halted = err.Error()
	case err != nil:
		return r, err
	}
	if r.After, err = f.takers(ctx); err != nil {
		return r, err
	}
	if err := f.publish(ctx, "1.2.0", ring, told); err != nil { // what mends it begins with a ring of its own
		return r, err
	}
	if told, err = f.tell("1.2.0", r.InRing, 0); err != nil {
		return r, err
	}
	if err := f.publish(ctx, "1.2.0", wider, told); err != nil {
		return r, err
	}
	r.Wider, err = f.takers(ctx)
	return r, err
}

// publish packs, signs and publishes a version for a share of the cores, as model-fetcher's commands do.
func (f *fleet) publish(ctx context.Context, version string, percent int, outcomes string) error {
	dir := filepath.Join(f.dir, version+"-"+strconv.Itoa(percent))
	model := filepath.Join("components", "inference-engine", "model")
	err := modelcli.Pack(ctx, []string{
		"-model", filepath.Join(model, "model.ubj"), "-golden", filepath.Join(model, "golden.csv"), "-name", "compressor", "-version", version,
		"-percent", strconv.Itoa(percent), "-created", f.begun, "-out", dir,
	}, cli.Streams{Out: io.Discard, Err: io.Discard})
	if err != nil {
		return fmt.Errorf("pack %s: %w", version, err)
	}
	if _, err := modelcli.SignFolder(dir, f.key); err != nil {
		return fmt.Errorf("sign %s: %w", version, err)
	}
	return modelcli.Upload(ctx, f.cloud.S3(), dir, f.cloud.Endpoints().Bucket, rolloutPrefix, outcomes)
}

// takers lets each core look at what is published, and counts those that take it. Bytes that one has verified are not verified again.
func (f *fleet) takers(ctx context.Context) (n int, err error) {
	loader := &download.Downloader{Source: f.cloud.S3()}
	keys := []ed25519.PublicKey{f.key.Public().(ed25519.PublicKey)}
	var verified []byte
	var m envelope.Manifest
	for i := range f.cores {
		sealed, _, err := loader.Get(ctx, f.cloud.Endpoints().Bucket, rolloutPrefix+"/"+envelope.EnvelopeFile, "", envelope.MaxEnvelope)
		if err != nil {
			return n, fmt.Errorf("look at the roll-out: %w", err)
		}
		if !bytes.Equal(sealed, verified) {
			if m, err = envelope.Verify(sealed, keys); err != nil {
				return n, err
			}
			verified = sealed
		}
		if m.Reaches("core-" + strconv.Itoa(i)) {
			n++
		}
	}
	return n, nil
}

// tell writes what cores tell of a version, as AWS IoT Core has it: all have activated it, and some have rolled it back.
func (f *fleet) tell(version string, activated, failed int) (path string, err error) {
	var text []byte
	for i := range activated + failed {
		step, m := event.ModelActivated, event.ModelEvent{Name: "compressor", Version: version}
		if i >= activated {
			step, m.Detail = event.ModelRolledBack, "probation: scores took 80ms"
		}
		line, err := event.Encode(event.NewModelEvent(step, m, time.Now()))
		if err != nil {
			return "", err
		}
		text = append(append(text, line...), '\n')
	}
	path = filepath.Join(f.dir, "outcomes-"+version+".jsonl")
	return path, os.WriteFile(path, text, 0o600)
}

func (r rollout) print(out io.Writer) {
	say(out, "a model for %d %% is taken by %d cores, and fails on %d of them; for %d %%: %s", ring, r.InRing, r.Failed, wider, r.Halted)
	say(out, "after that %d cores take it; one that works in its ring is then taken by %d\n", r.After, r.Wider)
}

// judge returns what went wrong.
func (r rollout) judge(cores int) error {
	var errs []error
	if share := 100 * float64(r.InRing) / float64(cores); share < ring/2. || share > 2*ring {
		errs = append(errs, fmt.Errorf("a model for %d %% is taken by %.1f %% of the cores", ring, share))
	}
	if r.Halted == "" || r.After != r.InRing {
		errs = append(errs, fmt.Errorf("a ring that failed did not halt the roll-out: %d cores take it, %d before", r.After, r.InRing))
	}
	if share := 100 * float64(r.Wider) / float64(cores); share < 0.8*wider || share > 1.2*wider {
		errs = append(errs, fmt.Errorf("a model for %d %% is taken by %.1f %% of the cores", wider, share))
	}
	return errors.Join(errs...)
}
