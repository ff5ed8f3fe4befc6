package generate

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/test/must"
)

func TestLifeTable(t *testing.T) {
	table, err := run(t, "-life", "-rows", "2500", "-seed", "3")
	must.OK(t, err)
	part, err := run(t, "-rows", "400", "-life", "-seed", "3")
	if err != nil || !bytes.HasPrefix(table, part) {
		t.Errorf("fewer rows are not the beginning of more; %v", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	must.OK(t, err)
	last := len(rows[0]) - 1
	if !slices.Equal(rows[0], slices.Concat([]string{"thing", "seq", "ts"}, plant.Sensors(), []string{"remaining_hours"})) {
		t.Fatalf("the header is %v", rows[0])
	}
	due, repaired := 0, 0
	var before float64
	for i, row := range rows[1:] {
		thing, seq := "machine-"+strconv.Itoa(i/lifeRows), i%lifeRows+1
		if want := lifeBegin.Add(time.Duration(seq) * 6 * time.Minute).Format(time.RFC3339); row[0] != thing || row[1] != strconv.Itoa(seq) || row[2] != want {
			t.Fatalf("row %d is %v, want %s, %d, %s", i, row[:3], thing, seq, want)
		}
		remaining, err := strconv.ParseFloat(row[last], 64)
		if err != nil || !(remaining >= 0 && remaining < 200) {
			t.Fatalf("row %d: %q, %v", i, row[last], err)
		}
		switch {
		case remaining == 0:
			due++
		case seq > 1 && remaining > before:
			repaired++
		case seq > 1 && remaining < before-0.12 && remaining > 2.5: // a fault beside wear grows to what counts in at most 2.4 h
			t.Errorf("row %d: %v h remain after %v", i, remaining, before)
		}
		before = remaining
	}
	if len(rows) != 2501 || due < 25 || repaired < 2 {
		t.Errorf("%d rows, %d with maintenance due, %d repairs", len(rows)-1, due, repaired)
	}
}

// Machines are watched from all points of their lives on: how long one is watched does not tell its age.
func TestLivesBeginAnywhere(t *testing.T) {
	var first []float64
	for i := range 40 {
		m := plant.New(5, "machine-"+strconv.Itoa(i))
		m.Age()
		first = append(first, m.Step(LifeInterval).Remaining)
	}
	slices.Sort(first)
	if first[4] > 15 || first[20] < 15 || first[20] > 50 || first[36] < 35 {
		t.Errorf("machines begin with %.0f h", first)
	}
}

// What the shipped model was trained on stays as it is, bit for bit. Other processors may round the last digit otherwise.
func TestTableOfFaultsStaysAsItIs(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the sum is that of amd64")
	}
	table, err := run(t, "-rows", "2000", "-seed", "1")
	must.OK(t, err)
	sum := sha256.Sum256(table)
	if got := hex.EncodeToString(sum[:]); got != "9d8bcf9f7d75b8dccc9bad508536e8fe41eedff69fb2fdb240d27daea00b3386" {
		t.Errorf("the table's sum is %s", got)
	}
}
