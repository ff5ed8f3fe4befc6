package alarm_test

import (
	"strings"
	"testing"
	"time"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

func at(x float64) *float64 { return &x }

// A limit is passed beyond it, and over at its clear; in between nothing changes.
func TestLimitsJudge(t *testing.T) {
	const is, open, over = "is", "open", "over"
	high := alarm.Limit{Above: at(110), Clear: at(105)}
	low := alarm.Limit{Below: at(0.1), Clear: at(0.3)}
	for _, c := range []struct {
		limit alarm.Limit
		value float32
		want  string
	}{
		{high, 110.01, is}, {high, 110, open}, {high, 105.5, open}, {high, 105, over}, {high, -1, over},
		{low, 0.05, is}, {low, 0.1, open}, {low, 0.2, open}, {low, 0.3, over}, {low, 7, over},
		{alarm.Limit{Above: at(0.1)}, 0.1, over}, {alarm.Limit{Above: at(0.1)}, 0.11, is},
		{alarm.Limit{Below: at(0)}, 0, over}, {alarm.Limit{Below: at(0)}, -1e-30, is}, {alarm.Limit{Above: at(0)}, 1e-30, is},
	} {
		got := over
		switch active, undecided := c.limit.Judge(c.value); {
		case active:
			got = is
		case undecided:
			got = open
		}
		if got != c.want {
			t.Errorf("%v of %v: %s, want %s", c.value, c.limit.Value(), got, c.want)
		}
	}
}

// A wrong limit is refused with the field's name; a fault's name is made of any sensor's.
func TestWrongLimitsAreNamed(t *testing.T) {
	good := alarm.Limit{Sensor: "oil_temp", Above: at(110)}
	with := func(change func(*alarm.Limit)) []alarm.Limit {
		l := good
		change(&l)
		return []alarm.Limit{l}
	}
	behind := func(change func(*alarm.Limit)) []alarm.Limit { return append([]alarm.Limit{good}, with(change)...) }
	for want, limits := range map[string][]alarm.Limit{
		"limits: has 51, at most 50":           make([]alarm.Limit, 51),
		"limits[0].sensor: ":                   with(func(l *alarm.Limit) { l.Sensor = "" }),
		"limits[0].above: is missing":          with(func(l *alarm.Limit) { l.Above = nil }),
		"limits[0].above: is set, and":         with(func(l *alarm.Limit) { l.Below = at(1) }),
		"limits[0].above: 1e+39 ":              with(func(l *alarm.Limit) { l.Above = at(1e39) }),
		"limits[0].clear: -1e+39 ":             with(func(l *alarm.Limit) { l.Clear = at(-1e39) }),
		"limits[0].clear: 111 is higher":       with(func(l *alarm.Limit) { l.Clear = at(111) }),
		"limits[0].clear: 1 is lower":          with(func(l *alarm.Limit) { l.Above, l.Below, l.Clear = nil, at(2), at(1) }),
		"limits[0].for: ":                      with(func(l *alarm.Limit) { l.For = -time.Second }),
		"limits[0].priority: ":                 with(func(l *alarm.Limit) { l.Priority = "urgent" }),
		"limits[0].thing: ":                    with(func(l *alarm.Limit) { l.Thing = strings.Repeat("*", 129) }),
		"limits[0].fault: name":                with(func(l *alarm.Limit) { l.Fault = "oil temp" }),
		"limits[0].fault: fault has":           with(func(l *alarm.Limit) { l.Fault = strings.Repeat("f", 65) }),
		"limits[0].fault: silence is that of":  with(func(l *alarm.Limit) { l.Fault = "silence" }),
		"limits[1].fault: limit-oil_temp is ":  behind(func(l *alarm.Limit) { l.Above, l.Below = nil, at(1) }),
		"limits[1].fault: limit-oil_temp is t": behind(func(l *alarm.Limit) { l.Line = "line-1" }),
		"limits[1].fault: the-other":           append(with(func(l *alarm.Limit) { l.Fault = "the-other" }), alarm.Limit{Sensor: "b", Above: at(1), Fault: "the-other"}),
	} {
		if err := alarm.ValidateLimits(limits, event.FaultSilence); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	fine := []alarm.Limit{
		{Sensor: "oil_temp", Above: at(120), Line: "line-1"}, good, {Sensor: "oil_temp", Above: at(150), Fault: "oil-fire", Priority: "high"},
		{Sensor: "Öl °C " + strings.Repeat("x", 50), Below: at(1), Clear: at(1)},
	}
	if err := alarm.ValidateLimits(fine); err != nil {
		t.Error(err)
	}
	if f := fine[3].FaultName(); !strings.HasPrefix(string(f), "limit--l--C-xx") || event.CheckName(string(f)) != nil || len(f) > 64 {
		t.Errorf("%q", f)
	}
}
