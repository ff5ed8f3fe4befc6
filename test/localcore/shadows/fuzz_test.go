package shadows

import (
	"encoding/json"
	"testing"
)

// FuzzUpdates applies two updates to an empty document. Whatever they are: nothing panics, a document that is reported as desired has no delta, and what was put in force fits JSON again.
func FuzzUpdates(f *testing.F) {
	f.Add(`{"state":{"desired":{"a":1,"b":{"c":[1,{"d":null}]}}},"version":1}`, `{"state":{"desired":{"a":null,"b":{"c":2}},"reported":{"a":1.0}},"version":1}`)
	f.Add(`{"state":{"reported":{"timestamp":1,"a":{"timestamp":2}}}}`, `{"state":{"reported":{"a":{"timestamp":{"x":1}}}}}`)
	f.Add(`{"state":{"desired":{"a":{}}},"clientToken":"t"}`, `{"state":null}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		var d document
		for _, payload := range []string{first, second} {
			u, refusal := decodeUpdate([]byte(payload))
			if refusal != nil || u.check(d) != nil {
				continue
			}
			before := d.version
			d = d.updated(u.state)
			if d.version != before+1 {
				t.Fatalf("version %d after %d", d.version, before)
			}
			d.delta()
			if delta := difference(d.desired, d.desired); delta != nil {
				t.Fatalf("delta %v of a document to itself", delta)
			}
			if text := encode(map[string]any{"state": d.state(), "sent": u.sent}); !json.Valid(text) {
				t.Fatal(string(text))
			}
		}
	})
}
