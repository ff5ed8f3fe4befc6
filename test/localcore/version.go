package localcore

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// version is a semantic version; pre is its pre-release part, which sorts before none.
type version struct {
	numbers [3]int
	pre     string
}

func parseVersion(s string) (v version, err error) {
	numbers, _, _ := strings.Cut(s, "+")
	numbers, v.pre, _ = strings.Cut(numbers, "-")
	parts := strings.Split(numbers, ".")
	if len(parts) != len(v.numbers) {
		return v, fmt.Errorf("%q is not a version of three numbers", s)
	}
	for i, p := range parts {
		if v.numbers[i], err = strconv.Atoi(p); err != nil || v.numbers[i] < 0 {
			return v, fmt.Errorf("%q is not a version of three numbers", s)
		}
	}
	return v, nil
}

func (v version) compare(o version) int {
	c := slices.Compare(v.numbers[:], o.numbers[:])
	if c == 0 && (v.pre == "") != (o.pre == "") {
		c = cmp.Compare(len(o.pre), len(v.pre)) // none is the newest
	}
	return cmp.Or(c, strings.Compare(v.pre, o.pre))
}

// after is the first version that differs from v at level 0 (major), 1 or 2.
func (v version) after(level int) version {
	var next version
	copy(next.numbers[:level+1], v.numbers[:])
	next.numbers[level]++
	return next
}

// versionRange is an npm-style requirement: alternatives (||) of conjunctions.
type versionRange [][]bound

// bound is "at least v" or, with below, "less than v".
type bound struct {
	v     version
	below bool
}

// parseRange reads terms such as >=1.0.0, <2.0.0, ^1.2.3, ~1.2.0, =1.0.0, 1.0.0 and *, and alternatives of them.
func parseRange(s string) (versionRange, error) {
	var r versionRange
	for alternative := range strings.SplitSeq(s, "||") {
		var all []bound
		for term := range strings.FieldsSeq(alternative) {
			bounds, err := parseTerm(term)
			if err != nil {
				return nil, fmt.Errorf("version requirement %q: %w", s, err)
			}
			all = append(all, bounds...)
		}
		if all == nil {
			return nil, fmt.Errorf("version requirement %q is empty", s)
		}
		r = append(r, all)
	}
	return r, nil
}

func parseTerm(term string) ([]bound, error) {
	if term == "*" {
		return []bound{{}}, nil
	}
	number := strings.TrimLeft(term, "<>=^~")
	v, err := parseVersion(number)
	if err != nil {
		return nil, err
	}
	switch op := strings.TrimSuffix(term, number); op {
	case ">=":
		return []bound{{v: v}}, nil
	case ">":
		return []bound{{v: v.after(2)}}, nil
	case "<":
		return []bound{{v: v, below: true}}, nil
	case "<=":
		return []bound{{v: v.after(2), below: true}}, nil
	case "", "=":
		return []bound{{v: v}, {v: v.after(2), below: true}}, nil
	case "~":
		return []bound{{v: v}, {v: v.after(1), below: true}}, nil
	case "^":
		level := 0
		for level < 2 && v.numbers[level] == 0 {
			level++
		}
		return []bound{{v: v}, {v: v.after(level), below: true}}, nil
	default:
		return nil, fmt.Errorf("%q is not an operator", op)
	}
}

func (r versionRange) allows(v version) bool {
	return slices.ContainsFunc(r, func(all []bound) bool {
		return !slices.ContainsFunc(all, func(b bound) bool { return (v.compare(b.v) < 0) != b.below })
	})
}
