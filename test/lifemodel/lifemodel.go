// Package lifemodel has a tiny life model for tests, which XGBoost trained (train.py), and its publication.
package lifemodel

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/window"
	"edgepdm/test/must"
)

// Name is the model's.
const Name = "tiny-life"

// Folder is where the model's files are: model.ubj, and golden.csv with rows and their three margins.
func Folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// Inputs are the model's: the temperature, its mean over 4 rows, and the slope of the wear over 4 rows.
func Inputs() *window.Spec {
	return &window.Spec{Sensors: []string{"temp", "wear"}, Inputs: []window.Input{
		{Sensor: "temp", Stat: window.Last}, {Sensor: "temp", Stat: window.Mean, Rows: 4}, {Sensor: "wear", Stat: window.Slope, Rows: 4},
	}}
}

// Publish returns the archive of a version of the model and its manifest, which is valid for an hour.
func Publish(t testing.TB, version string, created time.Time) (envelope.Manifest, []byte) {
	t.Helper()
	path := filepath.Join(Folder(), "model.ubj")
	var archive bytes.Buffer
	packed, err := envelope.Pack(&archive, path)
	must.OK(t, err)
	m, err := envelope.BuildManifest(path, filepath.Join(Folder(), "golden.csv"), envelope.Build{
		Name: Name, Version: version, Created: created, Expires: created.Add(time.Hour), Archive: packed.Archive,
		Role: event.RoleLife, Inputs: Inputs(), Life: &envelope.LifeScale{Unit: "hours", Cap: 100, Coverage: 0.9, Margin: 1.5},
	})
	must.OK(t, err)
	return m, archive.Bytes()
}

// Deliver puts a signed delivery into an inbox.
func Deliver(t testing.TB, box inbox.Inbox, id string, m envelope.Manifest, archive []byte, key ed25519.PrivateKey) {
	t.Helper()
	sealed, err := envelope.Sign(m, key)
	must.OK(t, err)
	d, err := box.Begin(id)
	must.OK(t, err)
	for name, data := range map[string][]byte{inbox.ArchiveFile: archive, envelope.EnvelopeFile: sealed} {
		must.OK(t, os.WriteFile(d.Path(name), data, 0o600))
	}
	must.OK(t, d.Commit())
}
