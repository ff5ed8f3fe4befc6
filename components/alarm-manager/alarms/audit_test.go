package alarms

import (
	"testing"

	"edgepdm/shared/alarm"
)

// The end of a short alarm that is told later is one end in the history, with who was told.
func TestAnEndToldLaterIsOneEnd(t *testing.T) {
	dir := t.TempDir()
	told := func(thing string, kind alarm.Kind, again bool) Told {
		c := alarm.Change{Kind: kind, Again: again, To: alarm.Audience{Voice: again}}
		c.Alarm.Thing, c.Alarm.Fault = thing, "f"
		return newTold(c)
	}
	if err := appendAudit(dir, []Told{
		told("p", alarm.Raised, false), told("p", alarm.Returned, false), told("q", alarm.Raised, false),
		told("p", alarm.Returned, true), told("q", alarm.Returned, true),
	}); err != nil {
		t.Fatal(err)
	}
	changes, damaged, err := History(dir, "", 10)
	if err != nil || damaged > 0 || len(changes) != 4 || !changes[1].To.Voice || changes[3].Thing != "q" {
		t.Errorf("%+v, %d damaged, %v", changes, damaged, err)
	}
}
