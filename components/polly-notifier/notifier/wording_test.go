package notifier_test

import (
	"strings"
	"testing"

	"edgepdm/components/polly-notifier/notifier"
)

// What comes late says how old it is, and what is over is not said as new.
func TestSpokenCourse(t *testing.T) {
	const text = "Fault found on line 7, press 1. Immediate attention required."
	with := func(members string) string { return `{` + members + `,` + alertJSON("a", "press-1", text)[1:] }
	end := func(text string) string {
		return strings.Replace(alertJSON("a", "press-1", text), `"state":"UNACKNOWLEDGED"`, `"state":"NORMAL"`, 1)
	}
	long := strings.Repeat("x", 4000)
	for _, c := range []struct{ name, body, want string }{
		{"late", with(`"late_s":10800`), "Alert! Raised 3 hours ago. " + text},
		{"a call sign of its own", `{"late_s":600,"v":1,"text":"ALERT ! Stop."}`, "Alert! Raised 10 minutes ago. Stop."},
		{"days", with(`"late_s":260000`), "Alert! Raised 3 days ago. " + text},
		{"over", with(`"over":true,"over_since":"2026-11-23T10:05:00Z"`), "All clear. The alarm machine fault of line 7, press 1 is over."},
		{"late and over", with(`"replayed":true,"late_s":10800,"over":true`), "All clear. The alarm machine fault of line 7, press 1 is over. It was raised 3 hours ago."},
		{"simulated and over", with(`"simulated":true,"over":true`), "All clear. Simulation: The alarm machine fault of line 7, press 1 is over."},
		{"over, of nothing", `{"v":1,"over":true,"text":"x"}`, "All clear. An alarm is over."},
		{"the end", end("line 7, press 1 is back to normal."), "All clear. line 7, press 1 is back to normal."},
		{"the end of one of two", strings.Replace(end("The alarm f on press 1 is over. Another one stands."), "{", `{"stands":true,`, 1), "Notice. The alarm f on press 1 is over. Another one stands."},
		{"the end, late", strings.Replace(end("line 7, press 1 is back to normal."), "{", `{"late_s":7200,`, 1), "All clear. line 7, press 1 is back to normal. That was 2 hours ago."},
		{"the end, too long", end(long), "All clear. " + long[:2989]},
		{"reconnected", with(`"late_s":600,"reconnected":true`), "Notice. Raised 10 minutes ago. " + text + " There is a connection again."},
		{"strange members", `{"v":1,"text":"Stop.","late_s":"x","over":7,"state":[]}`, "Alert! Stop."},
		{"reasons", with(`"reasons":["oil temperature rises","vibration.","noise","dust"]`), "Alert! " + text + " Points to it: oil temperature rises; vibration; noise."},
		{"reasons that the text has said", with(`"reasons":["oil 96 °C"],"contributors":[{"sensor":"oil","share":1}]`), "Alert! " + text},
		{"reasons of contributors that are none", with(`"reasons":["oil"],"contributors":[]`), "Alert! " + text + " Points to it: oil."},
		{"reasons of what is over", with(`"over":true,"reasons":["x"]`), "All clear. The alarm machine fault of line 7, press 1 is over."},
		{"strange reasons", with(`"reasons":"x"`), "Alert! " + text},
		{"a strange age", with(`"late_s":-1e300`), "Alert! " + text},
		{"another strange age", with(`"late_s":1e300`), "Alert! " + text},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := spoken(t, c.body); got != c.want {
				t.Errorf("%.200q, want %.200q", got, c.want)
			}
		})
	}
}

// What is marked as a repeat is not spoken twice; another execution environment announces it with the mark.
func TestMarkedRepeatIsDropped(t *testing.T) {
	marked := `{"replayed":true,` + alertJSON("a", "press-1", "Stop.")[1:]
	cloud := newCloud()
	n, _ := newNotifier(t, cloud)
	got, err := n.Handle(t.Context(), snsEvent(t, alertJSON("a", "press-1", "Stop."), marked, marked))
	if want := (notifier.Result{Records: 3, Spoken: 1, Announced: 1, Repeated: 2}); err != nil || got != want {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
	n, _ = newNotifier(t, cloud)
	got, err = n.Handle(t.Context(), snsEvent(t, marked))
	if want := (notifier.Result{Records: 1, Reused: 1, Announced: 1}); err != nil || got != want {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
	if len(cloud.announced) != 2 || cloud.announced[0].Replayed || !cloud.announced[1].Replayed {
		t.Errorf("announced %+v", cloud.announced)
	}
}

// What failed is said when it comes again, with the mark.
func TestMarkedRepeatOfAFailureIsSaid(t *testing.T) {
	cloud := newCloud()
	cloud.errs["publish"] = []error{unavailable}
	n, _ := newNotifier(t, cloud)
	if _, err := n.Handle(t.Context(), snsEvent(t, alertJSON("a", "press-1", "Stop."))); err == nil {
		t.Fatal("no error")
	}
	got, err := n.Handle(t.Context(), snsEvent(t, `{"replayed":true,`+alertJSON("a", "press-1", "Stop.")[1:]))
	if want := (notifier.Result{Records: 1, Reused: 1, Announced: 1}); err != nil || got != want {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
}
