package fetcher_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/wait"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	patience = coretest.Patience
	prefix   = "models/compressor"
	mega     = 1 << 20
)

// rig is a fetcher on the embedded core, with its real recipe, the embedded cloud as AWS behind a line that a test can cut,
// and a client that plays the operator and the observer.
type rig struct {
	t      *testing.T
	core   *localcore.Core
	cloud  *localcloud.Cloud
	line   *line
	s3     *s3.Client // of a publisher who is not at the site
	bucket string
	prefix string // of what put writes
	key    ed25519.PrivateKey
	env    component.Environment
	vars   map[string]string // of the environment, above the core's
	client *ipc.Client
	events *ipc.Subscription[ipc.TopicMessage]
	health *coretest.Health
	make   func() *fetcher.Fetcher // the next process's

	stop func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	cloud := cloudtest.Start(t)
	r := newRigOn(t, cloud.InternalEndpoints().S3, cloud.Endpoints().Bucket, cloud.Credentials())
	r.cloud = cloud
	r.line.to(cloud.Endpoints().S3)
	maps.Copy(r.vars, cloudtest.Environment(cloud))
	return r
}

// newRigOn makes a rig whose S3 is at an endpoint.
func newRigOn(t *testing.T, endpoint, bucket string, publisher aws.Credentials) *rig {
	t.Helper()
	core := coretest.Start(t)
	r := &rig{t: t, core: core, line: newLine(t, endpoint), bucket: bucket, prefix: prefix, client: coretest.Client(t, core), stop: func() {}}
	r.s3 = s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials: credentials.StaticCredentialsProvider{Value: publisher},
	})
	var err error
	if r.key, err = envelope.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	log := coretest.LogFile(t)
	r.env = coretest.Environment(t, core, event.ModelFetcher, "model-fetcher", slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	r.vars = map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN": "token", "AWS_REGION": "us-east-1"}
	coretest.Setenv(&r.env, r.vars)
	r.make = func() *fetcher.Fetcher {
		return &fetcher.Fetcher{
			Getenv: r.env.Getenv, Now: time.Now, Retry: wait.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		}
	}
	r.configure(map[string]any{
		"healthInterval": "100ms", "poll": "1h", "bucket": bucket, "publicKeys": []any{publicText(r.key)}, "timeout": "10s",
		"endpoints": map[string]any{"s3": r.line.url()},
	})
	r.events, r.health = r.subscribe(event.FilterModel), coretest.HealthOf(t, r.client, event.ModelFetcher)
	return r
}

func (r *rig) configure(merge map[string]any) {
	r.t.Helper()
	coretest.Configure(r.t, r.core, event.ModelFetcher, merge)
}

func (r *rig) subscribe(filter string) *ipc.Subscription[ipc.TopicMessage] {
	r.t.Helper()
	return coretest.Subscribe(r.t, r.client, filter)
}

// start runs the fetcher until stop or the end of the test.
func (r *rig) start() {
	spec := component.Spec[fetcher.Config]{Name: event.ModelFetcher, Default: fetcher.Default, Run: r.make().Run}
	r.stop = coretest.Run(r.t, r.env, spec, r.health)
}

// await reads health messages until one is as wanted.
func (r *rig) await(what string, wanted func(event.Health) bool) event.Health {
	r.t.Helper()
	return r.health.Await(what, wanted)
}

// state waits for a state whose detail has a text, and in which no download goes on.
func (r *rig) state(state event.State, detail string) event.Health {
	r.t.Helper()
	return r.await(string(state)+" "+detail, func(h event.Health) bool {
		return h.State == state && strings.Contains(h.Detail, detail) && !strings.HasPrefix(h.Detail, "downloading")
	})
}

// next returns the next event, which is of that step, and acknowledges it as the forwarder does.
func (r *rig) next(step event.ModelStep) event.ModelEvent {
	r.t.Helper()
	select {
	case m := <-r.events.Events():
		e, err := event.DecodeModelEvent(m.Payload)
		must.OK(r.t, err)
		must.OK(r.t, r.client.Publish(r.t.Context(), event.TopicAckModel, must.JSON(r.t, event.Ack{V: event.Version, IDs: []string{e.ID}})))
		if e.Replayed {
			return r.next(step)
		}
		if e.Event != step || m.Topic != event.ModelTopic(step) || e.ID == "" || e.TS.IsZero() {
			r.t.Fatalf("event %+v on %s, want %s", e, m.Topic, step)
		}
		return e
	case <-time.After(patience):
		r.t.Fatalf("waited for event %s", step)
	}
	return event.ModelEvent{}
}

// delivered reads the events of a whole delivery.
func (r *rig) delivered() event.ModelEvent {
	r.t.Helper()
	r.next(event.ModelAvailable)
	r.next(event.ModelDownloading)
	return r.next(event.ModelDelivered)
}

// quiet makes the fetcher look once more, and makes sure that nothing came of it.
func (r *rig) quiet(command string) {
	r.t.Helper()
	looks := r.await("health", func(event.Health) bool { return true }).Counters[fetcher.CounterLooks]
	r.command(command)
	r.await("another look", func(h event.Health) bool { return h.Counters[fetcher.CounterLooks] > looks })
	r.command(command) // once it looks for the second time, the first look is over
	r.await("a third look", func(h event.Health) bool { return h.Counters[fetcher.CounterLooks] > looks+1 })
	for len(r.events.Events()) > 0 {
		m := <-r.events.Events()
		if e, err := event.DecodeModelEvent(m.Payload); err != nil || !e.Replayed {
			r.t.Errorf("unexpected event %s, %v", m.Payload, err)
		}
	}
}

func (r *rig) command(text string) {
	r.t.Helper()
	must.OK(r.t, r.client.Publish(r.t.Context(), event.TopicModelFetch, []byte(text)))
}

const fetchNow = `{"v":1,"by":"test"}`

// manifest describes an archive.
func manifest(version string, archive []byte) envelope.Manifest {
	features := []string{"vibration"}
	now := time.Now().UTC().Truncate(time.Second)
	return envelope.Manifest{
		Format: 1, Name: "compressor", Version: version, Created: now.Add(-time.Hour), Expires: now.Add(24 * time.Hour),
		Archive: envelope.Archive{SHA256: sha(archive), Size: int64(len(archive))},
		Model:   envelope.ModelFile{File: "model.ubj", SHA256: sha(nil), Size: 1}, Objective: "binary:logistic",
		Features: features, Schema: event.SchemaOf(features), Threshold: 0.5, Trainer: "xgboost 3.0.5",
		Golden: []envelope.GoldenRow{{Values: event.Values{1}, Margin: 0.25}},
	}
}

// publish uploads an archive and a manifest that is signed by key.
func (r *rig) publish(m envelope.Manifest, archive []byte, key ed25519.PrivateKey) (sealed []byte) {
	r.t.Helper()
	sealed, err := envelope.Sign(m, key)
	must.OK(r.t, err)
	r.put(m.Version+"/"+inbox.ArchiveFile, archive)
	r.put(envelope.EnvelopeFile, sealed)
	return sealed
}

// put writes an object below the prefix.
func (r *rig) put(name string, content []byte) {
	r.t.Helper()
	sum := sha256.Sum256(content)
	_, err := r.s3.PutObject(r.t.Context(), &s3.PutObjectInput{
		Bucket: &r.bucket, Key: aws.String(path.Join(r.prefix, name)), Body: bytes.NewReader(content),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
	})
	must.OK(r.t, err)
}

func (r *rig) delete(name string) {
	r.t.Helper()
	if _, err := r.s3.DeleteObject(r.t.Context(), &s3.DeleteObjectInput{Bucket: &r.bucket, Key: aws.String(path.Join(r.prefix, name))}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) inbox() inbox.Inbox {
	return inbox.Inbox{Dir: filepath.Join(r.env.WorkDir, "inbox")}
}

// take makes sure that the inbox has one delivery, with these bytes, and removes it as the engine does.
func (r *rig) take(sealed, archive []byte) {
	r.t.Helper()
	ready, err := r.inbox().Ready()
	if err != nil || len(ready) != 1 {
		r.t.Fatalf("ready are %+v, %v", ready, err)
	}
	got, err := os.ReadFile(ready[0].Path(inbox.ArchiveFile))
	if err != nil || !bytes.Equal(got, archive) {
		r.t.Errorf("the archive has %d bytes, sha256 %.12s; want %d, %.12s; %v", len(got), sha(got), len(archive), sha(archive), err)
	}
	got, err = os.ReadFile(ready[0].Path(envelope.EnvelopeFile))
	if sealed == nil && !errors.Is(err, os.ErrNotExist) || sealed != nil && !bytes.Equal(got, sealed) {
		r.t.Errorf("the envelope has %d bytes, want %d; %v", len(got), len(sealed), err)
	}
	r.empty(r.inbox().Incoming())
	must.OK(r.t, r.inbox().Remove(ready[0].ID))
}

// untouched makes sure that nothing is in the inbox, nor half of it.
func (r *rig) untouched() {
	r.t.Helper()
	r.empty(r.inbox().Incoming())
	if ready, err := r.inbox().Ready(); len(ready) > 0 || err != nil {
		r.t.Errorf("ready are %+v, %v", ready, err)
	}
}

func (r *rig) empty(ids []string, err error) {
	r.t.Helper()
	if len(ids) > 0 || err != nil {
		r.t.Errorf("incoming are %v, %v", ids, err)
	}
}

// record reads the fetcher's record.
func (r *rig) record() record.Record {
	r.t.Helper()
	known, err := record.Read(r.env.WorkDir, event.RoleFault)
	must.OK(r.t, err)
	return known
}

func publicText(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// noise returns bytes that are the same for the same seed.
func noise(t *testing.T, seed byte, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{seed}).Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}
