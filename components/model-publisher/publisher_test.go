package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/model-publisher/publisher"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/cloudtest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

const (
	functionName = "model-publisher"
	prefix       = "models/compressor"
)

// cloudWith starts a cloud that has the function, as it is deployed, and what it signs with.
func cloudWith(t *testing.T, secret string) *localcloud.Cloud {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", path, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return cloudtest.Start(t, func(o *localcloud.Options) {
		o.Secrets = map[string]string{"signing": secret}
		o.Functions = []localcloud.Function{{Name: functionName, Path: path, Env: map[string]string{
			"KEY_PREFIX": prefix, "SIGNING_SECRET": "signing", "AWS_MAX_ATTEMPTS": "1",
		}}}
	})
}

func newKey(t *testing.T) (ed25519.PublicKey, string) {
	t.Helper()
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	text, err := envelope.MarshalPrivateKey(key)
	must.OK(t, err)
	return key.Public().(ed25519.PublicKey), string(text)
}

// trained is a training's model.tar.gz of the shipped model, with further files.
func trained(t *testing.T, more map[string]string) []byte {
	t.Helper()
	dir := filepath.Join(need.Root(t), "components", "inference-engine", "model")
	files := map[string]string{"model.ubj": string(must.Read(t, filepath.Join(dir, "model.ubj"))), "golden.csv": string(must.Read(t, filepath.Join(dir, "golden.csv")))}
	maps.Copy(files, more)
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	members := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] == "" {
			continue
		}
		must.OK(t, members.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644}))
		_, err := members.Write([]byte(files[name]))
		must.OK(t, err)
	}
	must.OK(t, members.Close())
	must.OK(t, zip.Close())
	return b.Bytes()
}

func ask(t *testing.T, c *localcloud.Cloud, request string) (publisher.Result, error) {
	t.Helper()
	var r publisher.Result
	answer, err := c.Invoke(t.Context(), functionName, []byte(request))
	if err != nil {
		return r, err
	}
	must.OK(t, json.Unmarshal(answer, &r))
	return r, nil
}

// published returns the manifest that devices get, as they verify it.
func published(t *testing.T, c *localcloud.Cloud, key ed25519.PublicKey) envelope.Manifest {
	t.Helper()
	sealed, _, err := c.Object(prefix + "/" + envelope.EnvelopeFile)
	must.OK(t, err)
	m, err := envelope.Verify(sealed, []ed25519.PublicKey{key})
	must.OK(t, err)
	return m
}

// What a training made is published with the next version, signed; a repeated invocation changes nothing.
func TestPublish(t *testing.T) {
	public, secret := newKey(t)
	c := cloudWith(t, secret)
	if r, err := ask(t, c, `{"action":"look"}`); err != nil || r.Published {
		t.Fatalf("at the beginning: %+v, %v", r, err)
	}
	bucket := c.InternalEndpoints().Bucket
	cloudtest.Put(t, c, trained(t, map[string]string{"report.md": "# Report"}), "training/run-1/output/model.tar.gz")
	request := `{"model":"s3://` + bucket + `/training/run-1/output/model.tar.gz"}`
	first, err := ask(t, c, request)
	if err != nil || !first.Published || first.Version != "1.0.0" || first.Name != "compressor" || first.Already {
		t.Fatalf("%+v, %v", first, err)
	}
	m := published(t, c, public)
	if m.Version != "1.0.0" || m.Name != "compressor" || m.Model.SHA256 != first.SHA256 {
		t.Errorf("published is %s %s", m.Name, m.Version)
	}
	if archive, _, err := c.Object(strings.TrimPrefix(first.Archive, "s3://"+bucket+"/")); err != nil || int64(len(archive)) != m.Archive.Size {
		t.Errorf("archive %s: %d bytes, %v", first.Archive, len(archive), err)
	}
	again, err := ask(t, c, request)
	if err != nil || again.Version != "1.0.0" || !again.Already {
		t.Errorf("again: %+v, %v", again, err)
	}

	// Another model gets the version after it, and passes over one whose publication was broken off.
	cloudtest.Put(t, c, []byte("left by another try"), prefix, "1.1.0/model.tar.gz")
	other := filepath.Join(need.Root(t), "scripts", "demo", "second-model")
	cloudtest.Put(t, c, trained(t, map[string]string{
		"model.ubj": string(must.Read(t, filepath.Join(other, "model.ubj"))), "golden.csv": string(must.Read(t, filepath.Join(other, "golden.csv"))),
	}), "training/run-2/output/model.tar.gz")
	secondRequest := func(mode string, percent int) string {
		return fmt.Sprintf(`{"model":"s3://%s/training/run-2/output/model.tar.gz","mode":%q,"percent":%d}`, bucket, mode, percent)
	}
	second, err := ask(t, c, secondRequest("shadow", 50))
	if err != nil || second.Version != "1.2.0" {
		t.Errorf("%+v, %v", second, err)
	}
	if m := published(t, c, public); !m.Shadow() || m.Rollout.Percent != 50 {
		t.Errorf("rollout %+v", m.Rollout)
	}
	if r, err := ask(t, c, `{"action":"look"}`); err != nil || r != second {
		t.Errorf("look: %+v, %v; want %+v", r, err, second)
	}

	// For more cores the same version is signed once more. Nothing is taken from a core that has it.
	if more, err := ask(t, c, secondRequest("shadow", 80)); err != nil || more != second {
		t.Errorf("for more: %+v, %v; want %+v", more, err, second)
	}
	for request, want := range map[string]string{secondRequest("shadow", 10): "80 % of the cores", secondRequest("direct", 80): "another mode"} {
		if _, err := ask(t, c, request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", request, err, want)
		}
	}
	if m := published(t, c, public); !m.Shadow() || m.Rollout.Percent != 80 || m.Version != "1.2.0" {
		t.Errorf("%s, rollout %+v", m.Version, m.Rollout)
	}
	checkSecretIsNotLogged(t, c, secret)
}

// checkSecretIsNotLogged looks at what the function wrote.
func checkSecretIsNotLogged(t *testing.T, c *localcloud.Cloud, secret string) {
	t.Helper()
	log := string(must.Read(t, filepath.Join(c.Dir(), functionName+".log")))
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) > 20 && strings.Contains(log, line) {
			t.Errorf("the log has the key: %s", log)
		}
	}
}

func TestRefuses(t *testing.T) {
	_, secret := newKey(t)
	c := cloudWith(t, secret)
	bucket := c.InternalEndpoints().Bucket
	cloudtest.Put(t, c, trained(t, map[string]string{"golden.csv": ""}), "no-golden.tar.gz")
	cloudtest.Put(t, c, trained(t, map[string]string{"golden.csv": "margin,a\n1,2\n"}), "bad-golden.tar.gz")
	cloudtest.Put(t, c, []byte("nothing"), "no-archive.tar.gz")
	cloudtest.Put(t, c, trained(t, map[string]string{"model.ubj": ""}), "no-model.tar.gz")
	for request, want := range map[string]string{
		`{"action":"delete"}`:     "neither publish nor look",
		`{"moddel":"s3://b/k"}`:   "unknown field",
		`{}`:                      "model is missing",
		`{"model":"https://b/k"}`: "is not an s3 URI",
		`{"model":"s3://bucket/k","mode":"live"}`:               "neither shadow nor direct",
		`{"model":"s3://bucket/k","percent":101}`:               "not 1 to 100",
		`{"model":"s3://` + bucket + `/none.tar.gz"}`:           "get s3://",
		`{"model":"s3://` + bucket + `/no-golden.tar.gz"}`:      "has no golden.csv",
		`{"model":"s3://` + bucket + `/bad-golden.tar.gz"}`:     "pack the model",
		`{"model":"s3://` + bucket + `/no-archive.tar.gz"}`:     "unpack s3://",
		`{"model":"s3://` + bucket + `/no-model.tar.gz"}`:       "has no model.ubj",
		`{"model":"s3://b/` + strings.Repeat("k", 70000) + `"}`: "allowed are",
	} {
		_, err := ask(t, c, request)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Publisher.Refused") {
			t.Errorf("%.100s: %v, want %q", request, err, want)
		}
	}
	if _, _, err := c.Object(prefix + "/" + envelope.EnvelopeFile); err == nil {
		t.Error("something is published")
	}
	must.OK(t, c.Throttle("s3", 1))
	if _, err := ask(t, c, `{"action":"look"}`); err == nil || !strings.Contains(err.Error(), "Publisher.Retryable") {
		t.Errorf("throttled: %v", err)
	}
}

// A secret that holds no key is told by its name, not by what it holds.
func TestSecretWithoutKey(t *testing.T) {
	const secret = "not-a-key-but-a-password"
	c := cloudWith(t, secret)
	cloudtest.Put(t, c, trained(t, nil), "model.tar.gz")
	_, err := ask(t, c, `{"model":"s3://`+c.InternalEndpoints().Bucket+`/model.tar.gz"}`)
	if err == nil || !strings.Contains(err.Error(), "model-key.pem") || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
	if log, err := os.ReadFile(filepath.Join(c.Dir(), functionName+".log")); err != nil || strings.Contains(string(log), secret) {
		t.Errorf("the log has the secret, or there is none: %v", err)
	}
}

// The versions of a model that fails on its way to S3 are not used up.
func TestInterrupted(t *testing.T) {
	public, secret := newKey(t)
	c := cloudWith(t, secret)
	bucket := c.InternalEndpoints().Bucket
	cloudtest.Put(t, c, trained(t, nil), "model.tar.gz")
	request := `{"model":"s3://` + bucket + `/model.tar.gz"}`
	r, err := ask(t, c, request)
	must.OK(t, err)
	key := prefix + "/" + envelope.EnvelopeFile
	_, err = c.S3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	must.OK(t, err) // as if the function had ended between the archive and the manifest
	again, err := ask(t, c, request)
	if err != nil || again.Version != r.Version || again.Already || published(t, c, public).Version != r.Version {
		t.Errorf("%+v, %v", again, err)
	}
}
