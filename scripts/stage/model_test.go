package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// signed makes the folder that pack and sign leave, of the demonstration's second model.
func signed(t *testing.T, version string) string {
	t.Helper()
	dir, from := t.TempDir(), filepath.Join(need.Root(t), "scripts", "demo", "second-model")
	archive, err := os.Create(filepath.Join(dir, inbox.ArchiveFile))
	must.OK(t, err)
	packed, err := envelope.Pack(archive, filepath.Join(from, "model.ubj"))
	must.OK(t, err)
	must.OK(t, archive.Close())
	now := time.Now()
	m, err := envelope.BuildManifest(filepath.Join(from, "model.ubj"), filepath.Join(from, "golden.csv"), envelope.Build{
		Version: version, Created: now, Expires: now.Add(time.Hour), Archive: packed.Archive,
	})
	must.OK(t, err)
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	sealed, err := envelope.Sign(m, key)
	must.OK(t, err)
	must.OK(t, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o600))
	return dir
}

func TestStageModel(t *testing.T) {
	out, dir := t.TempDir(), signed(t, "1.3.0")
	must.OK(t, stageTree(t, "-model", dir, "-out", out))
	must.OK(t, stageTree(t, "-model", dir, "-out", out, "-version", "1.3.1", "-bucket", "my-bucket"))
	for version, uri := range map[string]string{"1.3.0": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/", "1.3.1": "s3://my-bucket/com.edgepdm.Model/1.3.1/"} {
		text := string(must.Read(t, filepath.Join(out, "recipes", "com.edgepdm.Model-"+version+".yaml")))
		if !strings.Contains(text, `ComponentVersion: "`+version+`"`) || strings.Count(text, uri) != 2 {
			t.Errorf("recipe %s", text)
		}
		for _, file := range []string{envelope.EnvelopeFile, inbox.ArchiveFile} {
			got := must.Read(t, filepath.Join(out, "artifacts", "com.edgepdm.Model", version, file))
			if string(got) != string(must.Read(t, filepath.Join(dir, file))) {
				t.Errorf("%s is another file", file)
			}
		}
	}
}

// What a device would not take as a model is not staged.
func TestStageNoModel(t *testing.T) {
	for name, test := range map[string]struct {
		harm func(t *testing.T, dir string)
		says string
	}{
		"not signed": {func(t *testing.T, dir string) { must.OK(t, os.Remove(filepath.Join(dir, envelope.EnvelopeFile))) }, "pack and sign it first"},
		"no archive": {func(t *testing.T, dir string) { must.OK(t, os.Remove(filepath.Join(dir, inbox.ArchiveFile))) }, "no such file"},
		"another archive": {func(t *testing.T, dir string) {
			must.OK(t, os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), []byte("x"), 0o600))
		}, "its manifest says"},
		"no envelope": {func(t *testing.T, dir string) {
			must.OK(t, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), []byte("{}"), 0o600))
		}, "manifest"},
	} {
		dir := signed(t, "1.3.0")
		test.harm(t, dir)
		if err := stageTree(t, "-model", dir, "-out", t.TempDir()); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := stageTree(t, "-model", signed(t, "1.3.0"), "-only", "ingest"); err == nil {
		t.Error("-model with -only is accepted")
	}
}
