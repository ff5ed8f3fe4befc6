package modelcli_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
	"edgepdm/test/need"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const prefix = "models/compressor"

// tool runs model-fetcher, and returns its exit code and what it wrote.
func tool(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	p := cli.Program{Name: "model-fetcher", Version: "1.2.3", Commands: modelcli.Commands()}
	code = p.Main(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &b, Err: &b})
	return code, b.String()
}

// do runs model-fetcher, which must succeed and say so.
func do(t *testing.T, says string, args ...string) {
	t.Helper()
	if code, out := tool(t, args...); code != cli.ExitOK || !strings.Contains(out, says) {
		t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
}

// fails runs model-fetcher, which must fail and say why.
func fails(t *testing.T, code int, why string, args ...string) {
	t.Helper()
	if got, out := tool(t, args...); got != code || !strings.Contains(out, why) {
		t.Errorf("%s: exit code %d, want %d: %s (want %q)", strings.Join(args, " "), got, code, out, why)
	}
}

// shipped returns the model of the suite, and its golden rows.
func shipped(t *testing.T) (model, golden string) {
	t.Helper()
	dir := filepath.Join(need.Root(t), "components", "inference-engine", "model")
	return filepath.Join(dir, "model.ubj"), filepath.Join(dir, "golden.csv")
}

// keys makes a key pair.
func keys(t *testing.T) (private, public string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	do(t, "keep it off the devices", "keygen", "-out", dir)
	return filepath.Join(dir, "model-key.pem"), filepath.Join(dir, "model-key.pub.pem")
}

// signed packs and signs the shipped model.
func signed(t *testing.T, private, version string, more ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	model, golden := shipped(t)
	do(t, version, append([]string{"pack", "-model", model, "-golden", golden, "-version", version, "-out", dir}, more...)...)
	do(t, "is signed by key", "sign", "-key", private, "-dir", dir)
	return dir
}

// cloud starts the embedded cloud, with the operator's AWS configuration in the environment.
func cloud(t *testing.T) *localcloud.Cloud {
	t.Helper()
	c := cloudtest.Start(t)
	setAWS(t, c.Credentials())
	return c
}

func setAWS(t *testing.T, c aws.Credentials) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": c.SessionToken,
		"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "",
	} {
		t.Setenv(name, value)
	}
}

// to is where publish publishes.
func to(c *localcloud.Cloud, dir string, more ...string) []string {
	ends := c.InternalEndpoints()
	return append([]string{"publish", "-dir", dir, "-bucket", ends.Bucket, "-prefix", prefix, "-endpoint", ends.S3}, more...)
}

func TestFromAKeyToTheInbox(t *testing.T) {
	c := cloud(t)
	private, public := keys(t)
	dir := signed(t, private, "1.2.0", "-threshold", "0.25", "-expires", "90d", "-name", "compressor")
	do(t, "compressor 1.2.0 is published at s3://", to(c, dir, "-public", public)...)

	// A device that trusts the key gets it.
	core := coretest.Start(t)
	const name = "com.edgepdm.ModelFetcher"
	env := coretest.Environment(t, core, name, "model-fetcher", slog.New(slog.DiscardHandler))
	coretest.Setenv(&env, cloudtest.Environment(c))
	ends := c.Endpoints()
	pem, err := os.ReadFile(public)
	must.OK(t, err)
	coretest.Configure(t, core, name, map[string]any{
		"bucket": ends.Bucket, "publicKeys": []any{string(pem)}, "endpoints": map[string]any{"s3": ends.S3},
	})
	client := coretest.Client(t, core)
	events := coretest.Subscribe(t, client, event.ModelTopic(event.ModelDelivered))
	stop := coretest.Run(t, env, component.Spec[fetcher.Config]{
		Name: name, Default: fetcher.Default, Run: (&fetcher.Fetcher{Getenv: env.Getenv, Now: time.Now}).Run,
	}, coretest.HealthOf(t, client, name))
	select {
	case <-events.Events():
	case <-time.After(30 * time.Second):
		t.Error("nothing is delivered")
	}
	stop()

	// What it got is what was packed, under a signature by the key.
	box := inbox.Inbox{Dir: filepath.Join(env.WorkDir, "inbox")}
	ready, err := box.Ready()
	if err != nil || len(ready) != 1 {
		t.Fatalf("ready are %v, %v", ready, err)
	}
	sealed, err := os.ReadFile(ready[0].Path(envelope.EnvelopeFile))
	must.OK(t, err)
	key, err := envelope.ParsePublicKey(string(pem))
	must.OK(t, err)
	m, err := envelope.Verify(sealed, []ed25519.PublicKey{key})
	if err != nil || m.Threshold != 0.25 || m.Expires.Sub(m.Created) != 90*24*time.Hour || m.Version != "1.2.0" {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if err := modelstore.Rehearse(ready[0].Path(inbox.ArchiveFile), m); err != nil {
		t.Errorf("a device refuses it: %v", err)
	}

	// The device's side: what was fetched is told also where the engine has not run.
	work := []string{"-dir", env.WorkDir}
	for _, text := range []string{
		"compressor 1.2.0 delivered at", fmt.Sprintf("waits for the engine: compressor 1.2.0, %d bytes", m.Archive.Size),
		"the active model is not known: ask com.edgepdm.InferenceEngine: ",
	} {
		fails(t, cli.ExitFailed, text, append([]string{"status"}, work...)...)
	}
	fails(t, cli.ExitFailed, "com.edgepdm.ModelFetcher did not take the command in 1ms: nothing was done", append([]string{"look", "-timeout", "1ms"}, work...)...)
	fails(t, cli.ExitFailed, "ask com.edgepdm.InferenceEngine: ", "rollback", "-dir", t.TempDir())
}

func TestPublishRefusesWhatDevicesWouldRefuse(t *testing.T) {
	c := cloud(t)
	private, public := keys(t)
	_, otherPublic := keys(t)
	first := signed(t, private, "1.2.0")
	do(t, "is published at", to(c, first)...)
	do(t, "is published already", to(c, first)...)
	for why, dir := range map[string]string{
		"1.2.0 is published, which is not lower than 1.1.9":  signed(t, private, "1.1.9"),
		"1.2.0 is published, which is not lower than 1.2.0":  signed(t, private, "1.2.0", "-expires", "1h"),
		"another model, simulated-compressor 1.2.0, is publ": signed(t, private, "1.3.0", "-name", "pump"),
	} {
		fails(t, cli.ExitFailed, why, to(c, dir)...)
	}
	do(t, "is published at", to(c, signed(t, private, "1.1.9"), "-force")...)
	next := signed(t, private, "1.2.1")
	fails(t, cli.ExitFailed, "not signed by a trusted key", to(c, next, "-public", otherPublic)...)
	do(t, "is published at", to(c, next, "-public", public)...)

	expired := signed(t, private, "1.2.2", "-expires", "1ns")
	fails(t, cli.ExitFailed, "the model expired at", to(c, expired)...)
	harmed := signed(t, private, "1.2.2")
	archive := filepath.Join(harmed, inbox.ArchiveFile)
	must.OK(t, os.WriteFile(archive, []byte("other"), 0o600))
	fails(t, cli.ExitFailed, "pack and sign again", to(c, harmed)...)
	fails(t, cli.ExitFailed, "pack and sign again", "sign", "-key", private, "-dir", harmed)
	fails(t, cli.ExitFailed, "sign first", to(c, t.TempDir())...)

	fails(t, cli.ExitFailed, "-ca: ", to(c, next, "-ca", archive)...)
	fails(t, cli.ExitFailed, "-public: ", to(c, next, "-public", archive)...)
	// Bad credentials are said.
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	fails(t, cli.ExitFailed, "SignatureDoesNotMatch", to(c, signed(t, private, "1.3.0"))...)
}

func TestPublishDoesNotHarmWhatIsThere(t *testing.T) {
	c := cloud(t)
	private, _ := keys(t)
	dir := signed(t, private, "1.0.0")
	// Other bytes under this version are not replaced by accident.
	cloudtest.Put(t, c, []byte("other"), prefix, "1.0.0/"+inbox.ArchiveFile)
	fails(t, cli.ExitFailed, "is there already, with other bytes", to(c, dir)...)
	do(t, "is published at", to(c, dir, "-force")...)
	content, kind, err := c.Object(prefix + "/1.0.0/" + inbox.ArchiveFile)
	packed, err2 := os.ReadFile(filepath.Join(dir, inbox.ArchiveFile))
	if err != nil || err2 != nil || kind != "application/gzip" || !bytes.Equal(content, packed) {
		t.Errorf("%d bytes, %s, %v, %v", len(content), kind, err, err2)
	}
	// A manifest that is not understood stays, too.
	cloudtest.Put(t, c, []byte("{}"), prefix, envelope.EnvelopeFile)
	fails(t, cli.ExitFailed, "replace it with -force", to(c, dir)...)
	// With -force it is replaced; the archive, which is there, is not sent again.
	before := c.Journal().Count(localcloud.KindS3Put)
	do(t, "is published at", to(c, dir, "-force")...)
	if n := c.Journal().Count(localcloud.KindS3Put) - before; n != 1 {
		t.Errorf("%d objects were written", n)
	}

	// Somebody publishes between the look and the upload, the first model or another: nothing of theirs is lost.
	target, err := url.Parse(c.InternalEndpoints().S3)
	must.OK(t, err)
	theirs, ours := signed(t, private, "1.1.0"), signed(t, private, "1.2.0")
	sealed, err := os.ReadFile(filepath.Join(theirs, envelope.EnvelopeFile))
	must.OK(t, err)
	for _, at := range []string{prefix, "models/new"} {
		var once sync.Once
		between := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = target.Scheme, target.Host, p.In.Host
			if p.In.Method == http.MethodPut && strings.HasSuffix(p.In.URL.Path, envelope.EnvelopeFile) {
				once.Do(func() { do(t, "is published at", to(c, theirs, "-prefix", at)...) })
			}
		}})
		fails(t, cli.ExitFailed, "somebody else published", to(c, ours, "-prefix", at, "-endpoint", between.URL)...)
		between.Close()
		if now, _, err := c.Object(at + "/" + envelope.EnvelopeFile); err != nil || !bytes.Equal(now, sealed) {
			t.Errorf("published at %s is %.80s, %v", at, now, err)
		}
	}
}

func TestPackChecksTheModel(t *testing.T) {
	model, golden := shipped(t)
	rows, err := os.ReadFile(golden)
	must.OK(t, err)
	table, err := csv.NewReader(bytes.NewReader(rows)).ReadAll()
	must.OK(t, err)
	table[1][0] = "0.125"
	var b bytes.Buffer
	must.OK(t, csv.NewWriter(&b).WriteAll(table))
	wrong := filepath.Join(t.TempDir(), "golden.csv")
	must.OK(t, os.WriteFile(wrong, b.Bytes(), 0o600))
	out := t.TempDir()
	fails(t, cli.ExitFailed, "golden row mismatch: row 1", "pack", "-model", model, "-golden", wrong, "-version", "1.0.0", "-out", out)
	fails(t, cli.ExitFailed, "-model: ", "pack", "-model", "nowhere", "-golden", golden, "-version", "1.0.0", "-out", out)
	if left, err := os.ReadDir(out); len(left) > 0 || err != nil {
		t.Errorf("left are %v, %v", left, err)
	}
	// A model that is packed again is not the one that was signed.
	private, _ := keys(t)
	dir := signed(t, private, "1.0.0")
	do(t, "24 golden rows agree", "pack", "-model", model, "-golden", golden, "-version", "1.0.1", "-out", dir)
	if _, err := os.Stat(filepath.Join(dir, envelope.EnvelopeFile)); !os.IsNotExist(err) {
		t.Errorf("the old signature is left: %v", err)
	}
	// A manifest that somebody has edited is checked before it is signed.
	path := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(path)
	must.OK(t, err)
	var m map[string]any
	must.OK(t, json.Unmarshal(text, &m))
	for member, value := range map[string]any{"threshold": 7, "treshold": 0.5} {
		edited := map[string]any{member: value}
		for k, v := range m {
			if _, ok := edited[k]; !ok {
				edited[k] = v
			}
		}
		if text, err = json.Marshal(edited); err != nil {
			t.Fatal(err)
		}
		must.OK(t, os.WriteFile(path, text, 0o600))
		fails(t, cli.ExitFailed, member, "sign", "-key", private, "-dir", dir)
	}
}

// An envelope in the other alphabet of base64, which devices accept, is read too.
func TestAnEnvelopeInURLSafeBase64(t *testing.T) {
	c := cloud(t)
	private, _ := keys(t)
	dir := signed(t, private, "1.0.0")
	manifest := filepath.Join(dir, "manifest.json")
	text, err := os.ReadFile(manifest)
	must.OK(t, err)
	text = bytes.Replace(text, []byte("xgboost 3.0.5"), []byte("xgboost ???"), 1) // a slash in base64, however it is aligned
	must.OK(t, os.WriteFile(manifest, text, 0o600))
	do(t, "is signed by key", "sign", "-key", private, "-dir", dir)
	path := filepath.Join(dir, envelope.EnvelopeFile)
	envelope, err := os.ReadFile(path)
	must.OK(t, err)
	var parts map[string]any
	must.OK(t, json.Unmarshal(envelope, &parts))
	payload := parts["payload"].(string)
	if !strings.ContainsAny(payload, "+/") {
		t.Fatal("this payload is the same in both alphabets")
	}
	parts["payload"] = strings.NewReplacer("+", "-", "/", "_").Replace(payload)
	other, err := json.Marshal(parts)
	must.OK(t, err)
	must.OK(t, os.WriteFile(path, other, 0o600))
	do(t, "is published at", to(c, dir)...)
}
