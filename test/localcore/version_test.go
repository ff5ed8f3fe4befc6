package localcore

import (
	"strings"
	"testing"
)

func TestVersionRequirements(t *testing.T) {
	for _, c := range []struct{ requirement, yes, no string }{
		{"*", "0.0.0 9.9.9", ""},
		{"1.2.3", "1.2.3", "1.2.4 1.2.2"},
		{"=1.2.3", "1.2.3 1.2.3+build", "1.2.4"},
		{">=1.0.0 <2.0.0", "1.0.0 1.9.9", "0.9.9 2.0.0 1.0.0-beta"},
		{">1.0.0 <=1.2.0", "1.0.1 1.2.0", "1.0.0 1.2.1"},
		{"^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"},
		{"^0.2.3", "0.2.3 0.2.9", "0.3.0"},
		{"^0.0.3", "0.0.3", "0.0.4"},
		{"~1.2.3", "1.2.3 1.2.9", "1.3.0"},
		{"<1.0.0 || >=3.0.0", "0.1.0 3.1.0", "1.0.0 2.9.9"},
	} {
		r, err := parseRange(c.requirement)
		if err != nil {
			t.Errorf("%s: %v", c.requirement, err)
			continue
		}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for s := range strings.FieldsSeq(list) {
				v, err := parseVersion(s)
				if err != nil || r.allows(v) != want {
					t.Errorf("%s allows %s: got %v, %v, want %v", c.requirement, s, !want, err, want)
				}
			}
		}
	}
	for _, bad := range []string{"", "||", "1.0", "x", ">=", "!1.0.0", "1.0.0 ||", "=>1.0.0", "-1.0.0"} {
		if _, err := parseRange(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	ordered := []string{"1.0.0-alpha", "1.0.0-beta", "1.0.0", "1.0.1", "1.1.0", "10.0.0"}
	for i := range ordered[1:] {
		a, _ := parseVersion(ordered[i])
		b, _ := parseVersion(ordered[i+1])
		if a.compare(b) >= 0 || b.compare(a) <= 0 || a.compare(a) != 0 {
			t.Errorf("%s must be older than %s", ordered[i], ordered[i+1])
		}
	}
}
