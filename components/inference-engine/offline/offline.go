// Package offline has the inference engine's sub-commands that work on files, without a Greengrass core: score, which
// scores rows of CSV (the workshop's batch transform), and inspect, which says what is in a model file.
package offline

import (
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

const modelUsage = "model `file` of XGBoost in any of its formats, or SageMaker's model.tar.gz"

// readFile reads the file that the flag -model names.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, cli.Usagef("name the model file with -model")
	}
	return gbdt.ReadFile(path)
}
