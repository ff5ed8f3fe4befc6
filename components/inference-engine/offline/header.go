package offline

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

// flags adds the flags that say how a table is written.
func (l *layout) flags(flags *flag.FlagSet) {
	flags.BoolFunc("header", "line 1 is a header, or with -header=false is none (default: it is if it has words and no numbers)", func(text string) error {
		header, err := strconv.ParseBool(text)
		l.header = &header
		return err
	})
	flags.Func("separator", "`character` between values: , ; tab or space (default: found from line 1)", func(text string) (err error) {
		l.separator, err = separatorOf(text)
		return err
	})
}

func separatorOf(text string) (byte, error) {
	switch text {
	case ",", ";", "\t", " ", "|":
		return text[0], nil
	case "tab", `\t`:
		return '\t', nil
	case "space":
		return ' ', nil
	}
	return 0, errors.New("it is none of , ; | tab and space")
}

// begin learns from the first line by what values are separated, and which are the model's features. It says whether the
// line is a header.
func (r *rowReader) begin(line []byte) (header bool, err error) {
	if r.separator == 0 {
		r.separator = r.findSeparator(line)
	}
	if r.fields, err = split(r.fields, line, r.separator); err != nil {
		return false, err
	}
	header = r.header != nil && *r.header || r.header == nil && r.given == nil && onlyWords(r.fields)
	names := r.given
	if header && names == nil {
		for _, field := range r.fields {
			names = append(names, decodeName(field))
		}
	}
	if last := len(r.fields) - 1; r.given != nil && last == len(r.given) && len(r.fields[last]) == 0 {
		r.fields = r.fields[:last] // a comma at the end
	}
	r.width = len(r.fields)
	if r.given != nil && len(names) != r.width {
		return false, fmt.Errorf("%w: %d where -columns names %d", gbdt.ErrRowLength, r.width, len(names))
	}
	drop, err := r.find(r.drop, names)
	if err != nil {
		return false, err
	}
	if r.text, err = r.find(r.also, names); err != nil {
		return false, err
	}
	for i, place := range r.text {
		if names != nil {
			r.also[i].name = names[place]
		}
	}
	if names == nil {
		drop = append(drop, r.text...)
	}
	var kept []int
	for i := range r.fields {
		if !slices.Contains(drop, i) {
			kept = append(kept, i)
		}
	}
	if names != nil && len(r.names) > 0 {
		if r.take, err = r.findFeatures(names, kept); err == nil || !numbered(r.names) {
			return header, err
		}
	}
	if last := len(r.fields) - 1; len(kept) == r.columns+1 && kept[r.columns] == last && len(r.fields[last]) == 0 {
		kept = kept[:r.columns] // a comma at the end
	}
	if len(kept) != r.columns {
		err = r.wrongLength(len(kept))
		if len(kept) < r.columns {
			err = fmt.Errorf("%w; if values are not separated by %q, say by what with -separator", err, r.separator)
		} else {
			err = fmt.Errorf("%w; name each column that is no feature, such as a label or an index, with -label NAME", err)
		}
		return header, err
	}
	r.take = kept
	return header, nil
}

// findSeparator returns what gives the line as many fields as are wanted, or the name of a feature; or else the most fields.
func (r *rowReader) findSeparator(line []byte) byte {
	best, most := byte(','), 1
	separators, wanted := []byte{',', ';', '\t'}, r.columns+len(r.drop)+len(r.also)
	if r.given != nil {
		separators, wanted = append(separators, ' '), len(r.given)
	}
	for _, separator := range separators {
		fields, err := split(nil, line, separator)
		if err == nil && len(fields) == wanted && wanted > 1 || len(r.names) > 0 && r.namesOne(fields) {
			return separator
		}
		if err == nil && len(fields) > most {
			best, most = separator, len(fields)
		}
	}
	return best
}

func (r *rowReader) namesOne(fields [][]byte) bool {
	return slices.ContainsFunc(fields, func(field []byte) bool { return decodeName(field) == r.names[0] })
}

// onlyWords says whether a line is a header: it has a word, and nothing else but what may stand for a missing value.
func onlyWords(fields [][]byte) bool {
	words := 0
	for _, field := range fields {
		_, err := event.ParseFloat(string(field))
		switch {
		case event.IsMissing(string(field)):
		case err == nil, bytes.EqualFold(field, []byte("true")), bytes.EqualFold(field, []byte("false")), !hasLetter(field):
			return false
		default:
			words++
		}
	}
	return words > 0
}

func hasLetter(field []byte) bool {
	return slices.ContainsFunc(field, func(c byte) bool { return c >= 0x80 || c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' })
}

// decodeName returns a name as UTF-8; what is none is Latin-1, as older spreadsheets write it.
func decodeName(field []byte) string {
	if utf8.Valid(field) {
		return string(field)
	}
	var name []rune
	for _, c := range field {
		name = append(name, rune(c))
	}
	return string(name)
}

// find returns the places of columns that flags name.
func (r *rowReader) find(columns []column, names []string) ([]int, error) {
	var places []int
	for _, c := range columns {
		place := slices.Index(names, c.name)
		if place < 0 {
			n, err := strconv.Atoi(c.name)
			switch {
			case err == nil && n >= 1 && n <= len(r.fields):
				place = n - 1
			case names == nil:
				return nil, fmt.Errorf("%s %.64q is no column from 1 to %d, and line 1 is no header (say so with -header if it is)", c.flag, c.name, len(r.fields))
			default:
				return nil, fmt.Errorf("%s: there is no column %.64q; there are %s", c.flag, c.name, listed(names))
			}
		}
		places = append(places, place)
	}
	return places, nil
}

// findFeatures finds each of the model's features in the header. XGBoost allows no brackets and no < in names, so that
// training replaces them: those and what they are replaced by count as the same.
func (r *rowReader) findFeatures(names []string, kept []int) ([]int, error) {
	take := make([]int, len(r.names))
	for i, feature := range r.names {
		exact, alike := []int(nil), []int(nil)
		for _, place := range kept {
			if names[place] == feature {
				exact = append(exact, place)
			} else if plainName(names[place]) == plainName(feature) {
				alike = append(alike, place)
			}
		}
		found := exact
		if len(exact) == 0 {
			found = alike
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the header has no column %.64q, a feature of the %s; it has %s", feature, r.of, listed(names))
		}
		if len(found) > 1 {
			return nil, fmt.Errorf("the header has %d columns %.64q", len(found), feature)
		}
		take[i] = found[0]
	}
	return take, nil
}

var plainName = strings.NewReplacer("[", "_", "]", "_", "<", "_", "(", "_", ")", "_", " ", "_").Replace

// numbered says whether names are those that a library gives to columns without: f0, f1, …, or Column_0, …
func numbered(names []string) bool {
	for _, prefix := range []string{"f", "Column_"} {
		all := true
		for i, name := range names {
			all = all && name == prefix+strconv.Itoa(i)
		}
		if all {
			return true
		}
	}
	return false
}

// listed prints a few names.
func listed(names []string) string {
	const most = 8
	text := fmt.Sprintf("%.40q", names[:min(len(names), most)])
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
