package component

import (
	"runtime"
	"testing"
)

// Work beside messages has all processors until the last of it ends.
func TestProcessorsAreLent(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	all := runtime.GOMAXPROCS(0)
	t.Cleanup(func() {
		taken.processors = 0
		runtime.GOMAXPROCS(all)
	})
	runtime.GOMAXPROCS(3)
	AllProcessors()() // nothing was taken
	OneProcessor()
	OneProcessor()
	first := AllProcessors()
	second := AllProcessors()
	first()
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("%d processors while one works", n)
	}
	second()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d processors after all", n)
	}
}
