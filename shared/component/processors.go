package component

import (
	"os"
	"runtime"
)

// OneProcessor has Go run the process on one processor at a time, unless GOMAXPROCS says otherwise. A message wakes several
// goroutines one after the other: on more processors Go wakes threads for them, which costs more than the work on a message.
func OneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
