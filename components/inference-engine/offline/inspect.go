package offline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

// facts are what inspect prints about a model.
type facts struct {
	Format         string            `json:"format"`              // as gbdt.Model.Format
	XGBoost        string            `json:"xgboost"`             // the release that wrote the file, or unknown
	Container      string            `json:"sagemaker_container"` // whose algorithm mode writes such a file, or unknown
	Booster        string            `json:"booster"`
	Objective      string            `json:"objective"`
	Features       int               `json:"features"`
	FeatureNames   []string          `json:"feature_names"` // empty if the model was trained without
	Outputs        int               `json:"outputs"`       // margins a row; of all folds
	Classes        int               `json:"classes"`       // 0 if the objective is none of classes
	Trees          int               `json:"trees"`
	Nodes          int               `json:"nodes"`
	MaxDepth       int               `json:"max_depth"`
	Iterations     int               `json:"iterations"`
	BestIteration  *int              `json:"best_iteration"`    // null if the model has none
	IterationsUsed int               `json:"iterations_used"`   // to score with, unless another choice is made
	BaseScore      string            `json:"base_score"`        // as the file spells it
	BaseMargin     []float32         `json:"base_margin"`       // by output
	Folds          []foldFacts       `json:"folds"`             // of a k-fold archive
	Wrapper        string            `json:"wrapper,omitempty"` // the class of xgboost.sklearn that saved it, if one did
	Missing        *float32          `json:"missing,omitempty"` // the value that stands for a missing one besides NaN, if there is one
	Attributes     map[string]string `json:"attributes"`
	Size           int               `json:"size"` // of the file, bytes
	SHA256         string            `json:"sha256"`
}

// foldFacts are what differs between the models of a k-fold archive.
type foldFacts struct {
	Trees         int    `json:"trees"`
	Nodes         int    `json:"nodes"`
	MaxDepth      int    `json:"max_depth"`
	Iterations    int    `json:"iterations"`
	BestIteration *int   `json:"best_iteration"`
	BaseScore     string `json:"base_score"`
}

// Inspect is the sub-command "inspect -model FILE". It writes what is known about the model to s.Out, as indented JSON.
func Inspect(_ context.Context, args []string, s cli.Streams) error {
	flags := cli.NewFlagSet("inference-engine inspect [-model] FILE", s)
	path := flags.String("model", "", modelUsage)
	if err := parseFlags(flags, path, args); err != nil {
		return err
	}
	data, err := readFile(*path)
	if err != nil {
		return err
	}
	if gbdt.IsLightGBM(data) {
		return inspectLightGBM(*path, data, s)
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return fmt.Errorf("model %s: %w", *path, err)
	}
	used, err := model.Cut(gbdt.AutoIterations)
	if err != nil {
		return fmt.Errorf("model %s: %w", *path, err)
	}
	sum := sha256.Sum256(data)
	f := facts{
		Format:         model.Format,
		XGBoost:        model.Release(),
		Container:      containerOf(model),
		Booster:        model.Booster,
		Objective:      model.Objective,
		Features:       model.NumFeature,
		FeatureNames:   append([]string{}, model.FeatureNames...),
		Outputs:        model.Outputs,
		Classes:        classesOf(model),
		Trees:          model.NumTrees,
		Nodes:          model.NumNodes,
		MaxDepth:       model.MaxDepth,
		Iterations:     model.Iterations,
		BestIteration:  bestOf(model),
		IterationsUsed: used.Iterations,
		BaseScore:      model.BaseScore,
		BaseMargin:     model.BaseMargin,
		Folds:          []foldFacts{},
		Wrapper:        model.Wrapper,
		Missing:        model.Missing,
		Attributes:     model.Attributes,
		Size:           len(data),
		SHA256:         hex.EncodeToString(sum[:]),
	}
	for _, fold := range model.Folds {
		f.Folds = append(f.Folds, foldFacts{
			Trees: fold.NumTrees, Nodes: fold.NumNodes, MaxDepth: fold.MaxDepth, Iterations: fold.Iterations,
			BestIteration: bestOf(fold), BaseScore: fold.BaseScore,
		})
	}
	return printFacts(f, s)
}

func printFacts(f any, s cli.Streams) error {
	out := json.NewEncoder(s.Out)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(f); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	return nil
}

func bestOf(m *gbdt.Model) *int {
	if best, ok := m.BestIteration(); ok {
		return &best
	}
	return nil
}

func classesOf(m *gbdt.Model) int {
	switch {
	case strings.HasPrefix(m.Objective, "multi:"):
		return m.Outputs / max(1, len(m.Folds))
	case strings.HasPrefix(m.Objective, "binary:"):
		return 2
	}
	return 0
}

// containerOf names SageMaker's containers whose built-in algorithm writes files of a model's format and release.
func containerOf(m *gbdt.Model) string {
	file := strings.TrimPrefix(m.Format, "tar.gz+")
	switch release := m.Version; {
	case m.Wrapper != "":
	case file == "pickle+legacy" && release[0] == 0:
		return "1, 0.90-1 or 0.90-2"
	case file == "pickle+config-offset+legacy":
		return "1.0-1"
	case file == "pickle+config-offset+legacy-binf" && release[1] == 2:
		return "1.2-1 or 1.2-2"
	case file == gbdt.FormatLegacyBinf && release[0] == 1 && (release[1] == 3 || release[1] == 5 || release[1] == 7):
		return fmt.Sprintf("1.%d-1", release[1])
	case file == gbdt.FormatUBJSON && release[0] == 3:
		return fmt.Sprintf("3.%d-%d", release[1], release[2])
	}
	return "unknown"
}
