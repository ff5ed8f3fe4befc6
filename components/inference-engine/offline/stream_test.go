package offline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/window"
	"edgepdm/test/must"
)

const streamSpec = `{"sensors":["a","b","c"],"maxGap":"5m","inputs":[
	{"sensors":["a","c"],"stats":["last","mean","min","max","std","slope","count"],"rows":[3,20],"time":["30s"]},
	{"sensor":"b","stats":["slope","std"],"time":"2m"}]}`

const longestRows, longestTime = 20, 2 * time.Minute

// streamRow is a row as it comes from a machine, and the text of its line in a table.
type streamRow struct {
	thing string
	window.Row
	line string
}

// streamRows makes rows of a few things, mixed, with values that are missing, rows that are lost, and pauses.
func streamRows(random *rand.Rand, count int) []streamRow {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seqs := map[string]uint64{}
	var rows []streamRow
	for range count {
		now = now.Add(time.Duration(random.IntN(2_000_000)) * time.Microsecond)
		if random.IntN(200) == 0 {
			now = now.Add(time.Duration(random.IntN(10)) * time.Minute)
		}
		r := streamRow{thing: fmt.Sprint("t", random.IntN(4))}
		seqs[r.thing]++
		if random.IntN(30) == 0 {
			seqs[r.thing] += random.Uint64N(30)
		}
		r.Epoch, r.Seq, r.TS = "e", seqs[r.thing], now
		for range 3 {
			v := float32(1e6 + random.NormFloat64())
			if random.IntN(8) == 0 {
				v = float32(math.NaN())
			}
			r.Values = append(r.Values, v)
		}
		r.line = fmt.Sprintf("%s,%d,%s,%s\n", r.thing, r.Seq, now.Format(time.RFC3339Nano), appendValues(nil, r.Values))
		rows = append(rows, r)
	}
	return rows
}

// table returns the lines of the rows' features as the sub-command makes them.
func table(t *testing.T, rows []streamRow, args ...string) []string {
	t.Helper()
	in := "thing,seq,ts,a,b,c\n"
	for _, r := range rows {
		in += r.line
	}
	out, told, err := features(t, strings.NewReader(in), streamSpec, append([]string{"-thing", "thing", "-ts", "ts"}, args...)...)
	if err != nil || told != "" {
		t.Fatal(err, told)
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")[1:]
}

func newWindows(t *testing.T, path string) *window.Windows {
	t.Helper()
	spec, err := window.Parse([]byte(streamSpec))
	must.OK(t, err)
	w, err := window.New(*spec, 1<<20)
	must.OK(t, err)
	if damage, err := w.Load(path); damage != nil || err != nil {
		t.Fatal(damage, err)
	}
	return w
}

func add(t *testing.T, w *window.Windows, r streamRow) string {
	t.Helper()
	f, outcome := w.Add(nil, r.thing, r.Row)
	if outcome != window.Added {
		t.Fatalf("row %d of %s: outcome %d", r.Seq, r.thing, outcome)
	}
	return string(appendValues(nil, f))
}

// What the engine sees row by row, across clean restarts, is what the table has, bit for bit: %.9g tells any two values apart.
func TestStreamIsTable(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 1))
		rows := streamRows(random, 1000)
		path := filepath.Join(t.TempDir(), "windows")
		w := newWindows(t, path)
		for i, want := range table(t, rows, "-seq", "seq") {
			if got := add(t, w, rows[i]); got != want {
				t.Fatalf("seed %d, row %d:\n%s\nwant\n%s", seed, i, got, want)
			}
			if random.IntN(100) == 0 {
				must.OK(t, w.Save(path))
				w = newWindows(t, path)
			}
		}
	}
}

// A producer that starts again numbers its rows from 1 in another epoch. Where no row is lost, the windows go on.
func TestStreamOfSeveralEpochsIsTable(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 1))
	rows := streamRows(random, 1000)
	w := newWindows(t, filepath.Join(t.TempDir(), "none"))
	starts := map[string]int{}
	seqs := map[string]uint64{}
	for i, want := range table(t, rows) {
		r := rows[i]
		if random.IntN(50) == 0 {
			starts[r.thing]++
			seqs[r.thing] = 0
		}
		seqs[r.thing]++
		r.Epoch, r.Seq = fmt.Sprint("e", starts[r.thing]), seqs[r.thing]
		if got := add(t, w, r); got != want {
			t.Fatalf("row %d:\n%s\nwant\n%s", i, got, want)
		}
	}
}

// After a kill the rows since the last Save are missing, and nothing stands in for them: the features are those of a table
// without these rows. They are those of the whole table again once the lost rows have left the windows.
func TestStreamAfterAKill(t *testing.T) {
	again, differ := 0, 0
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 2))
		rows := streamRows(random, 1000)
		whole := table(t, rows, "-seq", "seq")
		path := filepath.Join(t.TempDir(), "windows")
		w := newWindows(t, path)
		var known, saved []streamRow // what is in the windows, and what is in the file
		var got []string             // since the last kill
		lost := map[string]streamRow{}
		check := func() {
			t.Helper()
			want := table(t, known, "-seq", "seq")
			want = want[len(want)-len(got):]
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("seed %d, row %d since the kill:\n%s\nwant\n%s", seed, i, got[i], want[i])
				}
			}
		}
		for i, r := range rows {
			known = append(known, r)
			got = append(got, add(t, w, r))
			l, some := lost[r.thing]
			switch {
			case got[len(got)-1] != whole[i] && (!some || r.Seq >= l.Seq+longestRows && r.TS.Sub(l.TS) >= longestTime):
				t.Fatalf("seed %d, row %d is not as in the table again:\n%s\nwant\n%s", seed, i, got[len(got)-1], whole[i])
			case got[len(got)-1] != whole[i]:
				differ++
			case some:
				again++
			}
			switch random.IntN(120) {
			case 0:
				must.OK(t, w.Save(path))
				saved = append([]streamRow(nil), known...)
			case 1:
				check()
				for _, l := range known[len(saved):] {
					lost[l.thing] = l
				}
				known, got = append([]streamRow(nil), saved...), nil
				w = newWindows(t, path)
			}
		}
		check()
	}
	if again < 300 || differ < 100 {
		t.Errorf("%d rows are as in the table again, and %d differ: the test shows nothing", again, differ)
	}
}
