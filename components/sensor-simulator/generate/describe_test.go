package generate

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"testing"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
)

// The description is the same on standard output and in a file, and is read as model-fetcher pack reads it.
func TestDescribe(t *testing.T) {
	var out bytes.Buffer
	must.OK(t, Describe(context.Background(), nil, cli.Streams{Out: &out, Err: &out}))
	path := filepath.Join(t.TempDir(), "description.json")
	must.OK(t, Describe(context.Background(), []string{"-out", path}, cli.Streams{Out: &out, Err: &out}))
	var d envelope.Description
	must.OK(t, envelope.DecodeStrict(must.Read(t, path), &d))
	if !bytes.Equal(out.Bytes(), must.Read(t, path)) || !reflect.DeepEqual(d, plant.Description()) {
		t.Errorf("%s", out.String())
	}
}
