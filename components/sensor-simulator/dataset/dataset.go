// Package dataset reads and writes tables of labelled sensor rows as CSV: the form of the UCI data set "APS Failure at
// Scania Trucks", which the workshop trains on, and of what the simulated plant writes.
//
// The header names the columns. The column "class", if there is one, holds the label: neg or 0, pos or 1, na where it is
// not known. All other columns hold numbers; na, nan (in any case) and an empty field are missing readings. What stands before
// the header, such as the licence text of the APS file, is skipped.
package dataset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"edgepdm/shared/event"
)

const (
	labelColumn = "class"

	maxLine     = 1 << 20 // bytes
	maxPreamble = 200     // lines before the header
)

// dropped reports whether the workshop's preprocessing removes a column: 168 of the APS file's 170 remain.
func dropped(column string) bool { return column == "ef_000" || column == "eg_000" }

// Label says whether a row is known to be faulty.
type Label struct {
	Known  bool
	Faulty bool
}

// Row is one line of a table.
type Row struct {
	Values []float32 // in the order of Columns; NaN is a missing reading
	Label  Label
}

// parseValue reads one reading. It takes plain decimal notation only, as every tool that reads such files does.
func parseValue(text string) (float32, error) {
	switch {
	case text == "" || strings.EqualFold(text, "na") || strings.EqualFold(text, "nan"):
		return float32(math.NaN()), nil
	case strings.Trim(text, "0123456789+-.eE") != "":
		if v, err := strconv.ParseFloat(text, 64); err == nil && math.IsInf(v, 0) {
			return 0, errors.New("infinity is not a reading")
		}
		return 0, fmt.Errorf("%s is not a number", quote(text))
	}
	v, err := event.ParseFloat(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is too large for a float32", quote(text))
	case err != nil:
		return 0, fmt.Errorf("%s is not a number", quote(text))
	}
	return v, nil
}

func parseLabel(text string) (Label, error) {
	switch {
	case text == "neg" || text == "0":
		return Label{Known: true}, nil
	case text == "pos" || text == "1":
		return Label{Known: true, Faulty: true}, nil
	case text == "" || strings.EqualFold(text, "na"):
		return Label{}, nil
	}
	return Label{}, fmt.Errorf("%s is not a label: it is one of neg, pos, 0, 1, na", quote(text))
}

// quote makes text from a file fit for a message.
func quote(text string) string {
	const longest = 40
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strconv.Quote(text)
}
