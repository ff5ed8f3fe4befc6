package classic

import (
	"encoding/base64"
	"encoding/json"

	"edgepdm/test/localcore/nucleus"
)

// object is a JSON object whose members keep their order.
type object = nucleus.Object

var errorf = nucleus.Errorf

// members is a JSON object in a request. Names are case-sensitive, unknown ones are ignored, and null is absent.
type members = map[string]json.RawMessage

// request is an operation's request. It keeps the first failure to read a member: an exception outside of the operation's
// own code.
type request struct {
	nucleus.Call
	fields members
	err    *nucleus.Error
}

// get reads one member of m and says whether it is there.
func get[T any](r *request, m members, name string) (v T, ok bool) {
	raw, ok := m[name]
	if !ok || string(raw) == "null" || r.err != nil {
		return v, false
	}
	if json.Unmarshal(raw, &v) != nil {
		r.err = unexpected()
	}
	return v, r.err == nil
}

// text is get for a string.
func (r *request) text(m members, name string) (string, bool) { return get[string](r, m, name) }

// token is that of a CONNECT.
func (r *request) token() string {
	token, _ := r.text(r.fields, "authToken")
	return token
}

// blob reads a base64 member.
func (r *request) blob(m members, name string) ([]byte, bool) {
	text, ok := r.text(m, name)
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		r.err = unexpected()
	}
	return b, err == nil
}

// unexpected is what an exception outside of an operation's own code becomes, such as a request that does not parse.
func unexpected() *nucleus.Error { return &nucleus.Error{} }

// nullPointer is a Java NullPointerException inside an operation: a ServiceError without a text.
func nullPointer() *nucleus.Error { return &nucleus.Error{Code: nucleus.ServiceError} }
