package offline

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// twoColumns adds what it finds in two columns: a < 10 (missing right) ? 1 : 2, and Torque (Nm) < 1.5 (missing right) ? 10 : 20.
const twoColumns = `{"version":[3,0,5],"learner":{"feature_names":["a","Torque (Nm)"],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2"},"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[10,1,2],"default_left":[0,0,0]},
{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[1.5,10,20],"default_left":[0,0,0]}]}},
"learner_model_param":{"base_score":"0","num_feature":"2"},"objective":{"name":"reg:squarederror"}}}`

// TestScoreSpellings scores the same two rows, (9, 1) and (missing, 2), as people and tools spell them.
func TestScoreSpellings(t *testing.T) {
	named := writeModel(t, twoColumns)
	unnamed := writeModel(t, strings.Replace(twoColumns, `"feature_names":["a","Torque (Nm)"],`, "", 1))
	numbered := writeModel(t, strings.Replace(twoColumns, `["a","Torque (Nm)"]`, `["f0","f1"]`, 1))
	const want = "margin,prediction\n11,11\n22,22\n"
	for name, c := range map[string]struct {
		model, in string
		args      []string
	}{
		"plain":                      {named, "9,1\n,2\n", nil},
		"semicolons":                 {named, "9;1\n;2\n", nil},
		"tabs":                       {named, "9\t1\n\t2\n", nil},
		"tabs, missing at the end":   {named, "9\t1\n9\t\n", nil},
		"spaces":                     {named, "9   1\nnan 2\n", []string{"-separator", "space"}},
		"bars":                       {named, "9|1\n|2\n", []string{"-separator", "|"}},
		"trailing commas":            {named, "9,1,\n,2,\n", nil},
		"trailing comma of one row":  {named, "9,1\n,2,\n", nil},
		"quotes":                     {named, "\"9\",\"1\"\n\"\", \"2\" \n", nil},
		"byte order mark":            {named, "\ufeff9,1\n,2\n", nil},
		"Windows":                    {named, "9,1\r\n,2\r\n", nil},
		"minus nan":                  {named, "9,1\n-nan,2\n", nil},
		"question mark":              {named, "9,1\n?,2\n", nil},
		"None":                       {named, "9,1\nNone,2\n", nil},
		"N/A":                        {named, "9,1\nN/A,2\n", nil},
		"pandas' NA":                 {named, "9,1\n<NA>,2\n", nil},
		"Windows' NaN":               {named, "9,1\n-1.#IND,2\n", nil},
		"True and False":             {named, "False,True\nNA,2\n", nil},
		"rounded twice":              {named, "9.9999995231628417,1\n,2\n", nil},
		"header":                     {named, "a,Torque (Nm)\n9,1\n,2\n", nil},
		"header, other order":        {named, "Torque (Nm),a\n1,9\n2,\n", nil},
		"header, more columns":       {named, "id,Torque (Nm),label,a\n7,1,yes,9\n8,2,no,\n", nil},
		"header with brackets":       {named, "a,Torque [Nm]\n9,1\n,2\n", nil},
		"header with quotes":         {named, "\"a\";\"Torque (Nm)\"\n\"9\";1\n;2\n", nil},
		"header with quoted commas":  {named, "\"x, y\",a,Torque (Nm)\n\"1,5\",9,1\n\"2,5\",,2\n", nil},
		"header in Latin-1":          {named, "Temp\xe9rature,a,Torque (Nm)\n1,9,1\n1,,2\n", nil},
		"header, byte order mark":    {named, "\ufeffa,Torque (Nm)\n9,1\n,2\n", nil},
		"header, trailing comma":     {named, "a,Torque (Nm),\n9,1,\n,2,\n", nil},
		"pandas' index":              {named, ",a,Torque (Nm)\n0,9,1\n1,,2\n", nil},
		"header by position":         {unnamed, "x,y\n9,1\n,2\n", nil},
		"header, label by name":      {unnamed, "x,y,Class\n9,1,True\n,2,False\n", []string{"-label", "Class"}},
		"header, label and index":    {unnamed, "Class,x,id,y\n0.0,9,1,1\n1.0,,2,2\n", []string{"-label", "Class", "-label", "id"}},
		"header of numbers":          {unnamed, "0,1\n9,1\n,2\n", []string{"-header"}},
		"no header, label by place":  {named, "1,9,1\n0,,2\n", []string{"-label", "1"}},
		"names that a library gives": {numbered, "a,b\n9,1\n,2\n", nil},
		"the same, out of order":     {numbered, "f1,f0\n1,9\n2,\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			want := want
			switch name {
			case "tabs, missing at the end":
				want = "margin,prediction\n11,11\n21,21\n"
			case "rounded twice": // it is a little less than 10 - 2^-21; as a float64 it is that, and then 10; read at once, 10 - 2^-20
				want = "margin,prediction\n12,12\n22,22\n"
			}
			got, err := score(t, strings.NewReader(c.in), append([]string{c.model}, c.args...)...)
			if err != nil || got != want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// TestScoreSaysWhat wants what cannot be read named, with the flag that helps, and no output.
func TestScoreSaysWhat(t *testing.T) {
	named := writeModel(t, twoColumns)
	unnamed := writeModel(t, strings.Replace(twoColumns, `"feature_names":["a","Torque (Nm)"],`, "", 1))
	var wide strings.Builder
	for _, unit := range utf16.Encode([]rune("\ufeffa,b\n")) {
		wide.WriteString(string([]byte{byte(unit), byte(unit >> 8)}))
	}
	for name, c := range map[string]struct {
		model, in string
		args      []string
		text      string
	}{
		"UTF-16":               {named, wide.String(), nil, "line 1: it is UTF-16 or no text; save the table as UTF-8"},
		"no text":              {named, "1,\x002\n", nil, "line 1: it is UTF-16 or no text"},
		"a label too many":     {named, "9,1,0\n", nil, "line 1: wrong number of values: 3 where the model has 2 features; name each column that is no feature, such as a label or an index, with -label"},
		"a label, header":      {unnamed, "a,b,Class\n9,1,0\n", nil, "3 where the model has 2 features; name each column that is no feature, such as a label or an index, with -label"},
		"other names":          {named, "a,Torque\n9,1\n", nil, `the header has no column "Torque (Nm)", a feature of the model; it has ["a" "Torque"]`},
		"a name twice":         {named, "a,Torque (Nm),a\n9,1,9\n", nil, `the header has 2 columns "a"`},
		"alike twice":          {named, "a,Torque [Nm],Torque <Nm)\n9,1,9\n", nil, `the header has 2 columns "Torque (Nm)"`},
		"no such label":        {named, "a,Torque (Nm)\n9,1\n", []string{"-label", "Class"}, `-label: there is no column "Class"; there are ["a" "Torque (Nm)"]`},
		"a label, no header":   {named, "9,1,0\n", []string{"-label", "Class"}, `-label "Class" is no column from 1 to 3, and line 1 is no header (say so with -header if it is)`},
		"half a header":        {unnamed, "2026,b\n9,1\n", nil, `line 1: column 2: "b" is not a number; if line 1 is a header, say so with -header`},
		"words, no header":     {unnamed, "a,b\n9,1\n", []string{"-header=false"}, `line 1: column 1: "a" is not a number`},
		"decimal commas":       {named, "9,5;1,5\n", nil, `line 1: column 1: "9,5" is not a number: it has a decimal comma; write a point`},
		"spaces":               {unnamed, "9 1\n9 2\n", nil, "line 1: wrong number of values: 1 where the model has 2 features; if values are not separated by ',', say by what with -separator"},
		"a space in a value":   {named, "9,1 000\n", nil, `"1 000" is not a number; if values are not separated by commas, say by what with -separator`},
		"an open quote":        {named, "9,\"1\n", nil, "line 1: a quote is not closed in it"},
		"behind a quote":       {named, "9,\"1\"x\n", nil, `line 1: "x" stands behind a quote`},
		"a row of other width": {named, "id,a,Torque (Nm)\n1,9\n", nil, "line 2: wrong number of values: 2 where the first line has 3"},
		"separator":            {named, "", []string{"-separator", "::"}, "none of , ; | tab and space"},
		"header":               {named, "", []string{"-header=x"}, "header"},
		"nothing":              {named, "\n", []string{"-header"}, "the input is empty: it has no header"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := score(t, strings.NewReader(c.in), append([]string{c.model}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.text) || out != "" {
				t.Errorf("got %v, want %q; output %q", err, c.text, out)
			}
		})
	}
}
