// Package offline has the inference engine's sub-commands that work on files, without a Greengrass core: score, which
// scores rows of CSV (the workshop's batch transform), and inspect, which says what is in a model file.
package offline

import (
	"fmt"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

// load reads the model that the flag -model names. It returns the file's content too.
func load(path string) (*gbdt.Model, []byte, error) {
	if path == "" {
		return nil, nil, cli.Usagef("name the model file with -model")
	}
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("model %s: %w", path, err)
	}
	return model, data, nil
}
