package shadows

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
)

// maxState is the shadow manager's limit for desired and reported together, in bytes.
const maxState = 8 << 10

// document is a version of a shadow; the zero value is none. Its maps are never changed: an update makes another
// document. Numbers are json.Number, so that they are printed as they came.
type document struct {
	desired, reported map[string]any // nil: none
	version           int64
}

// state is the member "state".
func (d *document) state() map[string]any {
	out := make(map[string]any, 3)
	for name, section := range map[string]map[string]any{"desired": d.desired, "reported": d.reported, "delta": d.delta()} {
		if section != nil {
			out[name] = section
		}
	}
	return out
}

// delta is what desired has other than reported; nil when that is nothing.
func (d *document) delta() map[string]any {
	if d.reported == nil || d.desired == nil {
		return d.desired
	}
	return difference(d.reported, d.desired)
}

// updated applies the member "state" of an update. A nil state removes everything.
func (d *document) updated(state map[string]any) document {
	next := document{version: d.version + 1}
	if state == nil {
		return next
	}
	next.desired, next.reported = d.desired, d.reported
	for name, section := range map[string]*map[string]any{"desired": &next.desired, "reported": &next.reported} {
		if patch, sent := state[name]; sent {
			fields, _ := patch.(map[string]any)
			if *section = mergeState(*section, fields); fields == nil || len(*section) == 0 {
				*section = nil
			}
		}
	}
	return next
}

// absent tells whether a value counts as none: the shadow manager takes an empty object for null.
func absent(v any) bool {
	object, isObject := v.(map[string]any)
	return v == nil || isObject && len(object) == 0
}

// mergeState merges a patch: null removes a member, objects are merged, everything else replaces what was there.
func mergeState(old, patch map[string]any) map[string]any {
	merged := maps.Clone(old)
	if merged == nil {
		merged = make(map[string]any, len(patch))
	}
	for key, v := range patch {
		child, isObject := v.(map[string]any)
		switch {
		case absent(v):
			delete(merged, key)
		case !isObject:
			merged[key] = v
		default:
			under, _ := merged[key].(map[string]any)
			if child = mergeState(under, child); under != nil || len(child) > 0 {
				merged[key] = child
			}
		}
	}
	return merged
}

// difference is what desired has other than reported; nil when that is nothing.
func difference(reported, desired map[string]any) map[string]any {
	var out map[string]any
	for key, want := range desired {
		have := reported[key]
		wantObject, isObject := want.(map[string]any)
		haveObject, wasObject := have.(map[string]any)
		switch {
		case absent(want) && absent(have):
			continue
		case absent(want):
			want = nil
		case absent(have):
		case isObject && wasObject:
			d := difference(haveObject, wantObject)
			if d == nil {
				continue
			}
			want = d
		case equalValues(have, want):
			continue
		}
		if out == nil {
			out = make(map[string]any)
		}
		out[key] = want
	}
	return out
}

// equalValues compares numbers by value: 1 is 1.0.
func equalValues(a, b any) bool {
	x, isNumber := a.(json.Number)
	y, areNumbers := b.(json.Number)
	if !isNumber || !areNumbers {
		return reflect.DeepEqual(a, b)
	}
	f, errF := x.Float64()
	g, errG := y.Float64()
	return errF == nil && errG == nil && f == g
}

func (d *document) checkSize() *Refusal {
	size := 0
	for _, section := range []map[string]any{d.desired, d.reported} {
		if section != nil {
			size += len(encode(section))
		}
	}
	if size > maxState {
		refusal := badRequest("The payload exceeds the maximum size allowed")
		refusal.status = 413
		return refusal
	}
	return nil
}

// update is the payload of UpdateThingShadow.
type update struct {
	sent    any            // the member "state" without its delta
	state   map[string]any // the same; nil is null, which removes everything
	version json.Number    // "": any
	token   string
}

// decodeUpdate reads a payload and checks its shape.
func decodeUpdate(payload []byte) (u update, _ *Refusal) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		return u, &Refusal{serviceError, err.Error(), 500, "Internal service failure"}
	}
	sent, hasState := fields["state"]
	u.sent = sent
	u.state, _ = sent.(map[string]any)
	u.token, _ = fields["clientToken"].(string)
	u.version, _ = fields["version"].(json.Number)
	delete(u.state, "delta") // not for a client to say
	switch {
	case !hasState:
		return u, badRequest("Invalid JSON: state: is missing but it is required")
	case sent != nil && u.state == nil:
		return u, badRequest("Invalid JSON: state: must be an object or null")
	}
	for name, section := range u.state {
		if _, isObject := section.(map[string]any); section != nil && !isObject || name != "desired" && name != "reported" {
			return u, badRequest("Invalid JSON: state.%s: must be desired or reported, and an object or null", name)
		}
	}
	return u, nil
}

// check compares the update's version with the one that there is.
func (u *update) check(current document) *Refusal {
	switch {
	case u.version == "", u.version.String() == strconv.FormatInt(max(1, current.version), 10):
		return nil
	case current.version == 0:
		return badRequest("Invalid version")
	}
	return &Refusal{conflict, "Version conflict", 409, "Version conflict"}
}

// encode prints JSON as the shadow manager does, without Gson's escapes. Only what was decoded from JSON is in v.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
