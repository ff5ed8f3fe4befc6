package localcore

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
)

// What members makes of an object is what encoding/json makes of it.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a" : -1.5e3 , "b":[1,{"c":"}"}],"d":"\\\"{", "e":true,"f":null }`, `{"\u0061":{"x":[[]]},"a":2}`,
		`{"ü":"ß","a":"b"}`, `null`, `[1]`, `"a"`, `7`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got members
		var want map[string]json.RawMessage
		err, wantErr := json.Unmarshal(text, &got), json.Unmarshal(text, &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, of encoding/json %v", err, wantErr)
		}
		same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
		if err == nil && !maps.EqualFunc(got, want, same) {
			t.Errorf("%s, of encoding/json %s", got, want)
		}
		for name, raw := range want {
			var d decoder
			text, ok := get[string](&d, got, name)
			var wantText *string
			isText := json.Unmarshal(raw, &wantText) == nil && wantText != nil
			if ok != isText || ok && text != *wantText {
				t.Errorf("%s: %q, %v", raw, text, ok)
			}
		}
	})
}
