package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]string{
		`{"v":1.0,"seq":2e0,"a":"1.0 \" 2.0","b":[-3.0,1.50e1,-0.0]}`:   `{"v":1,"seq":2,"a":"1.0 \" 2.0","b":[-3,15,0]}`,
		`[1.5,1e-1,0.25,9007199254740993.0,18446744073709551615,1e300]`: `[1.5,1e-1,0.25,9007199254740993,18446744073709551615,1e300]`,
		`"\\`: `"\\`,
		`"`:   `"`,
		`-`:   `-`,
		`1.`:  `1`,
	} {
		if got := string(wholeNumbers([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// 1.0 is 1, in every message; 1.5, true and "1" are not.
func TestDoublesAreIntegers(t *testing.T) {
	const ts = `"ts":"2026-11-28T10:00:00Z"`
	messages := map[string]struct {
		text   string
		decode func([]byte) error
	}{
		"telemetry": {`{"v":N,"thing":"a","epoch":"e","seq":N,` + ts + `,"readings":{"x":1.0}}`, func(b []byte) error { _, err := DecodeTelemetry(b); return err }},
		"batch": {`{"v":N,"rows":[{"v":N,"thing":"a","epoch":"e","seq":N,` + ts + `,"values":[1.0]}]}`, func(b []byte) error {
			rows, err := DecodeTelemetryBatch(b)
			if err == nil {
				err = rows[0].Err
			}
			return err
		}},
		"shadow":        {`{"state":{"reported":{"x":1.0}},"version":N,"timestamp":1795860000.0}`, func(b []byte) error { _, err := DecodeShadow("a", b, time.Now()); return err }},
		"prediction":    {`{"v":N,"id":"i","thing":"a","epoch":"e","seq":N,` + ts + `,"latency_us":N}`, func(b []byte) error { _, err := DecodePrediction(b); return err }},
		"health":        {`{"v":N,"component":"c",` + ts + `,"counters":{"n":N}}`, func(b []byte) error { _, err := DecodeHealth(b); return err }},
		"model fetch":   {`{"v":N,"again":true}`, func(b []byte) error { _, err := DecodeModelFetch(b); return err }},
		"test alarm":    {`{"v":N,"thing":"a"}`, func(b []byte) error { _, err := DecodeTestAlarm(b); return err }},
		"ack":           {`{"v":N,"ids":["a"]}`, func(b []byte) error { _, err := DecodeAck(b); return err }},
		"alert":         {`{"v":N,"id":"i","thing":"a","fault":"f","state":"NORMAL",` + ts + `}`, func(b []byte) error { _, err := DecodeAlert(b); return err }},
		"model's event": {`{"v":N,"event":"activated",` + ts + `}`, func(b []byte) error { _, err := DecodeModelEvent(b); return err }},
	}
	for name, m := range messages {
		for _, n := range []string{"1", "1.0", "1e0", "10E-1"} {
			if err := m.decode([]byte(strings.ReplaceAll(m.text, "N", n))); err != nil {
				t.Errorf("%s of %s: %v", name, n, err)
			}
		}
		for _, n := range []string{"1.5", "true", `"1"`} {
			if m.decode([]byte(strings.ReplaceAll(m.text, "N", n))) == nil {
				t.Errorf("%s of %s is taken", name, n)
			}
		}
	}
}

func FuzzWholeNumbers(f *testing.F) {
	f.Add([]byte(`{"v":1.0,"s":"\"1.0","n":[1e3,-0.5]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := wholeNumbers(data)
		if json.Valid(data) != json.Valid(got) && json.Valid(data) {
			t.Errorf("%q became %q", data, got)
		}
	})
}
