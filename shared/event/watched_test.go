package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Watched values are numbers by name, bounded; a missing one is absent. What is wrong makes the prediction invalid, with the reason.
func TestWatchedValues(t *testing.T) {
	decode := func(watched string) (event.Watched, error) {
		p, err := event.DecodePrediction([]byte(`{"v":1,"id":"p-e-1","thing":"p","epoch":"e","seq":1,"ts":"2026-11-23T10:00:00Z","watched":` + watched + `}`))
		return p.Watched, err
	}
	var full, many []string
	for i := range event.MaxWatched + 1 {
		many = append(many, fmt.Sprintf(`"s%d":1`, i))
	}
	full = many[:event.MaxWatched]
	for text, want := range map[string]event.Watched{
		`{"oil_temp":96.2,"öl":-1e3,"gone":null}`: {"oil_temp": 96.2, "öl": -1000},
		`{}`: nil, `null`: nil, `{"gone":null}`: nil,
	} {
		if got, err := decode(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := decode("{" + strings.Join(full, ",") + "}"); err != nil || len(got) != event.MaxWatched {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]event.Reason{
		"{" + strings.Join(many, ",") + "}": event.ReasonOversized, `{"a":"1"}`: event.ReasonMalformed, `[1]`: event.ReasonMalformed,
		`{"a":1e39}`: event.ReasonInfinity, `{"a":true}`: event.ReasonMalformed, `{"":1}`: event.ReasonName,
		`{"` + strings.Repeat("n", 65) + `":1}`: event.ReasonName, `{"a\u001b":1}`: event.ReasonName,
	} {
		_, err := decode(text)
		if invalid, ok := errors.AsType[*event.InvalidError](err); !ok || invalid.Reason != want {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	p := event.Prediction{V: 1, ID: "p-e-1", Thing: "p", TS: time.Now().UTC(), Watched: event.Watched{"oil_temp": 96.2}}
	payload, err := event.Encode(p)
	if err != nil || !strings.Contains(string(payload), `"watched":{"oil_temp":96.2}`) {
		t.Errorf("%s, %v", payload, err)
	}
	var again event.Prediction
	if err := json.Unmarshal(payload, &again); err != nil || again.Watched["oil_temp"] != 96.2 {
		t.Errorf("%+v, %v", again, err)
	}
}
