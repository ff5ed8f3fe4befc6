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
	desired, reported         map[string]any // nil: none
	desiredMeta, reportedMeta map[string]any // the same shapes, with {"timestamp": UNIX seconds} in place of each value
	version                   int64
}

// state is the member "state" without a delta.
func (d *document) state() map[string]any { return sections(d.desired, d.reported) }

func (d *document) metadata() map[string]any { return sections(d.desiredMeta, d.reportedMeta) }

func sections(desired, reported map[string]any) map[string]any {
	out := make(map[string]any, 2)
	if desired != nil {
		out["desired"] = desired
	}
	if reported != nil {
		out["reported"] = reported
	}
	return out
}

// whole is the document as update/documents tells it.
func (d *document) whole() map[string]any {
	return map[string]any{"state": d.state(), "metadata": d.metadata(), "version": d.version}
}

// delta is what desired has other than reported; nil when that is nothing.
func (d *document) delta() map[string]any {
	if d.reported == nil || d.desired == nil {
		return d.desired
	}
	return difference(d.reported, d.desired)
}

// updated applies the member "state" of an update at a time in UNIX seconds. A nil state removes everything.
func (d *document) updated(state map[string]any, now int64) document {
	next := *d
	next.version++
	if state == nil {
		return document{version: next.version}
	}
	if patch, sent := state["desired"]; sent {
		next.desired, next.desiredMeta = patched(d.desired, d.desiredMeta, patch, now)
	}
	if patch, sent := state["reported"]; sent {
		next.reported, next.reportedMeta = patched(d.reported, d.reportedMeta, patch, now)
	}
	return next
}

// patched applies a patch, which is an object or null, to one section.
func patched(state, meta map[string]any, patch any, now int64) (nextState, nextMeta map[string]any) {
	fields, _ := patch.(map[string]any)
	if fields == nil {
		return nil, nil
	}
	if nextState = mergeState(state, fields); len(nextState) == 0 {
		return nil, nil
	}
	return nextState, mergeMetadata(nextState, meta, fields, now)
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

// mergeMetadata stamps what a patch changed and forgets what is no longer in the state.
func mergeMetadata(state, old, patch map[string]any, now int64) map[string]any {
	merged := maps.Clone(old)
	if merged == nil {
		merged = make(map[string]any, len(patch))
	}
	for key, v := range patch {
		inState, stateIsObject := state[key].(map[string]any)
		fields, isObject := v.(map[string]any)
		switch {
		case absent(state[key]):
			delete(merged, key)
		case stateIsObject && isObject:
			under, _ := merged[key].(map[string]any)
			if isStamp(under) { // there was a value in place of the object
				under = nil
			}
			merged[key] = mergeMetadata(inState, under, fields, now)
		default:
			merged[key] = stamp(v, now)
		}
	}
	return merged
}

func isStamp(meta map[string]any) bool {
	_, is := meta["timestamp"].(int64)
	return is && len(meta) == 1
}

// stamp is v with the time in place of each value, also of null.
func stamp(v any, now int64) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = stamp(e, now)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = stamp(e, now)
		}
		return out
	default:
		return map[string]any{"timestamp": now}
	}
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

// deltaMetadata is the metadata of the values in a delta.
func deltaMetadata(delta, meta any) any {
	of, _ := meta.(map[string]any)
	switch delta := delta.(type) {
	case map[string]any:
		out := make(map[string]any, len(delta))
		for key, e := range delta {
			out[key] = deltaMetadata(e, of[key])
		}
		return out
	default: // a value's, or a list's with one stamp an element
		return meta
	}
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
