package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/gbdt/leaves"
)

// lightFacts are what inspect prints about a model of LightGBM.
type lightFacts struct {
	Format       string   `json:"format"`    // as leaves.Model.Format
	Engine       string   `json:"engine"`    // the one that scores it
	Objective    string   `json:"objective"` // empty if it was the user's own
	Features     int      `json:"features"`
	FeatureNames []string `json:"feature_names"` // empty if the model was trained without
	Outputs      int      `json:"outputs"`       // margins a row
	Trees        int      `json:"trees"`
	Nodes        int      `json:"nodes"`
	MaxDepth     int      `json:"max_depth"`
	Iterations   int      `json:"iterations"`
	Size         int      `json:"size"` // of the file, bytes
	SHA256       string   `json:"sha256"`
}

// inspectLightGBM writes what is known about a model that LightGBM saved.
func inspectLightGBM(path string, data []byte, s cli.Streams) error {
	model, err := leaves.ParseLightGBM(data, gbdt.DefaultLimits())
	if err != nil {
		return fmt.Errorf("model %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	return printFacts(lightFacts{
		Format:       model.Format,
		Engine:       "leaves",
		Objective:    model.Objective,
		Features:     model.NumFeature,
		FeatureNames: append([]string{}, model.FeatureNames...),
		Outputs:      model.Outputs,
		Trees:        model.NumTrees,
		Nodes:        model.NumNodes,
		MaxDepth:     model.MaxDepth,
		Iterations:   model.NumTrees / model.Outputs,
		Size:         len(data),
		SHA256:       hex.EncodeToString(sum[:]),
	}, s)
}
