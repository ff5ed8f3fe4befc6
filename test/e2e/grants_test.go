package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/need"
)

// plant is the staged suite on an embedded core, with an embedded cloud.
type plant struct {
	t      *testing.T
	root   string // of the core
	core   *localcore.Core
	cloud  *localcloud.Cloud
	client *ipc.Client
	key    ed25519.PrivateKey
}

func startPlant(t *testing.T, mode localcore.Mode) *plant {
	t.Helper()
	b := build()
	if b.err != nil {
		t.Fatal(b.err)
	}
	p := &plant{t: t}
	var err error
	if p.key, err = modelstore.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	p.cloud, err = localcloud.New(localcloud.Options{
		Dir: t.TempDir(), Lite: mode == localcore.Lite, AcceptToken: func(token string) bool { return p.core.KnowsToken(token) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.cloud.Close(context.Background()); err != nil {
			t.Errorf("close cloud: %v", err)
		}
	})
	p.core = coretest.Start(t, func(o *localcore.Options) {
		o.Mode, o.Stage, o.CredentialsURL = mode, b.stage, p.cloud.Endpoints().TokenExchange
		p.root = o.Root
	})
	p.client = coretest.Client(t, p.core)
	return p
}

func (p *plant) deploy() {
	p.t.Helper()
	versions, err := localcore.Staged(build().stage)
	if err != nil {
		p.t.Fatal(err)
	}
	ends := p.cloud.Endpoints()
	keys := []any{base64.StdEncoding.EncodeToString(p.key.Public().(ed25519.PublicKey))}
	update := make(map[string]any)
	for name, merge := range map[string]map[string]any{
		"com.edgepdm.InferenceEngine": {"publicKeys": keys},
		"com.edgepdm.AlarmManager":    {"republish": "1s"},
		"com.edgepdm.SensorSimulator": {"rate": 10},
		"com.edgepdm.CloudForwarder": {"sample": "0s", "endpoints": map[string]any{
			"iotData": ends.IoTData, "sns": ends.SNS, "caFile": ends.CAFile}},
		"com.edgepdm.ModelFetcher": {"bucket": ends.Bucket, "prefix": "models", "publicKeys": keys, "poll": "1h",
			"endpoints": map[string]any{"s3": ends.S3}},
	} {
		merge["healthInterval"] = "200ms"
		update[name] = map[string]any{"merge": merge}
	}
	if err := p.core.Deploy(p.t.Context(), localcore.Deployment{Components: versions, ConfigurationUpdate: update}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) command(what, text string) {
	p.t.Helper()
	if err := p.client.Publish(p.t.Context(), "pdm/v1/command/operator/"+what, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// put publishes an object of a model.
func (p *plant) put(name string, data []byte) {
	p.t.Helper()
	ends, keys := p.cloud.InternalEndpoints(), p.cloud.Credentials()
	client := s3.New(s3.Options{
		Region: ends.Region, BaseEndpoint: aws.String(ends.S3), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken),
	})
	_, err := client.PutObject(p.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(ends.Bucket), Key: aws.String("models/" + name), Body: bytes.NewReader(data),
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *plant) publishModel(version string) {
	p.t.Helper()
	dir := filepath.Join(need.Root(p.t), "scripts", "demo", "second-model")
	model := filepath.Join(dir, "model.ubj")
	var archive bytes.Buffer
	packed, err := modelstore.Pack(&archive, model)
	if err != nil {
		p.t.Fatal(err)
	}
	now := time.Now()
	m, err := modelstore.BuildManifest(model, filepath.Join(dir, "golden.csv"), modelstore.Build{
		Version: version, Created: now, Expires: now.Add(time.Hour), Archive: packed.Archive,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	envelope, err := modelstore.Sign(m, p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(version+"/"+modelstore.ArchiveFile, archive.Bytes())
	p.put(modelstore.EnvelopeFile, envelope)
}

// unused returns the suite's grants of resources that no request has used.
func (p *plant) unused() []localcore.Grant {
	var list []localcore.Grant
	for _, g := range p.core.Grants() {
		if !g.Used && g.Component != "com.edgepdm.Test" {
			list = append(list, g)
		}
	}
	return list
}

// until waits until the condition holds, and reports whether it did.
func until(timeout time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(timeout); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// used waits until a request has used the component's grant.
func (p *plant) used(component, resource string) {
	p.t.Helper()
	if !until(90*time.Second, func() bool {
		for _, g := range p.unused() {
			if g.Component == component && g.Resource == resource {
				return false
			}
		}
		return true
	}) {
		p.t.Fatalf("%s has not used its grant of %s; denied: %+v", component, resource, p.core.Denials())
	}
}

// Every recipe grants what its component uses on all its ways, and nothing else: on both nuclei each grant is used, and
// nothing is denied.
func TestRecipesGrantExactlyWhatIsUsed(t *testing.T) {
	for name, mode := range map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite} {
		t.Run(name, func(t *testing.T) {
			p := startPlant(t, mode)
			p.deploy()
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/prediction") // rows are scored, and on their way
			p.command("test-alarm", `{"v":1,"thing":"press-1"}`)
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/alert")
			p.used("com.edgepdm.AlarmManager", "pdm/v1/reply/operator/test-alarm")

			p.publishModel("1.1.0")
			p.command("model-fetch", `{"v":1}`)
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/model/delivered")
			p.used("com.edgepdm.InferenceEngine", "pdm/v1/model/*")
			p.put(modelstore.EnvelopeFile, []byte("{}"))
			p.command("model-fetch", `{"v":1}`)
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/model/refused")
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/reply/operator/model-fetch")

			coretest.Configure(t, p.core, "com.edgepdm.SensorSimulator", map[string]any{"batch": 4})
			p.used("com.edgepdm.SensorSimulator", "pdm/v1/telemetry-batch")
			p.used("com.edgepdm.InferenceEngine", "pdm/v1/prediction-batch")
			coretest.Configure(t, p.core, "com.edgepdm.CloudForwarder", map[string]any{"predictionSink": "iotcore-ipc"})
			p.used("com.edgepdm.CloudForwarder", "edgepdm/*")

			if unused := p.unused(); len(unused) > 0 {
				t.Errorf("recipes grant what is not used: %+v", unused)
			}
			if denials := p.core.Denials(); len(denials) > 0 {
				t.Errorf("recipes do not grant what is used: %+v", denials)
			}
			for _, c := range p.core.Components() {
				if c.State == localcore.StateBroken || c.State == localcore.StateErrored {
					t.Errorf("%s is %s: %s", c.Name, c.State, c.LastExit)
				}
			}
		})
	}
}
