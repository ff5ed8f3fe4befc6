package ipc

import (
	"encoding/json"
	"fmt"
)

// fieldError says what is wrong with a member of a request.
type fieldError struct{ field, problem string }

func (e *fieldError) Error() string { return e.field + ": " + e.problem }

func (e *fieldError) Unwrap() error { return ErrInvalidRequest }

// within tells where err is from.
func within(outer string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", outer, err)
}

// element names the i-th element of a list.
func element(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// exactlyOne fails unless one of a union's members is set.
func exactlyOne(union, members string, set ...bool) error {
	n := 0
	for _, is := range set {
		if is {
			n++
		}
	}
	if n != 1 {
		return &fieldError{"union " + union, fmt.Sprintf("exactly one of %s must be set, not %d", members, n)}
	}
	return nil
}

// decodeEvent decodes an event. One without a member that this package knows is an error, so that readers may rely on
// one being there.
func decodeEvent[E interface{ one() error }](payload []byte) (E, error) {
	var e E
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, err
	}
	return e, e.one()
}
