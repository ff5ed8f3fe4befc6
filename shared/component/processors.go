package component

import (
	"os"
	"runtime"
	"sync"
)

// taken are the processors that OneProcessor took from the process; borrowers are those who have them back for now.
var taken struct {
	sync.Mutex
	processors, borrowers int
}

// OneProcessor has Go run the process on one processor at a time, unless GOMAXPROCS says otherwise. A message wakes several
// goroutines one after the other: on more processors Go wakes threads for them, which costs more than the work on a message.
func OneProcessor() {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	taken.Lock()
	defer taken.Unlock()
	if before := runtime.GOMAXPROCS(1); taken.processors == 0 {
		taken.processors = before
	}
}

// AllProcessors undoes OneProcessor until the function that it returns is called, once: messages must not wait for work beside
// them that takes long.
func AllProcessors() (end func()) {
	taken.Lock()
	defer taken.Unlock()
	if taken.processors == 0 {
		return func() {}
	}
	if taken.borrowers++; taken.borrowers == 1 {
		runtime.GOMAXPROCS(taken.processors)
	}
	return func() {
		taken.Lock()
		defer taken.Unlock()
		if taken.borrowers--; taken.borrowers == 0 {
			runtime.GOMAXPROCS(1)
		}
	}
}
