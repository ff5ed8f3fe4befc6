package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// What is published, each in the cloud's folder of its role.
var (
	// secondModel takes over during the run. It was trained on other simulated machines than the shipped one.
	secondModel = product{dir: "scripts/demo/second-model", prefix: "models/compressor"}
	// lifeModel tells the remaining life of machines from their rows' last 12 simulated hours. It is there before the first row.
	lifeModel = product{dir: "scripts/demo/life-model", prefix: "models/compressor-life"}
	// driftModel was trained on machines that have drifted as the demo's do, and shuffledModel on the same rows with shuffled labels.
	driftModel    = product{dir: "scripts/demo/drift-model", prefix: secondModel.prefix, mode: envelope.ModeShadow}
	shuffledModel = product{dir: "scripts/demo/shuffled-model", prefix: secondModel.prefix, mode: envelope.ModeShadow}
)

// product is a folder that a training has made, the prefix under which its model is published, and what that does first.
type product struct {
	dir, prefix string
	mode        envelope.Mode
}

// build returns what the training says of the model besides its file and golden rows.
func (p product) build() (b envelope.Build, err error) {
	for name, target := range map[string]any{"inputs.json": &b.Inputs, "life.json": &b.Life} {
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, target)
		}
		if err != nil {
			return b, fmt.Errorf("read %s of %s: %w", name, p.dir, err)
		}
	}
	if b.Life != nil {
		b.Role = event.RoleLife
	}
	if p.mode != "" {
		b.Rollout = &envelope.Rollout{Mode: p.mode}
	}
	described, err := describedBy(filepath.Join(p.dir, "manifest.json"))
	b.Display, b.Groups, b.Baseline = described.Display, described.Groups, described.Baseline
	return b, err
}

// publisher is the data scientist of the demo: it signs models and publishes them in the cloud's bucket.
type publisher struct {
	key    ed25519.PrivateKey
	client *s3.Client
	bucket string
}

func newPublisher(d *demo) (*publisher, error) {
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &publisher{key: key, bucket: d.cloud.InternalEndpoints().Bucket, client: d.cloud.S3()}, nil
}

// publicKey is the key as the components' configuration has it.
func (p *publisher) publicKey() string {
	return base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))
}

// publish publishes a model as the given version. alter, if not nil, changes the manifest before it is signed, and tamper the
// envelope after it.
func (p *publisher) publish(ctx context.Context, from product, version string, alter func(*envelope.Manifest), tamper func([]byte) ([]byte, error)) error {
	model := filepath.Join(from.dir, "model.ubj")
	build, err := from.build()
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, model)
	if err != nil {
		return fmt.Errorf("pack the model: %w", err)
	}
	now := time.Now()
	build.Version, build.Created, build.Expires, build.Archive = version, now, now.Add(24*time.Hour), packed.Archive
	m, err := envelope.BuildManifest(model, filepath.Join(from.dir, "golden.csv"), build)
	if err != nil {
		return fmt.Errorf("make the manifest: %w", err)
	}
	if alter != nil {
		alter(&m)
	}
	sealed, err := envelope.Sign(m, p.key)
	if err == nil && tamper != nil {
		sealed, err = tamper(sealed)
	}
	if err != nil {
		return fmt.Errorf("sign the manifest: %w", err)
	}
	// The envelope comes last: from then on the model is published.
	for _, object := range []struct {
		key  string
		data []byte
	}{
		{from.prefix + "/" + version + "/" + inbox.ArchiveFile, archive.Bytes()},
		{from.prefix + "/" + envelope.EnvelopeFile, sealed},
	} {
		_, err := p.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(p.bucket), Key: aws.String(object.key), Body: bytes.NewReader(object.data),
		})
		if err != nil {
			return fmt.Errorf("publish %s: %w", object.key, err)
		}
	}
	return nil
}

// describedBy reads what people are told of a model, from the manifest that was made with it, if there is one.
func describedBy(path string) (envelope.Manifest, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return envelope.Manifest{}, nil
	}
	if err != nil {
		return envelope.Manifest{}, fmt.Errorf("read the manifest: %w", err)
	}
	return envelope.DecodeManifest(data)
}

// tamper changes the version in a signed manifest.
func tamper(envelope []byte) ([]byte, error) {
	var e struct {
		PayloadType string            `json:"payloadType"`
		Payload     []byte            `json:"payload"`
		Signatures  []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, err
	}
	e.Payload = bytes.Replace(e.Payload, []byte(`"version":"`), []byte(`"version":"9`), 1)
	return json.Marshal(e)
}

// modelActs publish a good model, a tampered one and one whose golden row is wrong, unless -model names the model. The tampered one
// is fetched again some times before it is refused, which the next must not cut short. With -drift the story is another, of candidates.
func (d *demo) modelActs(part func(float64) time.Duration) []act {
	if d.options.model != "" || d.options.drift {
		return nil
	}
	publish := func(version string, alter func(*envelope.Manifest), tamper func([]byte) ([]byte, error)) func(context.Context) error {
		return func(ctx context.Context) error { return d.publisher.publish(ctx, secondModel, version, alter, tamper) }
	}
	wrongGolden := func(m *envelope.Manifest) { m.Golden[0].Margin += 0.5 }
	return []act{
		{part(0.25), "model 1.1.0 published", publish("1.1.0", nil, nil)},
		{part(0.6), "a tampered model published", publish("1.2.0", nil, tamper)},
		{part(0.88), "a model with a wrong golden row published", publish("1.3.0", wrongGolden, nil)},
	}
}
