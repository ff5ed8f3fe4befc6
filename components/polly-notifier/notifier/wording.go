package notifier

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// alarmFacts are what an alert's message tells of its alarm beside the text.
type alarmFacts struct {
	event.AlertDelivery
	Line      string   `json:"line"`
	Fault     string   `json:"fault"`
	State     string   `json:"state"`
	Simulated bool     `json:"simulated"`
	Stands    bool     `json:"stands"` // another alarm of the machine
	Replayed  bool     `json:"replayed"`
	Reasons   []string `json:"reasons"`

	Contributors []json.RawMessage `json:"contributors"` // its text has said the reasons
}

const maxReasons = 3 // that are said

// words are what is said beside an alert's text, in a language.
type words struct {
	alert  string // before a text; as the workshop's function began
	clear  string // of an alarm that is over
	notice string // of one that may be, or beside which another one stands

	raised, again, was, wasRaised string
	reasons                       string
	over, something, simulation   string
	minute                        string
	units                         [3]string // days, hours and minutes
}

var english = words{
	alert: "Alert!", clear: "All clear.", notice: "Notice.",
	raised: "Raised %s ago. %s", again: " There is a connection again.", was: " That was %s ago.", wasRaised: " It was raised %s ago.",
	reasons: " Points to it: %s.", over: "The alarm %s of %s is over.", something: "An alarm is over.", simulation: "Simulation: ",
	minute: "a minute", units: [3]string{"days", "hours", "minutes"},
}

var otherWords = map[string]words{
	"de": {
		alert: "Achtung!", clear: "Entwarnung.", notice: "Hinweis.",
		raised: "Ausgelöst vor %s. %s", again: " Die Verbindung ist wieder da.", was: " Das war vor %s.", wasRaised: " Er wurde vor %s ausgelöst.",
		reasons: " Darauf deutet hin: %s.", over: "Der Alarm %s von %s ist vorbei.", something: "Ein Alarm ist vorbei.", simulation: "Simulation: ",
		minute: "einer Minute", units: [3]string{"Tagen", "Stunden", "Minuten"},
	},
	"es": {
		alert: "¡Atención!", clear: "Fin de la alarma.", notice: "Aviso.",
		raised: "Activada hace %s. %s", again: " Hay conexión de nuevo.", was: " Eso fue hace %s.", wasRaised: " Se activó hace %s.",
		reasons: " Indicios: %s.", over: "La alarma %s de %s ha terminado.", something: "Una alarma ha terminado.", simulation: "Simulación: ",
		minute: "un minuto", units: [3]string{"días", "horas", "minutos"},
	},
	"fr": {
		alert: "Attention !", clear: "Fin d'alerte.", notice: "Information.",
		raised: "Déclenchée il y a %s. %s", again: " La connexion est rétablie.", was: " C'était il y a %s.", wasRaised: " Elle s'est déclenchée il y a %s.",
		reasons: " Indices : %s.", over: "L'alarme %s de %s est terminée.", something: "Une alarme est terminée.", simulation: "Simulation : ",
		minute: "une minute", units: [3]string{"jours", "heures", "minutes"},
	},
}

// wordsOf are those of a voice; English where there are no others.
func wordsOf(v Voice) words {
	if w, known := otherWords[v.base()]; known {
		return w
	}
	return english
}

// speech returns what is said of an alert, and the call sign before it. What is over is not said as new, and what
// comes late says how old it is.
func (f alarmFacts) speech(w words, text, thing string) (sign, speech string) {
	if f.State != string(event.AlarmNormal) && !f.Over {
		if text != "" {
			text += f.pointing(w)
		}
		if ago := f.ago(w); ago != "" && text != "" {
			text = fmt.Sprintf(w.raised, ago, said(text))
		}
		if f.Reconnected && text != "" {
			return w.notice, text + w.again
		}
		return w.alert, text
	}
	speech = text
	ended := w.was
	if f.Over {
		speech, ended = f.over(w, thing), w.wasRaised
	}
	if ago := f.ago(w); ago != "" && speech != "" {
		speech += fmt.Sprintf(ended, ago)
	}
	if f.Stands {
		return w.notice, speech
	}
	return w.clear, speech
}

// pointing says the first reasons. The text of an alert with contributors has said them.
func (f alarmFacts) pointing(w words) string {
	if len(f.Contributors) > 0 {
		return ""
	}
	var reasons []string
	for _, r := range f.Reasons {
		if r = strings.TrimRight(clean(r), "."); r != "" && len(reasons) < maxReasons {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return fmt.Sprintf(w.reasons, strings.Join(reasons, "; "))
}

// over is the sentence about a raised alarm that is over.
func (f alarmFacts) over(w words, thing string) string {
	speak := strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace
	place := speak(thing)
	if f.Line != "" {
		place = speak(f.Line) + ", " + place
	}
	text := fmt.Sprintf(w.over, speak(f.Fault), place)
	if f.Fault == "" || thing == "" {
		text = w.something
	}
	if f.Simulated {
		text = w.simulation + text
	}
	return text
}

// maxLate is the longest delay that is said. A longer one is a mistake.
const maxLate = 10 * 365 * 24 * time.Hour

// ago says how late the alert was sent; "" when it was in time.
func (f alarmFacts) ago(w words) string {
	if f.Late <= 0 || f.Late > maxLate.Seconds() {
		return ""
	}
	for i, seconds := range []float64{24 * 60 * 60, 60 * 60, 60} {
		if n := f.Late / seconds; n >= 2 {
			return fmt.Sprintf("%d %s", int(n), w.units[i])
		}
	}
	return w.minute
}
