package spool

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/test/must"
)

// The environment variables of a child process.
const (
	envCrashDir  = "SPOOL_CRASH_DIR"
	envCrashFrom = "SPOOL_CRASH_FROM"
)

// TestCrash kills a process that appends and acknowledges, again and again, and checks after each round: each message
// whose append was acknowledged and that was not removed is there, in order, once, and nothing else (F1, F2, F4, F8).
func TestCrash(t *testing.T) {
	executable, err := os.Executable()
	must.OK(t, err)
	dir := filepath.Join(t.TempDir(), "queue")
	random := rand.New(rand.NewPCG(11, 12))
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	from, total := 0, 0
	for round := range rounds {
		said := runChild(t, executable, dir, from, random)
		q := open(t, dir, Options{SegmentSize: 64 << 10})
		got := crashIDs(t, q)
		for producer := range crashProducers {
			appended, removing, removed := said["appended"][producer], said["removing"][producer], said["removed"][producer]
			have := got[producer]
			total += len(have)
			if len(have) == 0 {
				if removing < appended {
					t.Fatalf("round %d, producer %d: nothing left of %d-%d", round, producer, removing+1, appended)
				}
				continue
			}
			first, last := have[0], have[len(have)-1]
			for i, n := range have {
				if n != first+i {
					t.Fatalf("round %d, producer %d: %d at place %d after %d", round, producer, n, i, first)
				}
			}
			// The last append may be there without having been reported; a kill loses no acknowledgement.
			if last < appended || last > appended+1 || first <= removed || first > removing+1 {
				t.Fatalf("round %d, producer %d: %d-%d left; appended up to %d, removed up to %d, perhaps %d", round, producer,
					first, last, appended, removed, removing)
			}
		}
		s := look(q)
		if s.LostRecords != 0 || s.damaged != 0 || s.cursorLost {
			t.Fatalf("round %d: %+v", round, s)
		}
		if q.last > 0 {
			must.OK(t, q.Ack(q.last))
		}
		closeQueue(t, q)
		from += 1_000_000
	}
	if total == 0 {
		t.Fatal("the test saw no record")
	}
}

const crashProducers = 4

// runChild starts a child and kills it at a random moment after its first report. It returns, for each verb and each
// producer, the last message that the child reported.
func runChild(t *testing.T, executable, dir string, from int, random *rand.Rand) (said map[string]map[int]int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), executable, "-test.run", "^TestCrashChild$")
	child.Env = append(os.Environ(), envCrashDir+"="+dir, fmt.Sprintf("%s=%d", envCrashFrom, from))
	out, err := child.StdoutPipe()
	must.OK(t, err)
	must.OK(t, child.Start())
	said = make(map[string]map[int]int)
	for _, verb := range []string{"appended", "removing", "removed"} {
		said[verb] = make(map[int]int)
		for p := range crashProducers {
			said[verb][p] = from
		}
	}
	lines, moment := 0, time.Duration(random.Int64N(int64(150*time.Millisecond)))
	var kill *time.Timer
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		var producer, n int
		var verb string
		if _, err := fmt.Sscan(scan.Text(), &verb, &producer, &n); err != nil {
			t.Fatalf("child: %s", scan.Text())
		}
		if said[verb] == nil {
			t.Fatalf("child: %s", scan.Text())
		}
		said[verb][producer] = n
		if lines++; lines == 1 {
			kill = time.AfterFunc(moment, func() { _ = child.Process.Kill() })
		}
	}
	if kill == nil {
		t.Fatal("the child reported nothing")
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child: %v", err)
	}
	return said
}

// crashIDs returns the messages in the queue, by producer.
func crashIDs(t *testing.T, q *Queue) map[int][]int {
	t.Helper()
	got := make(map[int][]int)
	var after uint64
	for {
		records, err := q.PeekAfter(after, 100, 1<<20)
		must.OK(t, err)
		if len(records) == 0 {
			return got
		}
		for _, r := range records {
			p, n := parseCrash(t, r)
			got[p] = append(got[p], n)
			after = r.Seq
		}
	}
}

func crashMessage(producer, n int) Record {
	id := fmt.Sprintf("%d-%d", producer, n)
	return Record{Stream: "crash", ID: id, Time: int64(n), Payload: []byte(strings.Repeat(id, 1+n%200))}
}

func parseCrash(t *testing.T, r Record) (producer, n int) {
	t.Helper()
	if _, err := fmt.Sscanf(r.ID, "%d-%d", &producer, &n); err != nil {
		t.Fatalf("phantom: %+v", r)
	}
	want := crashMessage(producer, n)
	if r.Stream != want.Stream || r.Time != want.Time || string(r.Payload) != string(want.Payload) {
		t.Fatalf("got %+v, want %+v", r, want)
	}
	return producer, n
}

// TestCrashChild is the process that is killed: producers that append and a consumer that removes, each telling what is
// done on standard output.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(envCrashDir)
	if dir == "" {
		t.Skip("runs as a child of TestCrash")
	}
	var from int
	if _, err := fmt.Sscan(os.Getenv(envCrashFrom), &from); err != nil {
		t.Fatal(err)
	}
	q, err := Open(dir, Options{SegmentSize: 64 << 10})
	must.OK(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // should the parent be gone
	defer cancel()
	var group sync.WaitGroup
	for p := range crashProducers {
		group.Go(func() {
			for n := from + 1; q.Append(ctx, crashMessage(p, n)) == nil; n++ {
				if _, err := fmt.Printf("appended %d %d\n", p, n); err != nil {
					return
				}
			}
		})
	}
	group.Go(func() {
		for q.Wait(ctx, 0) == nil {
			records, err := q.Peek(20, 1<<20)
			if err != nil || report(t, "removing", records) != nil || q.Ack(records[len(records)-1].Seq) != nil ||
				report(t, "removed", records) != nil {
				return
			}
		}
	})
	group.Wait()
}

func report(t *testing.T, verb string, records []Record) error {
	for _, r := range records {
		p, n := parseCrash(t, r)
		if _, err := fmt.Printf("%s %d %d\n", verb, p, n); err != nil {
			return err
		}
	}
	return nil
}
