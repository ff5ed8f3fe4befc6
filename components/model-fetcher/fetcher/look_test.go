package fetcher

import "testing"

// A look that began a download over makes no headway, and is followed by ever longer pauses.
func TestHeadway(t *testing.T) {
	for _, c := range []struct {
		headway       headway
		before, after int
	}{
		{headway{}, 4, 5}, {headway{bytes: true}, 4, 1}, {headway{bytes: true, over: true}, 4, 5},
	} {
		if got := c.headway.failures(c.before); got != c.after {
			t.Errorf("%+v: %d failures became %d, want %d", c.headway, c.before, got, c.after)
		}
	}
}
