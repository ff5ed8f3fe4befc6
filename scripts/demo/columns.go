package main

import (
	"fmt"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/gbdt"
)

// checkColumns refuses an input whose columns are not the model's features: its rows would be scored as nonsense.
func checkColumns(input, model string) error {
	table, err := dataset.Open(input)
	if err != nil {
		return fmt.Errorf("open input: %w", err)
	}
	defer func() { _ = table.Close() }()
	return compareColumns(input, table.Columns(), model)
}

// checkSimulated is checkColumns for the simulated machines.
func checkSimulated(model string) error {
	return compareColumns("the simulator", plant.Sensors(), model)
}

func compareColumns(input string, columns []string, model string) error {
	data, err := gbdt.ReadFile(model)
	if err != nil {
		return err
	}
	m, err := gbdt.Parse(data)
	if err != nil {
		return fmt.Errorf("parse model %s: %w", model, err)
	}
	if len(m.FeatureNames) > 0 {
		for i := range max(len(columns), len(m.FeatureNames)) {
			if got, want := at(columns, i), at(m.FeatureNames, i); got != want {
				return fmt.Errorf("the input's columns are not the model's: the first difference is at column %d, where %s has %s and %s has %s",
					i+1, input, got, model, want)
			}
		}
	}
	if len(columns) != m.NumFeature {
		return fmt.Errorf("the input's columns are not the model's: %s has %d, %s has %d", input, len(columns), model, m.NumFeature)
	}
	return nil
}

func at(names []string, i int) string {
	if i >= len(names) {
		return "none"
	}
	return fmt.Sprintf("%q", names[i])
}
