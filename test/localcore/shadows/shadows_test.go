package shadows

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// Updates one after another, and the state that results.
func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		name    string
		updates []string // of the member "state"
		state   string
	}{
		{"objects are merged", []string{`{"desired":{"a":{"b":1,"c":2}}}`, `{"desired":{"a":{"c":3,"d":4.50}}}`},
			`{"desired":{"a":{"b":1,"c":3,"d":4.50}},"delta":{"a":{"b":1,"c":3,"d":4.50}}}`},
		{"null removes a member", []string{`{"reported":{"a":1,"b":{"c":2,"d":3}}}`, `{"reported":{"a":null,"b":{"c":null},"x":null}}`},
			`{"reported":{"b":{"d":3}}}`},
		{"null in a new document is nothing", []string{`{"reported":{"a":null,"b":{"c":null},"d":1}}`},
			`{"reported":{"d":1}}`},
		{"an empty object removes a member, too", []string{`{"reported":{"a":{"b":1},"c":1}}`, `{"reported":{"a":{}}}`},
			`{"reported":{"c":1}}`},
		{"lists are replaced", []string{`{"desired":{"a":[1,2,3]}}`, `{"desired":{"a":[4]}}`},
			`{"desired":{"a":[4]},"delta":{"a":[4]}}`},
		{"a value becomes an object and back", []string{`{"reported":{"a":1,"b":{"c":1}}}`, `{"reported":{"a":{"timestamp":1},"b":2}}`},
			`{"reported":{"a":{"timestamp":1},"b":2}}`},
		{"a null section is removed", []string{`{"desired":{"a":1},"reported":{"a":1}}`, `{"desired":null}`},
			`{"reported":{"a":1}}`},
		{"a null state removes everything", []string{`{"desired":{"a":1},"reported":{"a":1}}`, `null`},
			`{}`},
		{"an empty state changes nothing", []string{`{"reported":{"a":1}}`, `{}`},
			`{"reported":{"a":1}}`},
		{"a section without members is none", []string{`{"reported":{"a":1}}`, `{"reported":{"a":null}}`},
			`{}`},
		{"the delta is what reported lacks", []string{`{"desired":{"a":1,"b":{"c":1,"d":2},"e":[1],"f":"x","g":2},"reported":{"a":1.0,"b":{"c":1,"d":3},"e":[1],"g":{"h":1},"only":1}}`},
			`{"desired":{"a":1,"b":{"c":1,"d":2},"e":[1],"f":"x","g":2},"reported":{"a":1.0,"b":{"c":1,"d":3},"e":[1],"g":{"h":1},"only":1},"delta":{"b":{"d":2},"f":"x","g":2}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d document
			for i, state := range c.updates {
				u, refusal := decodeUpdate([]byte(`{"state":` + state + `}`))
				if refusal != nil || u.check(d) != nil {
					t.Fatalf("update %d: %+v", i, refusal)
				}
				d = d.updated(u.state)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(encode(d.state()), &got), json.Unmarshal([]byte(c.state), &want)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}
