package durable

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"edgepdm/test/must"
)

type state struct {
	Format int            `json:"format"`
	Name   string         `json:"name"`
	Counts map[string]int `json:"counts"`
}

func example() state {
	return state{Format: 1, Name: "press-1, \"sum\":\"12345678\"}", Counts: map[string]int{"a": 1, "b": 22}}
}

func TestRoundTrip(t *testing.T) {
	data, err := Marshal(example())
	must.OK(t, err)
	var got state
	if err := Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, example()) {
		t.Fatalf("%+v, %v", got, err)
	}
	var plain state // a program that knows nothing of seals
	if err := json.Unmarshal(data, &plain); err != nil || !reflect.DeepEqual(plain, example()) {
		t.Fatalf("%+v, %v", plain, err)
	}
}

// Every single flipped bit is noticed; a document with one is never another document.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	data, err := Marshal(example())
	must.OK(t, err)
	for i := range len(data) * 8 {
		bad := append([]byte(nil), data...)
		bad[i/8] ^= 1 << (i % 8)
		var got state
		if err := Unmarshal(bad, &got); err == nil && !reflect.DeepEqual(got, example()) {
			t.Fatalf("bit %d of byte %d (%q): taken as %+v", i%8, i/8, bad[i/8], got)
		}
	}
}

// So is every cut.
func TestEveryCutIsNoticed(t *testing.T) {
	data, err := Marshal(example())
	must.OK(t, err)
	for n := range len(data) - 1 { // the newline may go
		var got state
		if err := Unmarshal(data[:n], &got); err == nil {
			t.Fatalf("%d of %d bytes are taken as %+v", n, len(data), got)
		}
	}
}

func TestWithoutSeal(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"format":1,"name":"a"}`:              true,
		`{"format":1,"name":"a","new":2}`:      false,
		`{"format":1,"name":"a"}{"format":2}`:  false,
		`{"format":1,"name":"a","sum":"1234"}`: false,
		``:                                     false,
	} {
		var got state
		err := Unmarshal([]byte(text), &got)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNoObject(t *testing.T) {
	for _, v := range []any{nil, 3, "text", []int{1}, struct{}{}} {
		if data, err := Marshal(v); err == nil {
			t.Errorf("%v is encoded as %s", v, data)
		}
	}
}
