// Package table reads what XGBoost scored, for tests: CSV files of numbers.
package table

import (
	"encoding/csv"
	"math"
	"os"
	"strconv"
	"testing"

	"edgepdm/test/must"
)

// Read returns the names of a file's columns, if its first line has some, and its rows. A missing value is NaN.
func Read(t testing.TB, path string) (columns []string, rows [][]float32) {
	t.Helper()
	f, err := os.Open(path)
	must.OK(t, err)
	defer func() { _ = f.Close() }()
	records, err := csv.NewReader(f).ReadAll()
	must.OK(t, err)
	if _, err := strconv.ParseFloat(records[0][0], 32); err != nil {
		columns, records = records[0], records[1:]
	}
	for _, record := range records {
		row := make([]float32, len(record))
		for i, field := range record {
			x := math.NaN()
			if field != "" {
				x, err = strconv.ParseFloat(field, 32)
				must.OK(t, err)
			}
			row[i] = float32(x)
		}
		rows = append(rows, row)
	}
	return columns, rows
}
