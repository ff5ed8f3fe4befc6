package offline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"edgepdm/shared/cli"
)

// facts are what inspect prints about a model.
type facts struct {
	Format        string            `json:"format"`
	XGBoost       string            `json:"xgboost"` // the release that wrote the file
	Booster       string            `json:"booster"`
	Objective     string            `json:"objective"`
	Features      int               `json:"features"`
	FeatureNames  []string          `json:"feature_names"` // empty if the model was trained without
	Outputs       int               `json:"outputs"`
	Trees         int               `json:"trees"`
	Nodes         int               `json:"nodes"`
	MaxDepth      int               `json:"max_depth"`
	Iterations    int               `json:"iterations"`
	BestIteration *int              `json:"best_iteration"` // null if the model has none
	BaseScore     string            `json:"base_score"`     // as the file spells it
	BaseMargin    []float32         `json:"base_margin"`    // by output
	Attributes    map[string]string `json:"attributes"`
	Size          int               `json:"size"` // of the file, bytes
	SHA256        string            `json:"sha256"`
}

// Inspect is the sub-command "inspect -model FILE". It writes what is known about the model to s.Out, as indented JSON.
func Inspect(_ context.Context, args []string, s cli.Streams) error {
	flags := cli.NewFlagSet("inference-engine inspect -model FILE", s)
	path := flags.String("model", "", "model `file` that XGBoost saved as JSON or UBJSON")
	if err := cli.Parse(flags, args); err != nil {
		return err
	}
	model, data, err := load(*path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	f := facts{
		Format:       model.Format,
		XGBoost:      fmt.Sprintf("%d.%d.%d", model.Version[0], model.Version[1], model.Version[2]),
		Booster:      model.Booster,
		Objective:    model.Objective,
		Features:     model.NumFeature,
		FeatureNames: append([]string{}, model.FeatureNames...),
		Outputs:      model.Outputs,
		Trees:        model.NumTrees,
		Nodes:        model.NumNodes,
		MaxDepth:     model.MaxDepth,
		Iterations:   model.Iterations,
		BaseScore:    model.BaseScore,
		BaseMargin:   model.BaseMargin,
		Attributes:   model.Attributes,
		Size:         len(data),
		SHA256:       hex.EncodeToString(sum[:]),
	}
	if best, ok := model.BestIteration(); ok {
		f.BestIteration = &best
	}
	out := json.NewEncoder(s.Out)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(f); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	return nil
}
