package recipe

import (
	"strings"
	"testing"
)

func TestVersionRequirements(t *testing.T) {
	for _, c := range []struct{ requirement, yes, no string }{
		{"*", "0.0.0 9.9.9", ""},
		{"1.2.3", "1.2.3", "1.2.4 1.2.2 1.2.3-beta"},
		{"=1.2.3", "1.2.3 1.2.3+build", "1.2.4"},
		{">=1.0.0 <2.0.0", "1.0.0 1.9.9 1.5.0-beta", "0.9.9 2.0.0 1.0.0-beta"},
		{">1.0.0 <=1.2.0", "1.0.1 1.2.0 1.2.0-beta", "1.0.0 1.2.1"},
		{"^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 10.0.0"},
		{"^0.2.3", "0.2.3 0.2.9", "0.3.0 0.20.0 1.2.3"},
		{"^0.0.3", "0.0.3", "0.0.4 0.0.2"},
		{"~1.2.3", "1.2.3 1.2.9", "1.3.0 1.20.0"},
		{"<1.0.0 || >=3.0.0", "0.1.0 3.1.0", "1.0.0 2.9.9"},
	} {
		r, err := ParseRange(c.requirement)
		if err != nil {
			t.Errorf("%s: %v", c.requirement, err)
			continue
		}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for version := range strings.FieldsSeq(list) {
				if r.Allows(version) != want {
					t.Errorf("%s allows %s: got %v, want %v", c.requirement, version, !want, want)
				}
			}
		}
	}
	for _, bad := range []string{"", "||", "1.0", "x", ">=", "!1.0.0", "1.0.0 ||", "=>1.0.0", "-1.0.0", "^1.2", "v1.0.0", "01.0.0"} {
		if _, err := ParseRange(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	ordered := []string{"1.0.0-alpha", "1.0.0-alpha.9", "1.0.0-alpha.10", "1.0.0-beta", "1.0.0", "1.0.1", "1.1.0", "10.0.0"}
	for i := range ordered[1:] {
		a, b := ordered[i], ordered[i+1]
		if CompareVersions(a, b) >= 0 || CompareVersions(b, a) <= 0 || CompareVersions(a, a) != 0 {
			t.Errorf("%s must be older than %s", a, b)
		}
	}
	for version, want := range map[string]bool{
		"1.2.3": true, "1.2.3-a.b": true, "1.2.3+build": true, "1.2.3-a+b": true, "": false, "1.2": false, "1": false, "1.2.3.4": false,
		"v1.2.3": false, "01.2.3": false, "NEXT_PATCH": false, "1.2.x": false,
	} {
		if ValidVersion(version) != want {
			t.Errorf("%q is a version: %v", version, !want)
		}
	}
}
