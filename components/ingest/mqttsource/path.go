package mqttsource

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// step is a part of a path: into an object by name, into a list by number, or to the object of a list whose member has a value.
type step struct {
	name   string
	member bool   // [name=value]
	value  string //
}

// parsePath reads a path such as oil.temp, sensors.2.value, values.[id=Line1.Press1.Temp].v or [oil.temp].value: names in
// brackets may have dots.
func parsePath(text string) ([]step, error) {
	var path []step
	for rest := text; ; {
		var s step
		if strings.HasPrefix(rest, "[") {
			inner, after, ok := strings.Cut(rest[1:], "]")
			if !ok || inner == "" || after != "" && after[0] != '.' {
				return nil, fmt.Errorf("the path %q has a [ without its ]", text)
			}
			s.name, s.value, s.member = strings.Cut(inner, "=")
			rest = after
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			s.name, rest = rest[:end], rest[end:]
		}
		if s.name == "" {
			return nil, fmt.Errorf("the path %q has an empty name", text)
		}
		path = append(path, s)
		if rest == "" {
			return path, nil
		}
		rest = rest[1:]
	}
}

// find follows a path into a document.
func find(v any, path []step) (any, bool) {
	for _, s := range path {
		var ok bool
		if v, ok = s.into(v); !ok {
			return nil, false
		}
	}
	return v, true
}

func (s step) into(v any) (any, bool) {
	switch node := v.(type) {
	case map[string]any:
		next, ok := node[s.name]
		return next, ok && !s.member
	case []any:
		if s.member {
			return s.among(node)
		}
		i, err := strconv.Atoi(s.name)
		if err != nil || i < 0 || i >= len(node) {
			return nil, false
		}
		return node[i], true
	}
	return nil, false
}

// among looks for the object of a list whose member has the value.
func (s step) among(list []any) (any, bool) {
	for _, v := range list {
		object, _ := v.(map[string]any)
		switch member := object[s.name].(type) {
		case string:
			if member == s.value {
				return object, true
			}
		case json.Number:
			if member.String() == s.value {
				return object, true
			}
		}
	}
	return nil, false
}
