package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// model is what model/greengrass.yaml says; the file describes its keys.
type model struct {
	Operations []operation
	Structures []structure
	Unions     []structure
	Enums      []enum
	Errors     []structure

	kinds   map[string]kind      // by the name of a shape
	shapes  map[string]structure // structures and unions by name
	checked map[string]bool      // shapes with something to check before they are sent
}

type kind int

const (
	isEnum kind = iota + 1
	isStructure
	isUnion
)

type operation struct {
	Name     string
	Doc      string
	Request  []member
	Response []member
	Stream   string
	Errors   []string
	Classic  string
	Lite     bool
	Remarks  []string
	Tested   []string
}

type structure struct {
	Name    string
	Doc     string
	Members []member
}

type member struct {
	Name     string
	Go       string
	Type     string
	Required bool
	Always   bool
	Pointer  bool
	Min      *int
	Max      *int
	MaxBytes int  `yaml:"maxBytes"`
	IsName   bool `yaml:"isName"`
	Doc      string
}

type enum struct {
	Name   string
	Doc    string
	Values yaml.Node
}

// enumValue is a constant of an enum.
type enumValue struct{ Go, Wire string }

// Constants returns the values in their order.
func (e enum) Constants() []enumValue {
	var values []enumValue
	for i := 0; i+1 < len(e.Values.Content); i += 2 {
		values = append(values, enumValue{e.Values.Content[i].Value, e.Values.Content[i+1].Value})
	}
	return values
}

// parseModel reads and checks the model.
func parseModel(text []byte) (*model, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	m := &model{kinds: map[string]kind{}, shapes: map[string]structure{}, checked: map[string]bool{}}
	if err := decoder.Decode(m); err != nil {
		return nil, err
	}
	for _, e := range m.Enums {
		m.kinds[e.Name] = isEnum
	}
	for _, s := range m.Structures {
		m.kinds[s.Name], m.shapes[s.Name] = isStructure, s
	}
	for _, s := range m.Unions {
		m.kinds[s.Name], m.shapes[s.Name] = isUnion, s
	}
	known := map[string]bool{}
	for _, e := range m.Errors {
		known[e.Name] = true
	}
	for _, op := range m.Operations {
		if err := m.checkOperation(op, known); err != nil {
			return nil, fmt.Errorf("%s: %w", op.Name, err)
		}
		m.markChecked(op.Name+"Request", op.Request)
	}
	for _, s := range m.shapes {
		if err := m.checkMembers(s.Members); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return m, nil
}

func (m *model) checkOperation(op operation, known map[string]bool) error {
	if op.Stream != "" && (m.kinds[op.Stream] != isUnion || len(op.Response) > 0) {
		return errors.New("a stream has a union of events and no response")
	}
	for _, name := range op.Errors {
		if !known[name] {
			return fmt.Errorf("unknown error %s", name)
		}
	}
	if op.Doc == "" || op.Classic == "" || len(op.Tested) == 0 {
		return errors.New("doc, classic or tested is missing")
	}
	return errors.Join(m.checkMembers(op.Request), m.checkMembers(op.Response))
}

func (m *model) checkMembers(members []member) error {
	for _, f := range members {
		if _, err := m.goType(f.Type); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if f.Doc == "" {
			return fmt.Errorf("%s: doc is missing", f.Name)
		}
	}
	return nil
}

// markChecked marks the shapes that requests are made of and that have something to check.
func (m *model) markChecked(name string, members []member) bool {
	has := m.kinds[name] == isUnion
	for _, f := range members {
		has = has || m.ownCheck(f)
		if s, is := m.shapes[element(f.Type)]; is && m.markChecked(s.Name, s.Members) {
			has = true
		}
	}
	if has {
		m.checked[name] = true
	}
	return has
}

// ownCheck reports whether the member's own value has something to check.
func (m *model) ownCheck(f member) bool {
	if f.Min != nil || f.Max != nil || f.MaxBytes > 0 || f.IsName {
		return true
	}
	return (f.Required || f.Always && f.Type == "document") && m.canBeMissing(f.Type)
}

func (m *model) canBeMissing(t string) bool {
	return t == "string" || t == "timestamp" || t == "document" || m.kinds[t] == isEnum
}

// element returns the type of a list's or map's values, or t itself.
func element(t string) string {
	t = strings.TrimPrefix(t, "list of ")
	return strings.TrimPrefix(t, "map of ")
}

// goType returns the Go type of a value of type t.
func (m *model) goType(t string) (string, error) {
	if rest, is := strings.CutPrefix(t, "list of "); is {
		inner, err := m.goType(rest)
		return "[]" + inner, err
	}
	if rest, is := strings.CutPrefix(t, "map of "); is {
		inner, err := m.goType(rest)
		return "map[string]" + inner, err
	}
	switch t {
	case "string":
		return "string", nil
	case "blob":
		return "Blob", nil
	case "boolean":
		return "bool", nil
	case "integer":
		return "int32", nil
	case "long":
		return "int64", nil
	case "double":
		return "float64", nil
	case "timestamp":
		return "Timestamp", nil
	case "document":
		return "Document", nil
	}
	if m.kinds[t] == 0 {
		return "", fmt.Errorf("unknown type %q", t)
	}
	return t, nil
}
