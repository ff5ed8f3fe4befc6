package envelope

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkJSON refuses what two readers could understand differently: invalid UTF-8, a member that comes twice in one object
// (also when the two differ only in case, which encoding/json does not tell apart), and anything after the document.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("not UTF-8")
	}
	if !json.Valid(data) { // exactly one value, and not nested deeper than encoding/json goes
		return fmt.Errorf("not one JSON document")
	}
	type frame struct {
		members map[string]bool // nil for an array
		isName  bool            // the next token is a member's name
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var stack []frame
	for {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		var top *frame
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		switch token {
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			if len(stack) == 0 {
				return nil
			}
			continue
		}
		if top != nil && top.isName {
			name := token.(string)
			folded := fold(name)
			if top.members[folded] {
				return fmt.Errorf("member %.64q comes twice", name)
			}
			top.members[folded], top.isName = true, false
			continue
		}
		if top != nil && top.members != nil {
			top.isName = true
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, frame{members: map[string]bool{}, isName: true})
		case json.Delim('['):
			stack = append(stack, frame{})
		}
		if len(stack) == 0 {
			return nil // a scalar document
		}
	}
}

// DecodeStrict reads a JSON document that a person or a script wrote: a member that is misspelt or comes twice is an error.
func DecodeStrict(data []byte, into any) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// fold gives two names that encoding/json does not tell apart the same one.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }
