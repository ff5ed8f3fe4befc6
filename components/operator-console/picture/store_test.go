package picture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// follower is a page that applies what it is sent.
type follower struct {
	epoch   string
	version uint64
	records map[Kind]map[string]string
}

func (f *follower) take(d Delta) {
	if d.Reset || f.records == nil {
		f.records = make(map[Kind]map[string]string)
	}
	f.epoch, f.version = d.Epoch, d.Version
	for kind, of := range d.Set {
		if f.records[kind] == nil {
			f.records[kind] = make(map[string]string)
		}
		for key, data := range of {
			f.records[kind][key] = string(data)
		}
	}
	for kind, keys := range d.Gone {
		for _, key := range keys {
			delete(f.records[kind], key)
		}
	}
}

// A page that looks from time to time sees what is there, also after it slept longer than removals are remembered, and after a
// restart of the component.
func TestAPageThatSleepsIsRightAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := NewStore("a")
	var often, seldom follower
	want := make(map[Kind]map[string]string)
	for i := range 20_000 {
		kind, key := []Kind{Things, Alarms}[random.IntN(2)], fmt.Sprint(random.IntN(50))
		if want[kind] == nil {
			want[kind] = make(map[string]string)
		}
		if random.IntN(3) == 0 {
			s.Delete(kind, key)
			delete(want[kind], key)
		} else {
			data := fmt.Sprint(i)
			s.Set(kind, key, json.RawMessage(data))
			want[kind][key] = data
		}
		if random.IntN(10) == 0 {
			d := s.Since(often.epoch, often.version)
			if d.Reset != (often.epoch == "") {
				t.Fatal("all again")
			}
			if often.take(d); !reflect.DeepEqual(often.records, want) {
				t.Fatalf("step %d: %v, want %v", i, often.records, want)
			}
		}
		if i == 0 {
			seldom.take(s.Since(seldom.epoch, seldom.version))
		}
	}
	d := s.Since(seldom.epoch, seldom.version)
	if seldom.take(d); !d.Reset || !reflect.DeepEqual(seldom.records, want) {
		t.Errorf("reset %t, %v", d.Reset, seldom.records)
	}
	if !s.Since(seldom.epoch, seldom.version).Empty() {
		t.Error("news of nothing")
	}
	next := NewStore("b")
	next.Set(Things, "x", json.RawMessage("1"))
	if seldom.take(next.Since(seldom.epoch, seldom.version)); len(seldom.records) != 1 || seldom.records[Things]["x"] != "1" {
		t.Errorf("%v", seldom.records)
	}
}
