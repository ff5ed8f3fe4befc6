package ipc

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fieldError says what is wrong with a member of a request.
type fieldError struct{ field, problem string }

func (e *fieldError) Error() string { return e.field + ": " + e.problem }

func (e *fieldError) Unwrap() error { return ErrInvalidRequest }

// checker is a shape that requests are made of.
type checker interface{ check() error }

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// demand returns what the problem with a member is, unless it is good.
func demand(field string, good bool, problem string) error {
	if good {
		return nil
	}
	return &fieldError{field, problem}
}

// demandName is demand for the name of a thing or a shadow, of at most so many bytes.
func demandName(field, name string, most int) error {
	if len(name) > most {
		return &fieldError{field, fmt.Sprintf("longer than %d bytes", most)}
	}
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-"
	return demand(field, strings.Trim(name, characters) == "", "has other characters than a-zA-Z0-9:_-")
}

// within tells where err is from.
func within(outer string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", outer, err)
}

// optional checks a member that may be absent.
func optional[T checker](field string, v *T) error {
	if v == nil {
		return nil
	}
	return within(field, (*v).check())
}

func elements[T checker](field string, list []T) error {
	for i, v := range list {
		if err := v.check(); err != nil {
			return within(fmt.Sprintf("%s[%d]", field, i), err)
		}
	}
	return nil
}

func values[T checker](field string, m map[string]T) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if err := m[key].check(); err != nil {
			return within(field+"."+key, err)
		}
	}
	return nil
}

// exactlyOne fails unless one of a union's members is set.
func exactlyOne(union any) error {
	v := reflect.ValueOf(union)
	members, set := make([]string, v.NumField()), 0
	for i := range members {
		members[i], _, _ = strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !v.Field(i).IsNil() {
			set++
		}
	}
	if set == 1 {
		return nil
	}
	return &fieldError{"union " + v.Type().Name(), fmt.Sprintf("exactly one of %s must be set, not %d", strings.Join(members, ", "), set)}
}

// decodeEvent decodes an event. One without a member that this package knows is an error, so that readers may rely on
// one being there.
func decodeEvent[E any](payload []byte) (E, error) {
	var e E
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, err
	}
	return e, exactlyOne(e)
}
