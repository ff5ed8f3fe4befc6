package component

import (
	"log/slog"
	"testing"
	"time"

	"edgepdm/shared/ipc"
)

// The answer to a message of the work before comes after the new work has begun. The next message that is taken clears it.
func TestLateRefusalIsCleared(t *testing.T) {
	for _, late := range []error{&ipc.UnauthorizedError{}, &ipc.OperationError{Code: "ServiceError"}, ipc.ErrTimeout} {
		rt := newRuntime("c", "1.0.0", Environment{Log: slog.New(slog.DiscardHandler), Now: time.Now})
		before := rt.Publication("edgepdm/a")
		rt.beginWork()
		after := rt.Publication("edgepdm/a")
		after.Answered(nil)
		before.Answered(late)
		if list, _ := rt.conditions.report(); len(list) != 1 {
			t.Errorf("%v: %+v", late, list)
		}
		after.Answered(nil)
		if list, _ := rt.conditions.report(); len(list) != 0 {
			t.Errorf("%v stays: %+v", late, list)
		}
	}
}
