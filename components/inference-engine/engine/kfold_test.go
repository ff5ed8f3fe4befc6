package engine_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// SageMaker's archive of a k-fold training is delivered as it is, and scores with the mean of its models, as its endpoint.
func TestAKFoldArchiveIsDelivered(t *testing.T) {
	dir := filepath.Join(need.Root(t), "shared", "gbdt", "testdata", "1.5.2-kfold")
	read := func(name string) string {
		data := must.Read(t, filepath.Join(dir, name))
		return string(data)
	}
	r := newRig(t)
	p := newPublisher(r)
	coretest.Configure(t, r.core, engineName, map[string]any{"allowUnsigned": true})
	r.start(shippedModel)
	r.await("a model", ok)
	d, err := p.inbox.Begin("kfold")
	must.OK(t, err)
	must.OK(t, os.WriteFile(d.Path(inbox.ArchiveFile), []byte(read("model.tar.gz")), 0o600))
	must.OK(t, d.Commit())
	r.modelEvent(event.ModelActivated)
	var row []float32
	for _, text := range strings.Split(strings.SplitN(read("X.csv"), "\n", 2)[0], ",") {
		x, err := event.ParseFloat(text)
		must.OK(t, err)
		row = append(row, x)
	}
	want, err := strconv.ParseFloat(strings.SplitN(read("pred-mean.csv"), "\n", 2)[0], 32)
	must.OK(t, err)
	r.publish(event.TelemetryTopic("press-1"), encode(t, telemetry(1, row)))
	if got := r.prediction(); float32(got.Probability) != float32(want) {
		t.Errorf("%v, want %v", got.Probability, want)
	}
}
