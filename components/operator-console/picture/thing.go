package picture

import (
	"encoding/json"

	"edgepdm/shared/event"
)

// Thing is what the model said of a machine last, with short names: there are many.
type Thing struct {
	Line      string              `json:"l,omitempty"`
	Score     float64             `json:"p"`           // probability of a fault
	Threshold float64             `json:"h"`           // from which it is faulty
	Label     string              `json:"b,omitempty"` // "F" faulty, "N" no data; missing: not faulty
	TS        int64               `json:"t"`           // of the row, milliseconds since 1970
	Heard     int64               `json:"a"`           // when it came
	Life      *event.Life         `json:"f,omitempty"`
	Quality   *event.Quality      `json:"q,omitempty"`
	Watched   event.Watched       `json:"w,omitempty"`
	Why       []event.Contributor `json:"y,omitempty"` // of the last row that said so
	WhyTS     int64               `json:"yt,omitempty"`
	Model     string              `json:"m,omitempty"`
	Simulated bool                `json:"s,omitempty"`
}

// Labels of a Thing.
const (
	Faulty = "F"
	NoData = "N"
)

// After returns the thing after a prediction, which came at the time of milliseconds.
func (t Thing) After(p *event.Prediction, now int64) Thing {
	next := Thing{
		Line: p.Line, Score: p.Probability, Threshold: p.Threshold, TS: p.TS.UnixMilli(), Heard: now, Life: p.Life, Quality: p.Quality, Watched: p.Watched,
		Why: t.Why, WhyTS: t.WhyTS, Model: p.Model.Version, Simulated: p.Simulated,
	}
	switch p.Label {
	case event.LabelFaulty:
		next.Label = Faulty
	case event.LabelNoData:
		next.Label = NoData
	}
	if len(p.Contributors) > 0 {
		next.Why, next.WhyTS = p.Contributors, next.TS
	}
	return next
}

// Encode returns it as a record.
func (t Thing) Encode() json.RawMessage {
	data, err := json.Marshal(t)
	if err != nil { // a number that JSON cannot say: decoders let none in
		return json.RawMessage("null")
	}
	return data
}
