// Package modeltest has what tests of models share: a tiny model, its publication and signature, archives, keys, and disks
// on which a process is killed, a step fails, or a step was forgotten.
package modeltest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

// TinyModel is a model of two trees over the features a and b, base margin 0:
//
//	tree 0: a < 1.5 (missing left) ? -1 : b < 0.25 (missing right) ? 2 : 4
//	tree 1: 0.5
const TinyModel = `{"version":[3,0,5],"learner":{"attributes":{"edgepdm.name":"tiny","edgepdm.threshold":"0.25"},"feature_names":["a","b"],
"feature_types":[],"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2","num_parallel_tree":"1"},
"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"id":0,"tree_param":{"num_nodes":"5","size_leaf_vector":"1"},"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4,-1,-1],
"split_indices":[0,0,1,0,0],"split_conditions":[1.5E0,-1E0,2.5E-1,2E0,4E0],"default_left":[1,0,0,0,0],"split_type":[0,0,0,0,0],
"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],"parents":[2147483647,0,0,2,2]},
{"id":1,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],
"split_indices":[0],"split_conditions":[5E-1],"default_left":[0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"2","num_target":"1","boost_from_average":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

// TinyGolden are rows with the margins that the comment above gives by hand.
const TinyGolden = "margin,a,b\n-0.5,1,0\n-0.5,nan,0\n2.5,2,0\n4.5,2,\n"

// Time is when the tests take place.
var Time = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Now returns Time.
func Now() time.Time { return Time }

// Key returns a key that is always the same.
func Key(t testing.TB, seed byte) ed25519.PrivateKey {
	t.Helper()
	key, err := envelope.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	must.OK(t, err)
	return key
}

// PublicOf returns the public part of a key.
func PublicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// Write writes a file and returns its path.
func Write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must.OK(t, os.WriteFile(path, data, 0o600))
	return path
}

// Published is what a publisher puts into the bucket.
type Published struct {
	Manifest envelope.Manifest
	Archive  []byte
}

// Publish packs and describes a model.
func Publish(t testing.TB, model, version string) Published {
	t.Helper()
	dir := t.TempDir()
	path := Write(t, dir, "model.json", []byte(model))
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, path)
	must.OK(t, err)
	m, err := envelope.BuildManifest(path, Write(t, dir, "golden.csv", []byte(TinyGolden)), envelope.Build{
		Version: version, Created: Time.Add(-time.Hour), Expires: Time.Add(24 * time.Hour), Archive: packed.Archive,
	})
	must.OK(t, err)
	return Published{m, archive.Bytes()}
}

// Tiny is the tiny model's manifest.
func Tiny(t testing.TB) envelope.Manifest { return Publish(t, TinyModel, "1.2.0").Manifest }

// DSSE is an envelope as the DSSE specification has it.
type DSSE struct {
	PayloadType string          `json:"payloadType"`
	Payload     string          `json:"payload"`
	Signatures  []DSSESignature `json:"signatures"`
}

// DSSESignature is one of its signatures.
type DSSESignature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// Sign signs a manifest whatever is wrong with it.
func Sign(t testing.TB, payload []byte, keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	e := DSSE{PayloadType: envelope.PayloadType, Payload: EncodeBase64(payload)}
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(payload), payload)
	for _, key := range keys {
		e.Signatures = append(e.Signatures, DSSESignature{envelope.KeyID(PublicOf(key)), EncodeBase64(ed25519.Sign(key, signed))})
	}
	return must.JSON(t, e)
}

// Wants checks that an error is of a kind and says something.
func Wants(t testing.TB, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), says) {
		t.Fatalf("error is %v; want a %v that says %q", err, kind, says)
	}
}

// Entry is a member of an archive.
type Entry struct {
	tar.Header
	Content string
}

// File is a regular file.
func File(name, content string) Entry {
	return Entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}, content}
}

// TarOf makes a tar archive.
func TarOf(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		must.OK(t, w.WriteHeader(&e.Header))
		if _, err := w.Write([]byte(e.Content)); err != nil {
			t.Fatal(err)
		}
	}
	must.OK(t, w.Close())
	return buf.Bytes()
}

// Zip compresses with gzip.
func Zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	must.OK(t, w.Close())
	return buf.Bytes()
}

// ArchiveOf makes a tar.gz.
func ArchiveOf(t testing.TB, entries ...Entry) []byte { return Zip(t, TarOf(t, entries...)) }

// Named returns names of features.
func Named(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("f%d", i)
	}
	return names
}

// WithFeatures gives a manifest features, and one golden row of zeros.
func WithFeatures(m *envelope.Manifest, names []string) {
	m.Features, m.Schema = names, event.SchemaOf(names)
	m.Golden = []envelope.GoldenRow{{Values: make(event.Values, len(names))}}
}

// EncodeBase64 encodes in the standard alphabet.
func EncodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

var anyArchive = envelope.Archive{SHA256: strings.Repeat("0", 64), Size: 1}

// AnyBuild has what BuildManifest does not read from files.
func AnyBuild() envelope.Build {
	return envelope.Build{Version: "1.0.0", Created: Time, Expires: Time.Add(time.Hour), Archive: anyArchive}
}

// Shipped returns the files of the suite's own model; root is the repository's.
func Shipped(root string) (model, golden string) {
	dir := filepath.Join(root, "components", "inference-engine", "model")
	return filepath.Join(dir, "model.ubj"), filepath.Join(dir, "golden.csv")
}
