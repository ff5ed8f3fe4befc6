// Command reader opens a queue, as the forwarder does when it starts, drains it, and prints what that took.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/spool"
)

type result struct {
	OpenMS  float64 `json:"open_ms"`  // until the first record was read
	OpenMiB float64 `json:"open_mib"` // the most memory that the process had by then
	Records int     `json:"records"`
	MiB     float64 `json:"mib"` // the most memory that it had at all
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	var r result
	began := time.Now()
	q, err := spool.Open(dir, spool.Options{})
	if err != nil {
		return err
	}
	for after := uint64(0); ; {
		records, err := q.PeekAfter(after, 64, 256<<10)
		if err != nil {
			return err
		}
		if r.Records == 0 {
			r.OpenMS = float64(time.Since(began).Microseconds()) / 1000
			if r.OpenMiB, err = peak(); err != nil {
				return err
			}
		}
		if len(records) == 0 {
			break
		}
		r.Records += len(records)
		after = records[len(records)-1].Seq
		if err := q.Ack(after); err != nil {
			return err
		}
	}
	if r.MiB, err = peak(); err != nil {
		return err
	}
	if err := q.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// peak is the most memory that this process had, in MiB.
func peak() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kib, err := strconv.Atoi(text)
	return float64(kib) / 1024, err
}
