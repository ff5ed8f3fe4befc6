package alarmcli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/alarm"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
)

// The list has what the alarm is about, such as the value that is above a limit, and what is special about it.
func TestListHasDetail(t *testing.T) {
	a := alarm.Alarm{Key: alarm.Key{Thing: "press-1", Fault: "limit-oil_temp"}, Detail: "oil_temp = 112 (110)", Chattering: true}
	var out bytes.Buffer
	if err := printList(&out, alarms.Listing{Alarms: []alarms.Listed{{Alarm: a}}}); err != nil {
		t.Fatal(err)
	}
	if want := "limit-oil_temp  oil_temp = 112 (110); comes and goes\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s, want %s", out.String(), want)
	}
}

// The list says who did something about an alarm or a machine, and why.
func TestListSaysWhoAndWhy(t *testing.T) {
	at := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	a := alarms.Listed{Alarm: alarm.Alarm{
		Shelved:      &alarm.Shelving{Until: at, By: "Olga", Comment: "noise"},
		Acknowledged: &alarm.Acknowledgement{By: "Ann", Outcome: alarm.Planned, Comment: "bearing ordered"},
	}}
	local := at.Local().Format(time.DateTime)
	if got, want := note(a), "shelved until "+local+" by Olga (noise); seen by Ann, planned (bearing ordered)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	a.Shelved, a.Acknowledged = &alarm.Shelving{Until: at}, &alarm.Acknowledgement{By: "Ann"}
	if got, want := note(a), "shelved until "+local+"; seen by Ann"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var out bytes.Buffer
	if err := printList(&out, alarms.Listing{Places: []alarm.Place{{Line: "line-2", Since: at, By: "Ivan", Comment: "belt change"}}}); err != nil {
		t.Fatal(err)
	}
	if want := "no alarm\nline line-2 is out of service since " + local + " by Ivan (belt change)\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// The list and the history say what points to an alarm, when maintenance is likely, and until when it is shelved.
func TestListSaysWhyAndWhen(t *testing.T) {
	a := alarms.Listed{Alarm: alarm.Alarm{Key: alarm.Key{Thing: "press-1", Fault: "machine-fault"}}, Reasons: []string{"oil 96 °C, usually 60 to 82", "p, no value"}}
	a.Life = &event.Life{Low: 12, Median: 20, High: 31, Coverage: 0.9, Unit: "hours"}
	const want = "points to it: oil 96 °C, usually 60 to 82; p, no value; likely to need maintenance in 12 to 31 hours"
	if got := note(a); got != want {
		t.Errorf("%q", got)
	}
	long := a
	long.Reasons = append(long.Reasons[:2:2], "q, no value", "r, no value")
	if got := note(long); got != strings.Replace(want, "p, no value", "p, no value; 2 more", 1) {
		t.Errorf("%q", got)
	}
	until := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	told := alarms.Told{Why: "we know", Outcome: alarm.Planned, Until: until, Reasons: a.Reasons, Life: a.Life}
	if got := strings.Join(whys(told), "; "); got != "planned we know; until "+until.Local().Format(time.DateTime)+"; "+want {
		t.Errorf("%q", got)
	}
}

// A history of nothing says so.
func TestHistoryOfNothing(t *testing.T) {
	for thing, want := range map[string]string{"": "no change of an alarm is known\n", "press-9": "no change of an alarm of press-9 is known\n"} {
		var out bytes.Buffer
		if err := history(t.Context(), []string{"-dir", t.TempDir(), "-thing", thing}, cli.Streams{Out: &out, Err: &out}); err != nil || out.String() != want {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
