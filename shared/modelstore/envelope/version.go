package envelope

import (
	"cmp"
	"strconv"
	"strings"
)

// maxVersionDigits bounds each of a version's numbers, so that they fit an int everywhere.
const maxVersionDigits = 9

// Compare returns -1, 0 or +1 as version a is lower than, equal to or higher than b. The three numbers are compared as
// numbers. What is no version (a model that came without a manifest has none) is lower than every version.
func Compare(a, b string) int {
	x, okX := parseVersion(a)
	y, okY := parseVersion(b)
	switch {
	case !okX && !okY:
		return 0
	case !okX:
		return -1
	case !okY:
		return 1
	}
	for i := range x {
		if c := cmp.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return 0
}

// parseVersion reads three numbers without leading zeros and with nothing around them: one version has one spelling.
func parseVersion(s string) (v [3]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != len(v) {
		return v, false
	}
	for i, part := range parts {
		if len(part) == 0 || len(part) > maxVersionDigits || len(part) > 1 && part[0] == '0' {
			return v, false
		}
		for _, c := range []byte(part) {
			if c < '0' || c > '9' {
				return v, false
			}
		}
		v[i], _ = strconv.Atoi(part)
	}
	return v, true
}
