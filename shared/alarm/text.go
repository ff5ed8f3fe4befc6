package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"edgepdm/shared/event"
)

// English is the language of texts where another one is not known.
const English = "en"

// words are the fixed sentences of a language. Their placeholders are those of templates.
type words struct {
	raised, returned, chattering, again, unacknowledged string
	summary, summarySite, on                            string
	priority                                            [4]string // by rank
	units                                               [3][2]string
}

var languages = map[string]words{
	English: {
		raised: "Alarm {fault} on {place}.", returned: "{place} is back to normal after {duration}.",
		chattering: "The alarm {fault} on {place} keeps coming and going.", again: "Still: {text}", unacknowledged: "Not acknowledged: {text}",
		summary: "{count} more alarms on {line}.", summarySite: "{count} more alarms.", on: "{line}, {thing}",
		priority: [4]string{"", "low", "medium", "high"},
		units:    [3][2]string{{"second", "seconds"}, {"minute", "minutes"}, {"hour", "hours"}},
	},
	"de": {
		raised: "Alarm {fault} an {place}.", returned: "{place} ist nach {duration} wieder normal.",
		chattering: "Der Alarm {fault} an {place} kommt und geht immer wieder.", again: "Weiterhin: {text}", unacknowledged: "Nicht quittiert: {text}",
		summary: "{count} weitere Alarme an {line}.", summarySite: "{count} weitere Alarme.", on: "{line}, {thing}",
		priority: [4]string{"", "niedrig", "mittel", "hoch"},
		units:    [3][2]string{{"Sekunde", "Sekunden"}, {"Minute", "Minuten"}, {"Stunde", "Stunden"}},
	},
	"es": {
		raised: "Alarma {fault} en {place}.", returned: "{place} vuelve a la normalidad después de {duration}.",
		chattering: "La alarma {fault} en {place} aparece y desaparece.", again: "Continúa: {text}", unacknowledged: "Sin reconocer: {text}",
		summary: "{count} alarmas más en {line}.", summarySite: "{count} alarmas más.", on: "{line}, {thing}",
		priority: [4]string{"", "baja", "media", "alta"},
		units:    [3][2]string{{"segundo", "segundos"}, {"minuto", "minutos"}, {"hora", "horas"}},
	},
	"fr": {
		raised: "Alarme {fault} sur {place}.", returned: "{place} est revenu à la normale après {duration}.",
		chattering: "L'alarme {fault} sur {place} apparaît et disparaît sans cesse.", again: "Toujours : {text}", unacknowledged: "Non acquittée : {text}",
		summary: "{count} autres alarmes sur {line}.", summarySite: "{count} autres alarmes.", on: "{line}, {thing}",
		priority: [4]string{"", "basse", "moyenne", "haute"},
		units:    [3][2]string{{"seconde", "secondes"}, {"minute", "minutes"}, {"heure", "heures"}},
	},
}

// placeholders are what a rule's text may have.
var placeholders = []string{"thing", "line", "place", "fault", "priority", "detail", "since"}

// checkTexts says whether a rule's texts can be used.
func checkTexts(texts map[string]string) error {
	if len(texts) > maxListed {
		return fmt.Errorf("text: has %d languages, at most %d", len(texts), maxListed)
	}
	for _, language := range slices.Sorted(maps.Keys(texts)) {
		text := texts[language]
		field := fmt.Sprintf("text.%.20s", language)
		if n := len(language); n < 2 || n > 20 {
			return fmt.Errorf("%s: is no language such as en", field)
		}
		if n := utf8.RuneCountInString(text); n == 0 || n > maxTemplate {
			return fmt.Errorf("%s: has %d characters, must have 1 to %d", field, n, maxTemplate)
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%s: has characters that cannot be printed", field)
		}
		for rest := text; ; {
			_, after, found := strings.Cut(rest, "{")
			if !found {
				break
			}
			name, tail, closed := strings.Cut(after, "}")
			if !closed || !slices.Contains(placeholders, name) {
				return fmt.Errorf("%s: {%.20s is none of the placeholders {%s}", field, name, strings.Join(placeholders, "}, {"))
			}
			rest = tail
		}
	}
	return nil
}

// Text returns what is said of a change, in a language: by the rule's text, by that of the observation, or else by a sentence of
// its own.
func (s *System) Text(c Change, language string) string {
	w, known := languages[language]
	if !known {
		w = languages[English]
	}
	a := c.Alarm
	fill := func(template string, more ...string) string {
		place := spoken(a.Thing)
		if a.Line != "" {
			place = strings.NewReplacer("{line}", spoken(a.Line), "{thing}", place).Replace(w.on)
		}
		since := ""
		if !unset(a.Since) {
			since = a.Since.In(s.zone).Format("15:04")
		}
		return strings.NewReplacer(append(more,
			"{thing}", spoken(a.Thing), "{line}", spoken(a.Line), "{place}", place, "{fault}", spoken(string(a.Fault)),
			"{priority}", w.priority[rank(a.Priority)], "{detail}", a.Detail, "{since}", since,
			"{duration}", w.length(a.Lasted), "{count}", fmt.Sprint(c.Count))...).Replace(template)
	}
	text := a.Text
	if template := s.template(a, language); template != "" || text == "" {
		text = fill(cmp.Or(template, w.raised))
	}
	switch c.Kind {
	case Returned:
		text = fill(w.returned)
	case Chattering:
		text = fill(w.chattering)
	case Summary:
		if text = fill(w.summary); a.Line == "" {
			text = fill(w.summarySite)
		}
	case ReAlarmed, Unshelved, Unsuppressed, ReturnedToService:
		text = fill(w.again, "{text}", text)
	case Escalated:
		text = fill(w.unacknowledged, "{text}", text)
	default: // it says what the alarm is
	}
	if a.Simulated {
		text = "Simulation: " + text
	}
	return event.Cut(text, maxText)
}

// template returns the text of an alarm's rules, in the language or in English; "": they have none.
func (s *System) template(a Alarm, language string) string {
	texts := s.policies.of(a.Line, a.Key).text
	return cmp.Or(texts[language], texts[English])
}

// spoken makes a name fit to be read aloud: line-1 becomes line 1.
func spoken(name string) string {
	return strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace(name)
}

// length says how long something was.
func (w words) length(d time.Duration) string {
	n, unit := int(d/time.Hour), w.units[2]
	switch {
	case d < 2*time.Minute:
		n, unit = max(int(d/time.Second), 1), w.units[0]
	case d < 2*time.Hour:
		n, unit = int(d/time.Minute), w.units[1]
	}
	if n == 1 {
		return "1 " + unit[0]
	}
	return fmt.Sprint(n) + " " + unit[1]
}
