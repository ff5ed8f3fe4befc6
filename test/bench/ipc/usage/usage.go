// Package usage is what the benchmark's Go clients have in common: their arguments, and what a process has used.
package usage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Numbers reads the arguments of a client: the size of a message, how many, and how many are under way.
func Numbers(args []string) (numbers [3]int, err error) {
	if len(args) != len(numbers) {
		return numbers, errors.New("usage: SIZE COUNT IN-FLIGHT")
	}
	for i, arg := range args {
		if numbers[i], err = strconv.Atoi(arg); err != nil || numbers[i] <= 0 {
			return numbers, fmt.Errorf("%q is no positive number", arg)
		}
	}
	return numbers, nil
}

// Micros is a time in microseconds.
func Micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// ProcessorTime is what all threads of the process have used.
func ProcessorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// PeakKiB is the most memory that the process had. (ru_maxrss would begin with that of the parent process.)
func PeakKiB() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read own status: %w", err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("no VmHWM in own status")
	}
	return strconv.Atoi(string(fields[0]))
}
