package engine

import (
	"fmt"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// An event of drift goes every way to the cloud, whatever the manifest calls its sensors.
func TestDriftFits(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 128), strings.Repeat("<", 128)} {
		e := event.Drift{V: 1, ID: "drift-1", Line: text, State: event.DriftFound, Unknown: []string{text}}
		for range event.MaxDrift {
			f := event.DriftFigure{Kind: event.DriftSensor, Sensor: text, Name: text, Names: make(map[string]string)}
			for i := range 20 {
				f.Names[fmt.Sprint("l", i)] = text
			}
			e.Found = append(e.Found, f)
		}
		e = fitDrift(e)
		payload, err := event.Encode(e)
		must.OK(t, err)
		if len(payload) > 4500 || len(e.Found) == 0 || len(e.Found)+e.More != event.MaxDrift {
			t.Errorf("%d bytes, %d figures and %d more", len(payload), len(e.Found), e.More)
		}
	}
}
