// Package plant starts the staged suite on an embedded core with an embedded cloud, for tests of the whole chain.
package plant

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"net"
	"path/filepath"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Prefix is where models are in the bucket.
const Prefix = "models/compressor"

// Options say what the plant is made of. Only Stage is required.
type Options struct {
	Stage string // the staged tree
	Mode  localcore.Mode
	Core  func(*localcore.Options)  // changes the core's options
	Cloud func(*localcloud.Options) // changes the cloud's
}

// Plant is the staged suite on an embedded core, with an embedded cloud.
type Plant struct {
	T      *testing.T
	Root   string // of the core
	Core   *localcore.Core
	Cloud  *localcloud.Cloud
	Client *ipc.Client
	Key    ed25519.PrivateKey // signs models
	stage  string
}

// Start starts the core and the cloud; the test's cleanup ends them.
func Start(t *testing.T, o Options) *Plant {
	t.Helper()
	p := &Plant{T: t, stage: o.Stage}
	var err error
	if p.Key, err = envelope.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	p.Cloud = cloudtest.Start(t, func(cloud *localcloud.Options) {
		cloud.Lite, cloud.AcceptToken = o.Mode == localcore.Lite, func(token string) bool { return p.Core.KnowsToken(token) }
		if o.Cloud != nil {
			o.Cloud(cloud)
		}
	})
	p.Core = coretest.Start(t, func(core *localcore.Options) {
		core.Mode, core.Stage, core.CredentialsURL = o.Mode, o.Stage, p.Cloud.Endpoints().TokenExchange
		if o.Core != nil {
			o.Core(core)
		}
		p.Root = core.Root
	})
	p.Client = coretest.Client(t, p.Core)
	return p
}

// Configuration is what each component needs to be configured for this plant.
func (p *Plant) Configuration() map[string]map[string]any {
	ends := p.Cloud.Endpoints()
	keys := []any{base64.StdEncoding.EncodeToString(p.Key.Public().(ed25519.PublicKey))}
	return map[string]map[string]any{
		"com.edgepdm.InferenceEngine": {"publicKeys": keys, "healthInterval": "200ms"},
		"com.edgepdm.AlarmManager":    {"republish": "1s", "healthInterval": "200ms"},
		"com.edgepdm.SensorSimulator": {"rate": 10, "healthInterval": "200ms"},
		"com.edgepdm.CloudForwarder": {"sample": "0s", "healthInterval": "200ms", "endpoints": map[string]any{
			"iotData": ends.IoTData, "sns": ends.SNS, "caFile": ends.CAFile}},
		"com.edgepdm.ModelFetcher": {"bucket": ends.Bucket, "prefix": Prefix, "publicKeys": keys, "poll": "1h",
			"healthInterval": "200ms", "endpoints": map[string]any{"s3": ends.S3}},
		"com.edgepdm.OperatorConsole": {"address": freeAddress(p.T)},
	}
}

// freeAddress is one that nobody listens at: several plants run at a time.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Deploy deploys the components that are named, or all; configuration is theirs.
func (p *Plant) Deploy(configuration map[string]map[string]any, names ...string) {
	p.T.Helper()
	versions, err := localcore.Staged(p.stage)
	must.OK(p.T, err)
	if len(names) > 0 {
		all := versions
		versions = make(map[string]string, len(names))
		for _, name := range names {
			versions[name] = all[name]
		}
	}
	update := make(map[string]any)
	for name := range versions {
		if merge, ok := configuration[name]; ok {
			update[name] = map[string]any{"merge": merge}
		}
	}
	must.OK(p.T, p.Core.Deploy(p.T.Context(), localcore.Deployment{Components: versions, ConfigurationUpdate: update}))
}

// Command gives an operator's command.
func (p *Plant) Command(what, text string) {
	p.T.Helper()
	must.OK(p.T, p.Client.Publish(p.T.Context(), "pdm/v1/command/operator/"+what, []byte(text)))
}

// Put publishes an object of a model.
func (p *Plant) Put(name string, data []byte) {
	p.T.Helper()
	cloudtest.Put(p.T, p.Cloud, data, Prefix, name)
}

// PublishModel publishes the demonstration's second model under a version.
func (p *Plant) PublishModel(version string) {
	p.T.Helper()
	dir := filepath.Join(need.Root(p.T), "scripts", "demo", "second-model")
	model := filepath.Join(dir, "model.ubj")
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, model)
	must.OK(p.T, err)
	now := time.Now()
	m, err := envelope.BuildManifest(model, filepath.Join(dir, "golden.csv"), envelope.Build{
		Version: version, Created: now, Expires: now.Add(time.Hour), Archive: packed.Archive,
	})
	must.OK(p.T, err)
	sealed, err := envelope.Sign(m, p.Key)
	must.OK(p.T, err)
	p.Put(version+"/"+inbox.ArchiveFile, archive.Bytes())
	p.Put(envelope.EnvelopeFile, sealed)
}

// Until waits until the condition holds, and reports whether it did.
func Until(timeout time.Duration, condition func() bool) bool {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(timeout); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
