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
		"comment": comment, "join": strings.Join, "support": support, "pointers": pointers,
		"field": m.field, "requestField": m.requestField, "unionField": m.unionField,
		"checks": m.checks, "isChecked": func(name string) bool { return m.checked[name] },
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

// requestField is field for a request: a list that the model requires is encoded even when it is nil.
func (m *model) requestField(f member) (string, error) {
	text, err := m.field(f)
	if f.Required && strings.HasPrefix(f.Type, "list of ") {
		inner, _ := m.goType(element(f.Type)) // field has found no fault with it
		text = strings.Replace(text, " []"+inner+" ", " List["+inner+"] ", 1)
	}
	return text, err
}

// checks returns an expression: the first error among those of own, if any, and of the members of s, a structure.
func (m *model) checks(own string, members []member) string {
	var all []string
	if own != "" {
		all = append(all, own)
	}
	for _, f := range members {
		value := "s." + goName(f)
		if m.ownCheck(f) {
			all = append(all, m.ownChecks(f, value)...)
		}
		if m.checked[element(f.Type)] {
			all = append(all, innerCheck(f, value))
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return "first(\n\t\t" + strings.Join(all, ",\n\t\t") + ",\n\t)"
}

// ownChecks returns the checks of a member's own value.
func (m *model) ownChecks(f member, value string) (all []string) {
	demand := func(condition, format string, args ...any) {
		all = append(all, fmt.Sprintf("demand(%q, %s, %q)", f.Name, condition, fmt.Sprintf(format, args...)))
	}
	if f.Required || f.Always {
		switch {
		case f.Type == "string" || m.kinds[f.Type] == isEnum:
			demand(value+` != ""`, "required")
		case f.Type == "timestamp":
			demand("!"+value+".IsZero()", "required")
		case f.Type == "document":
			demand("!"+value+".missing()", "required")
		}
	}
	switch {
	case f.IsName:
		all = append(all, fmt.Sprintf("demandName(%q, %s, %d)", f.Name, value, f.MaxBytes))
	case f.MaxBytes > 0:
		demand(fmt.Sprintf("len(%s) <= %d", value, f.MaxBytes), "longer than %d bytes", f.MaxBytes)
	}
	switch {
	case f.Max != nil: // 0 is absent
		demand(fmt.Sprintf("%s == 0 || %s >= %d && %s <= %d", value, value, *f.Min, value, *f.Max), "must be %d to %d", *f.Min, *f.Max)
	case f.Min != nil && f.Type == "double":
		demand(fmt.Sprintf("%s >= %d && !math.IsInf(%s, 0)", value, *f.Min, value), "must be a number of at least %d", *f.Min)
	case f.Min != nil:
		demand(fmt.Sprintf("%s >= %d", value, *f.Min), "must be at least %d", *f.Min)
	}
	return all
}

// innerCheck returns the check of the shapes that a member consists of.
func innerCheck(f member, value string) string {
	switch {
	case strings.HasPrefix(f.Type, "list of "):
		return fmt.Sprintf("elements(%q, %s)", f.Name, value)
	case strings.HasPrefix(f.Type, "map of "):
		return fmt.Sprintf("values(%q, %s)", f.Name, value)
	case f.Required || f.Always:
		return fmt.Sprintf("within(%q, %s.check())", f.Name, value)
	default:
		return fmt.Sprintf("optional(%q, %s)", f.Name, value)
	}
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
