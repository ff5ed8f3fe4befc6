package recipe

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// ValidVersion tells whether s is a semantic version of three numbers, with or without pre-release and build.
func ValidVersion(s string) bool {
	v := "v" + s
	return semver.IsValid(v) && semver.Canonical(v)+semver.Build(v) == v
}

// CompareVersions orders two versions as semantic versioning does: -1, 0 or +1. Builds do not count.
func CompareVersions(a, b string) int { return semver.Compare("v"+a, "v"+b) }

// Range is an npm-style version requirement: alternatives (||) of terms that must all hold.
type Range [][]term

type term struct{ op, version string }

// ParseRange reads terms such as >=1.0.0, <2.0.0, ^1.2.3, ~1.2.0, =1.0.0, 1.0.0 and *, and alternatives of them.
func ParseRange(s string) (Range, error) {
	var r Range
	for alternative := range strings.SplitSeq(s, "||") {
		var all []term
		for text := range strings.FieldsSeq(alternative) {
			t, err := parseTerm(text)
			if err != nil {
				return nil, fmt.Errorf("version requirement %q: %w", s, err)
			}
			all = append(all, t)
		}
		if all == nil {
			return nil, fmt.Errorf("version requirement %q is empty", s)
		}
		r = append(r, all)
	}
	return r, nil
}

func parseTerm(text string) (term, error) {
	if text == "*" {
		return term{op: ">=", version: "0.0.0"}, nil
	}
	version := strings.TrimLeft(text, "<>=^~")
	t := term{op: strings.TrimSuffix(text, version), version: version}
	if !ValidVersion(version) {
		return t, fmt.Errorf("%q is not a version of three numbers", version)
	}
	switch t.op {
	case "", "=", ">", ">=", "<", "<=", "^", "~":
		return t, nil
	}
	return t, fmt.Errorf("%q is not an operator", t.op)
}

// Allows tells whether a valid version satisfies the requirement. A pre-release is a version like any other, as it is for
// the nucleus: semver4j compares, and has no rule of npm's for pre-releases.
func (r Range) Allows(version string) bool {
	for _, all := range r {
		holds := true
		for _, t := range all {
			holds = holds && t.allows(version)
		}
		if holds {
			return true
		}
	}
	return false
}

func (t term) allows(version string) bool {
	c, v, own := CompareVersions(version, t.version), "v"+version, "v"+t.version
	switch t.op {
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case "~":
		return c >= 0 && semver.MajorMinor(v) == semver.MajorMinor(own)
	case "^":
		switch {
		case semver.Major(own) != "v0":
			return c >= 0 && semver.Major(v) == semver.Major(own)
		case semver.MajorMinor(own) != "v0.0":
			return c >= 0 && semver.MajorMinor(v) == semver.MajorMinor(own)
		}
	}
	return c == 0
}
