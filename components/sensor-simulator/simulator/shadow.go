package simulator

import (
	"context"
	"errors"

	"edgepdm/shared/event"
	"edgepdm/shared/shadow"
)

// counterRowRefused counts rows that are too large for a shadow.
const counterRowRefused = "shadow.oversized"

// startShadows begins to write rows to the machines' shadows, until the function that it returns is called.
func (s *simulator) startShadows(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.shadows = shadow.NewWriter(s.rt, "", func(problem string) {
		var err error
		if problem != "" {
			err = errors.New(problem)
		}
		s.rt.Conditions().Set(event.CodeShadow, "rows", err)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.shadows.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// putShadow hands a row to the machine's shadow. It reports false where the nucleus has no shadows.
func (s *simulator) putShadow(thing string, values []float32) bool {
	document, err := event.SimulatedUpdate(s.source.columns(), values)
	if err == nil {
		err = event.Shadow.Check(document)
	}
	if err != nil {
		if s.rt.Counter(counterRowRefused).Add(1) == 1 {
			s.rt.Log.Error("a row does not go to its shadow", "thing", thing, "error", err)
		}
		return true
	}
	return s.shadows.Put(thing, document)
}
