package web

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"time"

	"edgepdm/components/operator-console/trends"
	"edgepdm/shared/event"
)

// Sensor is what people call a sensor, and what it usually shows.
type Sensor struct {
	Sensor string            `json:"sensor"`
	Name   string            `json:"name,omitempty"`
	Names  map[string]string `json:"names,omitempty"`
	Unit   string            `json:"unit,omitempty"`
	Low    *float32          `json:"low,omitempty"`  // 5 % of the values in training were lower
	High   *float32          `json:"high,omitempty"` // 5 % were higher
}

// Trend is how a machine went.
type Trend struct {
	trends.Trend
	Sensors []Sensor `json:"sensors"`
}

// spans are the lengths that a page asks for.
var spans = map[string]time.Duration{
	"10m": 10 * time.Minute, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "90d": 90 * 24 * time.Hour,
}

// asked returns the trend that a page asks for; with ok false the answer is given.
func (s *Server) asked(w http.ResponseWriter, r *http.Request) (t Trend, thing string, ok bool) {
	thing = r.URL.Query().Get("thing")
	length, known := spans[r.URL.Query().Get("span")]
	if err := event.CheckName(thing); err != nil || !known {
		http.Error(w, "thing and span are needed; span is 10m, 1h, 24h, 7d or 90d", http.StatusBadRequest)
		return t, "", false
	}
	t = s.Trend(thing, length)
	t.Sensors = slices.DeleteFunc(t.Sensors, func(s Sensor) bool { return t.Series[s.Sensor] == nil })
	return t, thing, true
}

// trend answers with a trend as JSON.
func (s *Server) trend(w http.ResponseWriter, r *http.Request) {
	t, _, ok := s.asked(w, r)
	if !ok {
		return
	}
	s.answer(w, t)
}

// trendCSV answers with a trend as CSV: times in RFC 3339 (UTC), then mean, min and max of each series.
func (s *Server) trendCSV(w http.ResponseWriter, r *http.Request) {
	t, thing, ok := s.asked(w, r)
	if !ok {
		return
	}
	names := make([]string, 0, len(t.Series))
	for name := range t.Series {
		names = append(names, name)
	}
	slices.Sort(names)
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+thing+`.csv"`) // CheckName lets no quote in
	out := csv.NewWriter(w)
	head := []string{"time"}
	for _, name := range names {
		head = append(head, plain(name)+" mean", plain(name)+" min", plain(name)+" max")
	}
	_ = out.Write(head) // Error tells below
	for i, at := range t.Times {
		line := []string{time.UnixMilli(int64(at * 1000)).UTC().Format("2006-01-02T15:04:05.000Z07:00")}
		for _, name := range names {
			v := t.Series[name]
			line = append(line, number(v.Mean[i]), number(v.Min[i]), number(v.Max[i]))
		}
		_ = out.Write(line)
	}
	if out.Flush(); out.Error() != nil {
		s.Log.Debug("an answer was not taken", "error", out.Error())
	}
}

// plain keeps a name from being a formula where the file is opened as a table.
func plain(name string) string {
	if name != "" && slices.Contains([]byte("=+-@\t\r"), name[0]) {
		return "'" + name
	}
	return name
}

func number(x *float32) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*x), 'g', -1, 32)
}
