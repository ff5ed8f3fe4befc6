package event

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// AppendPrediction appends the message that Encode makes of a prediction, to the byte, without reflection. It fails with an
// InvalidError when the message is larger than local topics carry; it is appended all the same.
func AppendPrediction(b []byte, p *Prediction) ([]byte, error) {
	w := writer{b: b}
	w.prediction(p)
	if w.odd {
		payload, err := Encode(p)
		return append(b, payload...), err
	}
	return w.b, Local.Check(w.b[len(b):])
}

// writer appends JSON in encoding/json's spelling. What it cannot write makes it odd: then encoding/json has the word.
type writer struct {
	b   []byte
	odd bool
}

func (w *writer) prediction(p *Prediction) {
	w.int(`{"v":`, int64(p.V))
	w.string(`,"id":`, p.ID)
	w.string(`,"thing":`, p.Thing)
	if p.Line != "" {
		w.string(`,"line":`, p.Line)
	}
	w.string(`,"epoch":`, p.Epoch)
	w.b = strconv.AppendUint(append(w.b, `,"seq":`...), p.Seq, 10)
	w.time(`,"ts":`, p.TS)
	w.string(`,"model":{"version":`, p.Model.Version)
	w.string(`,"sha256":`, p.Model.SHA256)
	w.float(`},"probability":`, p.Probability)
	w.string(`,"label":`, p.Label)
	w.float(`,"threshold":`, p.Threshold)
	w.int(`,"latency_us":`, p.LatencyUS)
	w.string(`,"platform":`, p.Platform)
	w.string(`,"text":`, p.Text)
	if p.Simulated {
		w.b = append(w.b, `,"simulated":true`...)
	}
	if p.Faulty != nil {
		w.b = strconv.AppendBool(append(w.b, `,"faulty":`...), *p.Faulty)
	}
	if p.Absent != 0 {
		w.int(`,"absent":`, int64(p.Absent))
	}
	if p.Missing != "" {
		w.string(`,"missing":`, p.Missing)
	}
	if p.Assembling {
		w.b = append(w.b, `,"assembling":true`...)
	}
	if len(p.Watched) > 0 {
		w.any(`,"watched":`, p.Watched)
	}
	if p.Quality != nil {
		w.any(`,"quality":`, p.Quality)
	}
	if len(p.Contributors) > 0 {
		w.any(`,"contributors":`, p.Contributors)
	}
	if p.Life != nil {
		w.any(`,"life":`, p.Life)
	}
	if p.Remaining != nil {
		w.float(`,"remaining":`, *p.Remaining)
	}
	w.b = append(w.b, '}')
}

func (w *writer) int(member string, n int64) {
	w.b = strconv.AppendInt(append(w.b, member...), n, 10)
}

// string leaves to encoding/json what has escapes, also those for HTML, and what is no ASCII.
func (w *writer) string(member, text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.any(member, text)
			return
		}
	}
	w.b = append(append(w.b, member...), '"')
	w.b = append(append(w.b, text...), '"')
}

func (w *writer) time(member string, t time.Time) {
	b, err := t.AppendText(append(append(w.b, member...), '"'))
	w.b, w.odd = append(b, '"'), w.odd || err != nil
}

// float writes a number as ES6 does: with an exponent only where it is very small or large, and that as short as can be.
func (w *writer) float(member string, x float64) {
	w.odd = w.odd || math.IsNaN(x) || math.IsInf(x, 0)
	w.b = append(w.b, member...)
	if size := math.Abs(x); size == 0 || size >= 1e-6 && size < 1e21 {
		w.b = strconv.AppendFloat(w.b, x, 'f', -1, 64)
		return
	}
	w.b = strconv.AppendFloat(w.b, x, 'e', -1, 64)
	if n := len(w.b); n >= 4 && w.b[n-4] == 'e' && w.b[n-2] == '0' { // e-09
		w.b[n-2] = w.b[n-1]
		w.b = w.b[:n-1]
	}
}

func (w *writer) any(member string, value any) {
	text, err := json.Marshal(value)
	w.b, w.odd = append(append(w.b, member...), text...), w.odd || err != nil
}
