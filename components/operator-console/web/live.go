package web

import (
	"net/http"

	"edgepdm/shared/event"
)

// Live is a machine's last row.
type Live struct {
	TS      int64      `json:"ts"`                // of the row, milliseconds since 1970; 0: none has come since a page looks
	Model   string     `json:"model"`             // names Sensors
	Sensors []Sensor   `json:"sensors,omitempty"` // missing where the page knows those of the model
	Values  []*float32 `json:"values"`            // in the order of the sensors; null where one is missing
	Problem string     `json:"problem,omitempty"`
}

// live answers with a machine's last row. The rows are heard while a page asks for them.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	thing := r.URL.Query().Get("thing")
	if err := event.CheckName(thing); err != nil {
		http.Error(w, "thing: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.answer(w, s.Live(thing, r.URL.Query().Get("model")))
}
