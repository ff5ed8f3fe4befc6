package engine

import (
	"log/slog"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// A command whose row the scorer has when the work ends gets that row's answer.
func TestAsksAreAnsweredAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	desk := request.NewServer(event.InferenceEngine, dir, time.Now, slog.New(slog.DiscardHandler))
	desk.Take() // makes its folder
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := request.Call{
			Component: event.InferenceEngine, WorkDir: dir, Command: event.CommandExplain, Arguments: event.Explain{Thing: "press-1"}, Timeout: 5 * time.Second,
		}.Do(t.Context())
		done <- result{text, err}
	}()
	a := newAsks()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; a.open == 0; <-tick.C {
		for _, q := range desk.Take() {
			a.add(q, nil, time.Now())
		}
	}
	taken := a.take("press-1")
	go func() { a.answers <- answer{taken[0], "oil_temp", nil} }()
	a.refuse()
	if r := <-done; r.err != nil || r.text != "oil_temp" {
		t.Errorf("%+v", r)
	}
}
