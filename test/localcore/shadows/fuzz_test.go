package shadows

import (
	"encoding/json"
	"testing"
)

// FuzzUpdates applies two updates to an empty document. Whatever they are: nothing panics, the metadata has the shape
// of the state, a document that is reported as desired has no delta, and what was put in force fits JSON again.
func FuzzUpdates(f *testing.F) {
	f.Add(`{"state":{"desired":{"a":1,"b":{"c":[1,{"d":null}]}}},"version":1}`, `{"state":{"desired":{"a":null,"b":{"c":2}},"reported":{"a":1.0}},"version":1}`)
	f.Add(`{"state":{"reported":{"timestamp":1,"a":{"timestamp":2}}}}`, `{"state":{"reported":{"a":{"timestamp":{"x":1}}}}}`)
	f.Add(`{"state":{"desired":{"a":{}}},"clientToken":"t"}`, `{"state":null}`)
	f.Fuzz(func(t *testing.T, first, second string) {
		var d document
		for i, payload := range []string{first, second} {
			u, refusal := decodeUpdate([]byte(payload))
			if refusal != nil || u.check(d) != nil {
				continue
			}
			before := d.version
			d = d.updated(u.state, int64(1000+i))
			if d.version != before+1 {
				t.Fatalf("version %d after %d", d.version, before)
			}
			sameShape(t, d.desired, d.desiredMeta)
			sameShape(t, d.reported, d.reportedMeta)
			if delta := d.delta(); delta != nil {
				deltaMetadata(delta, d.desiredMeta)
			}
			if delta := difference(d.desired, d.desired); delta != nil {
				t.Fatalf("delta %v of a document to itself", delta)
			}
			if text := encode(map[string]any{"whole": d.whole(), "stamps": stamp(u.sent, 1)}); !json.Valid(text) {
				t.Fatal(string(text))
			}
		}
	})
}

// sameShape checks that meta has a member for each of state that counts as there, and no other.
func sameShape(t *testing.T, state, meta map[string]any) {
	t.Helper()
	there := 0
	for key, v := range state {
		if absent(v) {
			continue
		}
		there++
		if meta[key] == nil {
			t.Fatalf("state %v has %q, metadata %v has not", state, key, meta)
		}
		if child, isObject := v.(map[string]any); isObject {
			under, _ := meta[key].(map[string]any)
			sameShape(t, child, under)
		}
	}
	if there < len(state) { // empty objects may have metadata left, or not
		return
	}
	if len(meta) != there {
		t.Fatalf("state %v, metadata %v", state, meta)
	}
}
