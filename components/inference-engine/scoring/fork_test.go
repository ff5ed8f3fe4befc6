package scoring

import (
	"sync"
	"testing"

	"edgepdm/shared/gbdt"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// A fork scores the same in another goroutine, at the same time.
func TestFork(t *testing.T) {
	_, rows := table.Read(t, "../model/golden.csv")
	for _, engine := range []Engine{Native, Leaves} {
		model, err := Parse(must.Read(t, "../model/model.ubj"), engine, gbdt.AutoIterations)
		must.OK(t, err)
		var all sync.WaitGroup
		results := make([][]float32, 3)
		for i, m := range []*Model{model, model.Fork(), model.Fork().Fork()} {
			all.Go(func() {
				for range 20 {
					results[i] = results[i][:0]
					for _, row := range rows {
						margin, err := m.Margin(nil, row[1:])
						if err != nil {
							t.Error(err)
						}
						results[i] = append(results[i], m.Predict(nil, margin)[0])
					}
				}
			})
		}
		all.Wait()
		for i := range rows {
			if results[0][i] != results[1][i] || results[0][i] != results[2][i] {
				t.Errorf("%s, row %d: %v, %v, %v", engine, i, results[0][i], results[1][i], results[2][i])
			}
		}
	}
}
