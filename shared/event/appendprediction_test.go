package event

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// text returns a text, now and then one that JSON writes in another way.
func text(r *rand.Rand) string {
	odd := []rune("\"\\/<>&\x00\x1f\x7f\n\t\u2028\u2029ü線🙂\ufffd")
	b := make([]rune, r.IntN(12))
	for i := range b {
		b[i] = rune('!' + r.IntN('~'-'!'))
		if r.IntN(20) == 0 {
			b[i] = odd[r.IntN(len(odd))]
		}
	}
	if r.IntN(30) == 0 {
		return string(b) + "\xff"
	}
	return string(b)
}

func number(r *rand.Rand) float64 {
	switch r.IntN(4) {
	case 0:
		return math.Float64frombits(r.Uint64()) // also NaN and infinities
	case 1:
		return float64(r.IntN(100)) / 4
	case 2:
		return (r.Float64() - 0.5) * math.Pow(10, float64(r.IntN(60)-30))
	}
	return float64(float32(r.Float64()))
}

// fill sets a value and what is in it, or leaves it as it is, at random.
func fill(r *rand.Rand, v reflect.Value) {
	if r.IntN(4) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text(r))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64() >> r.IntN(64))
	case reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64, reflect.Float32:
		v.SetFloat(number(r))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key)
			fill(r, value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			zone := time.FixedZone("", r.IntN(60*60*50)-60*60*25)
			v.Set(reflect.ValueOf(time.Unix(r.Int64N(1<<38)-1<<36, r.Int64N(1e9)).In(zone)))
			return
		}
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	default:
		panic("a member of the kind " + v.Kind().String())
	}
}

// The message of a prediction is what encoding/json makes of it, to the byte, whatever is in it, or fails as that does.
func TestAppendPrediction(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	written := 0
	for range 50_000 {
		var p Prediction
		fill(r, reflect.ValueOf(&p).Elem())
		want, wantErr := Encode(p)
		got, err := AppendPrediction([]byte("before"), &p)
		if string(got) != "before"+string(want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%+v:\n%s, %v, want\n%s, %v", p, got, err, want, wantErr)
		}
		if err == nil {
			written++
		}
	}
	if written < 10_000 {
		t.Errorf("%d of the predictions were any", written)
	}
}

// A prediction of the usual kind is appended without reflection, and without allocations.
func TestAppendPredictionAllocatesNothing(t *testing.T) {
	p := full()
	p.Line, p.Watched, p.Quality, p.Contributors, p.Life = "Halle 1", nil, nil, nil, nil
	b := make([]byte, 0, 2000)
	if got := testing.AllocsPerRun(100, func() {
		if _, err := AppendPrediction(b, &p); err != nil {
			t.Error(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkAppendPrediction(b *testing.B) {
	p := full()
	p.Line, p.Absent, p.Missing, p.Assembling, p.Watched, p.Quality, p.Contributors, p.Life, p.Remaining = "Halle 1", 0, "", false, nil, nil, nil, nil, nil
	buf := make([]byte, 0, 2000)
	b.Run("appended", func(b *testing.B) {
		for b.Loop() {
			if _, err := AppendPrediction(buf, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(&p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
