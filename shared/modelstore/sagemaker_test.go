package modelstore

import (
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// TestSageMakersArchives takes archives as SageMaker's containers write them, without a manifest and then with one.
func TestSageMakersArchives(t *testing.T) {
	tests := []struct {
		container string
		trainer   string
		file      string
	}{
		{"sagemaker-3.0-5", "xgboost 3.0.5", gbdt.SageMakerModel},
		{"sagemaker-1.7-1", "xgboost 1.7.x", gbdt.SageMakerModel},
		{"sagemaker-1.3-1", "xgboost 1.3.x", gbdt.SageMakerModel},
		{"sagemaker-1.2-2", "xgboost 1.2.1", gbdt.SageMakerModel},
		{"sagemaker-0.90-2-proto3", "xgboost unknown", gbdt.SageMakerModel},
		{"sagemaker-3.0-5-kfold3", "xgboost 3.0.5", inbox.ArchiveFile},
		{"sagemaker-1.7-1-kfold3", "xgboost 1.7.x", inbox.ArchiveFile},
	}
	for _, test := range tests {
		t.Run(test.container, func(t *testing.T) {
			archive := must.Read(t, need.Shared(t, filepath.Join("models", test.container, "model.tar.gz")))
			b := newBench(t)
			b.options.AllowUnsigned = true
			b.open()
			c, err := b.store.Take(b.deliver(nil, archive))
			must.OK(t, err)
			must.OK(t, b.store.Activate(c))
			b.active(c.Manifest.Version, "")
			if m := c.Manifest; m.Model.File != test.file || m.Objective != "binary:logistic" || m.Trainer != test.trainer || m.Archive.SHA256 != envelope.HashOf(archive) {
				t.Errorf("%+v", m)
			}
		})
	}
}

// TestSageMakersArchiveSigned publishes an archive that a container wrote: the model has no names of features, so the
// manifest gives them, and the golden rows' margins are those of the training XGBoost.
func TestSageMakersArchiveSigned(t *testing.T) {
	dir := filepath.Dir(need.Shared(t, "models/sagemaker-3.0-5/model.tar.gz"))
	archive := must.Read(t, filepath.Join(dir, "model.tar.gz"))
	build := modeltest.AnyBuild()
	build.Name, build.Archive = "line-3", envelope.Archive{SHA256: envelope.HashOf(archive), Size: int64(len(archive))}
	golden := modeltest.Write(t, t.TempDir(), "golden.csv", goldenOf(t, dir))
	m, err := envelope.BuildManifest(filepath.Join(dir, "xgboost-model"), golden, build)
	must.OK(t, err)
	b := newBench(t)
	c, err := b.store.Take(b.deliver(&m, archive))
	must.OK(t, err)
	if len(c.Manifest.Features) != 168 || c.Manifest.Schema != event.SchemaOf(c.Manifest.Features) || len(c.Manifest.Golden) < 100 {
		t.Errorf("%+v", c.Manifest)
	}
	must.OK(t, b.store.Activate(c))
	b.active("1.0.0", "")
}

// goldenOf joins the rows and margins of a folder of the reference data.
func goldenOf(t *testing.T, dir string) []byte {
	t.Helper()
	lines := func(name string) []string {
		data := must.Read(t, filepath.Join(dir, name))
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	margins := lines("margin.csv")
	rows := lines("X.csv")
	var out strings.Builder
	out.WriteString("margin," + strings.Join(modeltest.Named(strings.Count(rows[0], ",")+1), ",") + "\n")
	for i, row := range rows {
		out.WriteString(margins[i] + "," + row + "\n")
	}
	return []byte(out.String())
}
