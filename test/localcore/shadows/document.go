package shadows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"reflect"
	"unicode/utf8"
)

// The limits of a shadow document at the shadow manager's defaults.
const (
	maxDepth       = 6       // nested objects and lists, desired and reported themselves counted
	maxState       = 8 << 10 // bytes of desired and reported together
	maxClientToken = 64      // characters
)

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
	version *json.Number   // nil: any
	token   string
}

// decodeUpdate reads a payload and checks its shape.
func decodeUpdate(payload []byte) (u update, _ *Refusal) {
	document, err := decode(payload)
	if err != nil {
		return u, &Refusal{serviceError, err.Error(), 500, "Internal service failure"}
	}
	if absent(document) {
		return u, badRequest("Invalid JSON: ")
	}
	fields, isObject := document.(map[string]any)
	if !isObject {
		return u, badRequest("Invalid JSON: object expected")
	}
	sent, hasState := fields["state"]
	state, stateIsObject := sent.(map[string]any)
	token, hasToken := fields["clientToken"]
	text, tokenIsText := token.(string)
	version, hasVersion := fields["version"]
	number, versionIsNumber := version.(json.Number)
	switch {
	case !hasState:
		return u, badRequest("Invalid JSON: state: is missing but it is required")
	case sent != nil && !stateIsObject:
		return u, badRequest("Invalid JSON: state: must be an object or null")
	case hasToken && !tokenIsText:
		return u, badRequest("Invalid JSON: clientToken: must be a string")
	case utf8.RuneCountInString(text) > maxClientToken:
		return u, badRequest("Invalid JSON: clientToken: may only be %d characters long", maxClientToken)
	case hasVersion && (!versionIsNumber || number[0] == '-'):
		return u, badRequest("Invalid JSON: version: must be a number that is not negative")
	}
	delete(state, "delta") // not for a client to say
	sections := 0
	for _, name := range []string{"desired", "reported"} {
		section, has := state[name]
		if _, isObject := section.(map[string]any); section != nil && !isObject {
			return u, badRequest("Invalid JSON: state.%s: must be an object or null", name)
		}
		if has {
			sections++
		}
	}
	if sections == 0 && len(state) > 0 {
		return u, badRequest("Invalid JSON: state: has neither desired nor reported")
	}
	u = update{sent: sent, state: state, token: text}
	if hasVersion {
		u.version = &number
	}
	return u, nil
}

// check compares the update with what may be, and with the version that there is.
func (u *update) check(current document) *Refusal {
	if tooDeep(u.state["desired"], 1) || tooDeep(u.state["reported"], 1) {
		return badRequest("JSON contains too many levels of nesting; maximum is %d", maxDepth)
	}
	if u.version == nil {
		return nil
	}
	version, err := u.version.Float64()
	switch {
	case err != nil, current.version == 0 && math.Trunc(version) != 1:
		return badRequest("Invalid version")
	case current.version != 0 && math.Trunc(version) != float64(current.version):
		return &Refusal{conflict, "Version conflict", 409, "Version conflict"}
	}
	return nil
}

// tooDeep tells whether v, at the given depth, has objects or lists with something in them below the deepest level.
func tooDeep(v any, depth int) bool {
	var children []any
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			children = append(children, e)
		}
	case []any:
		children = v
	}
	if len(children) > 0 && depth > maxDepth {
		return true
	}
	for _, e := range children {
		if tooDeep(e, depth+1) {
			return true
		}
	}
	return false
}

func decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON document")
	}
	return v, nil
}

// encode prints JSON as the shadow manager does, without Gson's escapes. Only what was decoded from JSON is in v.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
