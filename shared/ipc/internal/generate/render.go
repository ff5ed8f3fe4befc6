package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"slices"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var templates embed.FS

const lineLength = 120

// render returns the generated Go files by name.
func render(m *model) (map[string][]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{
		"comment": comment, "goName": goName, "join": strings.Join, "support": support, "pointers": pointers,
		"field": m.field, "unionField": m.unionField, "checks": m.checks,
		"isChecked":     func(name string) bool { return m.checked[name] },
		"requiredLists": requiredLists, "names": names, "elementType": m.elementType,
		"structOf": func(name string, members []member) structure { return structure{Name: name, Members: members} },
	}).ParseFS(templates, "*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{"operations", "requests", "shapes", "enums", "checks", "errors"} {
		var text bytes.Buffer
		if err := t.ExecuteTemplate(&text, name+".tmpl", m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		formatted, err := format.Source(text.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", name, err, text.Bytes())
		}
		files[name+"_gen.go"] = formatted
	}
	return files, nil
}

// comment wraps text into comment lines with an indent of so many tabs. A blank line parts its paragraphs.
func comment(indent int, text string) string {
	prefix := strings.Repeat("\t", indent) + "//"
	width := lineLength - 4*indent - len("// ")
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if len(lines) > 0 {
			lines = append(lines, prefix)
		}
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			if line != "" && len(line)+1+len(word) > width {
				lines = append(lines, prefix+" "+line)
				line = ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, prefix+" "+line)
	}
	return strings.Join(lines, "\n")
}

// goName returns a member's name in Go.
func goName(f member) string {
	if f.Go != "" {
		return f.Go
	}
	name := strings.ToUpper(f.Name[:1]) + f.Name[1:]
	if rest, is := strings.CutSuffix(name, "Id"); is {
		return rest + "ID"
	}
	return name
}

func names(members []member) []string {
	var all []string
	for _, f := range members {
		all = append(all, f.Name)
	}
	return all
}

// pointers names error types as errors.As takes them.
func pointers(types []string) string { return "*" + strings.Join(types, ", *") }

// support says in a sentence or two which nucleus has the operation.
func support(op operation) string {
	text := "Supported by classic and lite."
	switch {
	case op.Classic == "yes" && !op.Lite:
		text = "Supported by classic; on lite it is ErrNotSupported."
	case op.Classic != "yes" && op.Lite:
		text = "Supported by lite, and by classic with the component " + op.Classic + "."
	case op.Classic != "yes":
		text = "Supported by classic with the component " + op.Classic + "; elsewhere it is ErrNotSupported."
	}
	return text
}

// field returns the declaration of a structure's member. What the model requires is encoded always, all else only when
// it is set.
func (m *model) field(f member) (string, error) {
	goType, err := m.goType(f.Type)
	if err != nil {
		return "", err
	}
	tag := f.Name
	switch {
	case f.Required || f.Always:
	case f.Type == "blob" || f.Type == "timestamp":
		tag += ",omitzero"
	default:
		tag += ",omitempty"
		if f.Pointer || m.kinds[f.Type] >= isStructure {
			goType = "*" + goType
		}
	}
	return fmt.Sprintf("%s\n\t%s %s `json:%q`", comment(1, f.Doc), goName(f), goType, tag), nil
}

// unionField returns the declaration of a union's member: nil when it is not the one that is set.
func (m *model) unionField(f member) (string, error) {
	goType, err := m.goType(f.Type)
	if err != nil {
		return "", err
	}
	if goType != "Blob" {
		goType = "*" + goType
	}
	return fmt.Sprintf("%s\n\t%s %s `json:%q`", comment(1, f.Doc), goName(f), goType, f.Name+",omitzero"), nil
}

func (m *model) elementType(f member) (string, error) { return m.goType(element(f.Type)) }

// requiredLists returns the members that must be encoded as a list even when they are nil.
func requiredLists(members []member) []member {
	var lists []member
	for _, f := range members {
		if f.Required && strings.HasPrefix(f.Type, "list of ") {
			lists = append(lists, f)
		}
	}
	return lists
}

// checks returns the statements that check the members of s, a pointer to a structure.
func (m *model) checks(members []member) string {
	var b strings.Builder
	for _, f := range members {
		value := "s." + goName(f)
		if m.ownCheck(f) {
			m.ownChecks(&b, f, value)
		}
		if m.checked[element(f.Type)] {
			m.innerChecks(&b, f, value)
		}
	}
	return b.String()
}

// ownChecks writes the checks of a member's own value.
func (m *model) ownChecks(b *strings.Builder, f member, value string) {
	refuse := func(condition, format string, args ...any) {
		fmt.Fprintf(b, "\tif %s {\n\t\treturn &fieldError{%q, %q}\n\t}\n", condition, f.Name, fmt.Sprintf(format, args...))
	}
	if f.Required || f.Always {
		switch {
		case f.Type == "string" || m.kinds[f.Type] == isEnum:
			refuse(value+` == ""`, "required")
		case f.Type == "timestamp":
			refuse(value+".IsZero()", "required")
		case f.Type == "document":
			refuse(value+".missing()", "required")
		}
	}
	if f.MaxBytes > 0 {
		refuse(fmt.Sprintf("len(%s) > %d", value, f.MaxBytes), "longer than %d bytes", f.MaxBytes)
	}
	if f.Characters != "" {
		refuse(fmt.Sprintf("strings.Trim(%s, %q) != \"\"", value, characters(f.Characters)), "has other characters than %s", f.Characters)
	}
	switch {
	case f.Max != nil: // 0 is absent
		refuse(fmt.Sprintf("%s != 0 && (%s < %d || %s > %d)", value, value, *f.Min, value, *f.Max), "must be %d to %d", *f.Min, *f.Max)
	case f.Min != nil && f.Type == "double":
		refuse(fmt.Sprintf("!(%s >= %d) || math.IsInf(%s, 0)", value, *f.Min, value), "must be a number of at least %d", *f.Min)
	case f.Min != nil:
		refuse(fmt.Sprintf("%s < %d", value, *f.Min), "must be at least %d", *f.Min)
	}
}

// innerChecks writes the checks of the shapes that a member consists of.
func (m *model) innerChecks(b *strings.Builder, f member, value string) {
	const returned = "err := within(%s, %s.check()); err != nil {\nreturn err\n}\n"
	name := fmt.Sprintf("%q", f.Name)
	switch {
	case strings.HasPrefix(f.Type, "list of "):
		fmt.Fprintf(b, "\tfor i := range %s {\n\tif "+returned+"}\n", value, fmt.Sprintf("element(%q, i)", f.Name), value+"[i]")
	case strings.HasPrefix(f.Type, "map of "):
		fmt.Fprintf(b, "\tfor _, key := range slices.Sorted(maps.Keys(%s)) {\n\tvalue := %s[key]\n\tif "+returned+"}\n",
			value, value, fmt.Sprintf("%q + key", f.Name+"."), "value")
	case f.Required || f.Always:
		fmt.Fprintf(b, "\tif "+returned, name, value)
	default:
		fmt.Fprintf(b, "\tif %s != nil {\n\tif "+returned+"}\n", value, name, value)
	}
}

// characters expands ranges such as a-z; a hyphen at the end is itself.
func characters(set string) string {
	var all strings.Builder
	for i := 0; i < len(set); i++ {
		if i+2 >= len(set) || set[i+1] != '-' {
			all.WriteByte(set[i])
			continue
		}
		for c := set[i]; c <= set[i+2]; c++ {
			all.WriteByte(c)
		}
		i += 2
	}
	return all.String()
}

const (
	tableBegin = "<!-- operations: generated by go generate -->\n"
	tableEnd   = "<!-- end of operations -->\n"
)

// withTable puts the table of operations between its marks in the README.
func withTable(readme []byte, m *model) ([]byte, error) {
	before, rest, found := bytes.Cut(readme, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return nil, fmt.Errorf("no marks %q and %q", tableBegin, tableEnd)
	}
	table := "| operation | classic | lite | tested by |\n|---|---|---|---|\n"
	for _, op := range m.Operations {
		classic, lite := "yes", "–"
		if op.Classic != "yes" {
			classic = "with " + op.Classic
		}
		if op.Lite {
			lite = "yes"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", op.Name, classic, lite, strings.Join(op.Tested, ", "))
	}
	return slices.Concat(before, []byte(tableBegin+table+tableEnd), after), nil
}
