package modelcli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/must"
)

// What a device accepts the operator's tools read, too: DSSE has both alphabets.
func TestURLSafeEnvelope(t *testing.T) {
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	features := []string{"temperature>?>?>?~~~"} // gives characters in which the alphabets differ
	m := envelope.Manifest{
		Format: 1, Name: "compressor", Version: "1.2.0", Created: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 11, 28, 0, 0, 0, 0, time.UTC),
		Archive: envelope.Archive{SHA256: strings.Repeat("0", 64), Size: 1}, Model: envelope.ModelFile{File: "model.ubj", SHA256: strings.Repeat("1", 64), Size: 1},
		Objective: "binary:logistic", Features: features, Schema: event.SchemaOf(features), Threshold: 0.5, Trainer: "xgboost ???>>>~~~",
		Golden: []envelope.GoldenRow{{Values: event.Values{1}, Margin: 0.25}},
	}
	standard, err := envelope.Sign(m, key)
	must.OK(t, err)
	var e map[string]any
	must.OK(t, json.Unmarshal(standard, &e))
	payload, err := base64.StdEncoding.DecodeString(e["payload"].(string))
	must.OK(t, err)
	urlSafe := base64.URLEncoding.EncodeToString(payload)
	if urlSafe == e["payload"] {
		t.Fatal("the alphabets do not differ")
	}
	e["payload"] = urlSafe
	sealed := must.JSON(t, e)
	dir := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o600))
	box := inbox.Inbox{Dir: filepath.Join(dir, "inbox")}
	d, err := box.Begin("a")
	must.OK(t, err)
	for name, content := range map[string][]byte{envelope.EnvelopeFile: sealed, inbox.ArchiveFile: []byte("x")} {
		must.OK(t, os.WriteFile(d.Path(name), content, 0o600))
	}
	if got := contents(*d); got != "compressor 1.2.0, 1 bytes (1 features, threshold 0.5)" {
		t.Errorf("waits for the engine: %s", got)
	}
	before := pointer{etag: "e", envelope: sealed}
	lower := m
	lower.Version = "1.1.0"
	if err := (publication{manifest: lower}).checkVersion(before); err == nil || !strings.Contains(err.Error(), "compressor 1.2.0 is published") {
		t.Errorf("%v", err)
	}
}
