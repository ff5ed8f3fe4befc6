package alarm_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// decodeConfig gives configuration its types as a component does.
func decodeConfig(raw map[string]any) (alarm.Config, error) {
	config := alarm.Default()
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: &config, TagName: "json", WeaklyTypedInput: true, ZeroFields: true, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.TextUnmarshallerHookFunc(), mapstructure.StringToTimeDurationHookFunc()),
	})
	if err != nil {
		return config, err
	}
	if err := decoder.Decode(raw); err != nil {
		return config, err
	}
	return config, config.Validate()
}

// Each field that is wrong is named.
func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "",
		`{"timeZone":"Europe/Berlin","rules":[{"line":"line-*","thing":"pump-?","fault":"machine-fault","priority":"high","votes":3,"window":5,
			"onDelay":"10s","offDelay":"5s","reAlarm":"1h","cooldown":"2m","latched":true,"autoAcknowledge":false,"tell":["cloud","voice"],
			"mute":[{"days":["sat","Sun"],"from":"00:00","to":"24:00"}],"group":"line","escalate":["5m","15m"],
			"text":{"en":"{fault} on {place}: {detail}","de":"{fault} an {thing}, {line}, {priority} seit {since}"}}]}`: "",
		`{"timeZone":"Mars/Base"}`: "timeZone: ",
		`{"timeZone":""}`:          "timeZone: ",
		`{"timeZone":"Europe` + strings.Repeat("/.", 40) + `/Berlin"}`: "timeZone: ",
		`{"timeZone":"Local"}`:                                                          "timeZone: ",
		`{"timeZone":"../../etc/passwd"}`:                                               "timeZone: ",
		`{"maxTimeShelved":"30s"}`:                                                      "maxTimeShelved: ",
		`{"maxPerLine":0}`:                                                              "maxPerLine: ",
		`{"maxPerSite":1001}`:                                                           "maxPerSite: ",
		`{"maxAlarms":1}`:                                                               "maxAlarms: ",
		`{"rules":[{},{},{},{"onDelay":"-1s"}]}`:                                        "rules[3].onDelay: ",
		`{"rules":[{"offDelay":"9000h"}]}`:                                              "rules[0].offDelay: ",
		`{"rules":[{"cooldown":"-1s"}]}`:                                                "rules[0].cooldown: ",
		`{"rules":[{"reAlarm":"1s"}]}`:                                                  "rules[0].reAlarm: ",
		`{"rules":[{"priority":"urgent"}]}`:                                             "rules[0].priority: ",
		`{"rules":[{"votes":3,"window":2}]}`:                                            "rules[0].votes: ",
		`{"rules":[{"votes":3}]}`:                                                       "rules[0].votes: ",
		`{"rules":[{"votes":1}]}`:                                                       "rules[0].window: ",
		`{"rules":[{"window":3}]}`:                                                      "rules[0].votes: ",
		`{"rules":[{"votes":1,"window":65}]}`:                                           "rules[0].window: ",
		`{"rules":[{"tell":["pager"]}]}`:                                                "rules[0].tell[0]: ",
		`{"rules":[{"tell":["cloud","none"]}]}`:                                         "rules[0].tell[1]: ",
		`{"rules":[{"tell":[]}]}`:                                                       "rules[0].tell: ",
		`{"rules":[{"group":"plant"}]}`:                                                 "rules[0].group: ",
		`{"rules":[{"escalate":["5m","5m"]}]}`:                                          "rules[0].escalate[1]: ",
		`{"rules":[{"escalate":["1m","2m","3m"]}]}`:                                     "rules[0].escalate: ",
		`{"rules":[{"escalate":["0s"]}]}`:                                               "rules[0].escalate[0]: ",
		`{"rules":[{"mute":[{"from":"22","to":"6"}]}]}`:                                 "rules[0].mute[0].from: ",
		`{"rules":[{"mute":[{"from":"24:00","to":"06:00"}]}]}`:                          "rules[0].mute[0].from: ",
		`{"rules":[{"mute":[{"from":"22:00","to":"25:00"}]}]}`:                          "rules[0].mute[0].to: ",
		`{"rules":[{"mute":[{"from":"22:00","to":"22:00"}]}]}`:                          "rules[0].mute[0].to: ",
		`{"rules":[{"mute":[{"days":["monday"],"from":"22:00","to":"06:00"}]}]}`:        "rules[0].mute[0].days[0]: ",
		`{"rules":[{"text":{"en":"{machine} is hot"}}]}`:                                "rules[0].text.en: ",
		`{"rules":[{"text":{"en":"{thing is hot"}}]}`:                                   "rules[0].text.en: ",
		`{"rules":[{"text":{"en":""}}]}`:                                                "rules[0].text.en: ",
		`{"rules":[{"text":{"x":"hot"}}]}`:                                              "rules[0].text.x: ",
		`{"rules":[{"thing":"` + strings.Repeat("x", 129) + `"}]}`:                      "rules[0].thing: ",
		`{"inhibit":[{"source":"","faults":["a"]}]}`:                                    "inhibit[0].source: ",
		`{"inhibit":[{"source":"a","faults":[]}]}`:                                      "inhibit[0].faults: ",
		`{"inhibit":[{"source":"a","faults":["b","*"]}]}`:                               "inhibit[0].faults[1]: ",
		`{"inhibit":[{"source":"a","faults":["b"],"same":"core"}]}`:                     "inhibit[0].same: ",
		`{"inhibit":[{"source":"a","faults":["b"],"hold":"25h"}]}`:                      "inhibit[0].hold: ",
		`{"inhibit":[{"source":"a","faults":["a"]}]}`:                                   "inhibit[0].faults[0]: a would inhibit itself",
		`{"inhibit":[{"source":"a","faults":["b"]},{"source":"b","faults":["x","a"]}]}`: "would inhibit itself",
		`{"inhibit":[{"source":"a","faults":["b"]},{"source":"b","faults":["c"]}]}`:     "",
		`{"rules":[{"offDelay":"1 hour"}]}`:                                             "offDelay",
		`{"rules":[{"onDelays":"1h"}]}`:                                                 "onDelays",
	} {
		var raw map[string]any
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			t.Fatal(err)
		}
		_, err := decodeConfig(raw)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Of the rules that match, the first one that sets a property decides it.
func TestRulesAreJoined(t *testing.T) {
	p := newSite(t,
		alarm.Rule{Line: "a", Priority: event.SeverityHigh},
		alarm.Rule{Thing: "*-1", Priority: event.SeverityLow, OnDelay: 10 * second},
		alarm.Rule{Fault: "f", OnDelay: 20 * second, Tell: []string{"sns"}},
		alarm.Rule{Thing: "c?1"},
	)
	for thing, want := range map[string]struct {
		priority event.Severity
		after    time.Duration
		fault    event.Fault
		to       alarm.Audience
	}{
		"a-1": {event.SeverityHigh, 10 * second, "f", alarm.Audience{SNS: true}},
		"a-2": {event.SeverityHigh, 20 * second, "f", alarm.Audience{SNS: true}},
		"b-1": {event.SeverityLow, 10 * second, "g", alarm.Audience{Cloud: true, SNS: true, Voice: true}},
		"b-2": {event.SeverityMedium, 0, "g", alarm.Audience{Cloud: true, SNS: true, Voice: true}},
	} {
		got := p.observe(thing, want.fault, true)
		if want.after > 0 {
			p.wait(want.after - second)
			got = p.wait(second)
		}
		if len(got) != 1 || got[0].To != want.to || got[0].Alarm.Priority != want.priority {
			t.Errorf("%s: %+v", thing, got)
		}
	}
	if unused := p.s.Unused(); !reflect.DeepEqual(unused, []int{3}) {
		t.Errorf("unused rules %v", unused)
	}
}

func TestBand(t *testing.T) {
	high, low := alarm.Band{Raise: 110, Clear: 100}, alarm.Band{Raise: 5, Clear: 8}
	for _, c := range []struct {
		band              alarm.Band
		value             float64
		active, undecided bool
	}{
		{high, 110, true, false}, {high, 109.9, false, true}, {high, 100.1, false, true}, {high, 100, false, false},
		{low, 5, true, false}, {low, 5.1, false, true}, {low, 7.9, false, true}, {low, 8, false, false},
	} {
		if active, undecided := c.band.Judge(c.value); active != c.active || undecided != c.undecided {
			t.Errorf("%+v at %v: %v, %v", c.band, c.value, active, undecided)
		}
	}
}

// A value within the dead band changes nothing, and delays go on ("oil_temp > 110 for 10 s").
func TestLimitWithDeadBand(t *testing.T) {
	band := alarm.Band{Raise: 110, Clear: 100}
	p := newSite(t, alarm.Rule{Fault: "oil-temp-high", OnDelay: 10 * second})
	feed := func(value float64) []alarm.Change {
		active, undecided := band.Judge(value)
		changes := p.take(alarm.Observation{Thing: "a-1", Fault: "oil-temp-high", Active: active, Undecided: undecided})
		return append(changes, p.wait(5*second)...)
	}
	for i, step := range []struct {
		value float64
		want  string
	}{{105, ""}, {111, ""}, {99, ""}, {111, ""}, {105, "raised!"}, {101, ""}, {100, "returned!"}, {109, ""}} {
		if got := kinds(feed(step.value)); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

// What an observation may not be, and what is full, changes nothing.
func TestRefusedObservations(t *testing.T) {
	c := alarm.Default()
	c.MaxAlarms = 10
	p := newSiteOf(t, c)
	good := alarm.Observation{Thing: "a-1", Line: "a", Fault: "f", Active: true}
	for want, spoil := range map[string]func(*alarm.Observation){
		"thing":    func(o *alarm.Observation) { o.Thing = "a b" },
		"fault":    func(o *alarm.Observation) { o.Fault = "" },
		"line":     func(o *alarm.Observation) { o.Line = strings.Repeat("x", 600) },
		"text":     func(o *alarm.Observation) { o.Text = strings.Repeat("x", 1001) },
		"detail":   func(o *alarm.Observation) { o.Detail = strings.Repeat("x", 501) },
		"severity": func(o *alarm.Observation) { o.Severity = "urgent" },
		"data":     func(o *alarm.Observation) { o.Data = []byte("{") },
	} {
		o := good
		spoil(&o)
		if changes, err := p.s.Observe(o, p.now); err == nil || !strings.Contains(err.Error(), want+": ") || len(changes) > 0 {
			t.Errorf("%s: %v, %v", want, err, changes)
		}
	}
	for i := range 10 {
		p.observe("a-"+string(rune('a'+i)), "f", true)
	}
	if _, err := p.s.Observe(good, p.now); !errors.Is(err, alarm.ErrFull) || len(p.s.List()) != 10 {
		t.Errorf("%v, %d alarms", err, len(p.s.List()))
	}
	p.observe("a-c", "f", false) // it waits for its acknowledgement: it makes room, and that is said
	p.expect(p.take(good), "forgotten raised")
	p.wait(minute)
	p.observe("a-d", "f", false)
	p.order(alarm.Command{Do: alarm.Acknowledge, Alarms: key("a-d")})
	p.wait(minute)
	p.expect(p.observe("a-z", "f", true), "raised")
	if _, known := p.s.Find(key("a-d")[0]); known {
		t.Error("an alarm of the past is kept although another one needs its room")
	}
}
