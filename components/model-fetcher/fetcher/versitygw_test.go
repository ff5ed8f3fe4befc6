package fetcher_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/must"
	"edgepdm/test/versitygw"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// peer starts versitygw with an empty bucket, and returns a rig whose S3 it is, without versions of objects.
func peer(t *testing.T) (r *rig, endpoint string) {
	t.Helper()
	gateway := versitygw.Start(t, "models")
	access, secret := gateway.Access, gateway.Secret
	r = newRigOn(t, gateway.Endpoint, "models", aws.Credentials{AccessKeyID: access, SecretAccessKey: secret})
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": access, "SecretAccessKey": r.vars["secret"], "Token": "", "Expiration": "2099-01-01T00:00:00Z",
		})
	}))
	t.Cleanup(exchange.Close)
	r.vars["secret"] = secret
	r.vars["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = exchange.URL
	return r, gateway.Endpoint
}

// An S3 that verifies signatures and checksums, and honours If-Match: written by others.
func TestVersitygw(t *testing.T) {
	r, endpoint := peer(t)

	// It is what it is here for.
	_, err := r.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &r.bucket, Key: aws.String("x"), Body: strings.NewReader("x"), ChecksumSHA256: aws.String("LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564="),
	})
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "BadDigest" {
		t.Errorf("a wrong checksum: %v", err)
	}

	// What the tool publishes, with the checksums and conditions of its own, arrives over a line that drops.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_SESSION_TOKEN": "", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	archive := noise(t, 1, 3*mega)
	sealed := r.publishByTool(endpoint, manifest("1.0.0", archive), archive)
	r.line.drop(mega, nil)
	r.start()
	r.delivered()
	r.take(sealed, archive)
	asked := r.line.asked(inbox.ArchiveFile)
	if len(asked) != 3 || asked[2].rng != "bytes=2097152-" || asked[2].ifMatch == "" {
		t.Errorf("requests %+v", asked)
	}

	// An archive that is replaced in the middle: 412, then the download from the start, and not what the manifest names.
	archive, other := noise(t, 2, 3*mega), noise(t, 3, 3*mega)
	m := manifest("1.1.0", archive)
	r.publishByTool(endpoint, m, archive)
	var replaced atomic.Bool
	r.line.drop(mega, func(request) {
		if !replaced.Swap(true) {
			r.put("1.1.0/"+inbox.ArchiveFile, other)
		}
	})
	r.command(fetchNow)
	r.next(event.ModelAvailable)
	r.next(event.ModelDownloading)
	if e := r.next(event.ModelRefused); !strings.Contains(e.Detail, sha(other)) {
		t.Errorf("event %+v: want the whole of the other object", e)
	}
	if h := r.state(event.StateDegraded, "refused: delivery"); h.Counters[fetcher.CounterRestarted] != 1 {
		t.Errorf("counters %v", h.Counters)
	}
	r.untouched()

	// The same without a manifest, where anything whole will do.
	r.delete(envelope.EnvelopeFile)
	r.put(inbox.ArchiveFile, archive)
	replaced.Store(false)
	r.line.drop(mega, func(request) {
		if !replaced.Swap(true) {
			r.put(inbox.ArchiveFile, other)
		}
	})
	r.configure(map[string]any{"allowUnsigned": true})
	r.delivered()
	r.take(nil, other)
	r.quiet(fetchNow)

	// Credentials that are refused are said, and tried again.
	r.stop()
	r.vars["secret"] = "wrong"
	r.start()
	r.state(event.StateDegraded, "SignatureDoesNotMatch")
}

// publishByTool publishes with the tool's own sub-command.
func (r *rig) publishByTool(endpoint string, m envelope.Manifest, archive []byte) (sealed []byte) {
	r.t.Helper()
	sealed, err := envelope.Sign(m, r.key)
	dir := r.t.TempDir()
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o600),
		os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), archive, 0o600))
	must.OK(r.t, err)
	var out bytes.Buffer
	p := cli.Program{Name: "model-fetcher", Commands: modelcli.Commands()}
	args := []string{"publish", "-dir", dir, "-bucket", r.bucket, "-prefix", prefix, "-endpoint", endpoint}
	if code := p.Main(r.t.Context(), args, cli.Streams{Out: &out, Err: &out}); code != cli.ExitOK {
		r.t.Fatalf("publish: exit code %d: %s", code, out.String())
	}
	return sealed
}
