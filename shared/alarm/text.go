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
	raised, returned, over, chattering, again, unacknowledged string
	summary, summarySite, on, simulation                      string
	priority                                                  [4]string // by rank
	units                                                     [3][2]string
}

var languages = map[string]words{
	English: {
		raised: "Alarm {fault} on {place}.", returned: "{place} is back to normal after {duration}.",
		over:       "The alarm {fault} on {place} is over after {duration}. Another one stands.",
		chattering: "The alarm {fault} on {place} keeps coming and going.", again: "Still: {text}", unacknowledged: "Not acknowledged: {text}",
		summary: "{count} more alarms on {line}.", summarySite: "{count} more alarms.", on: "{line}, {thing}", simulation: "Simulation: ",
		priority: [4]string{"", "low", "medium", "high"},
		units:    [3][2]string{{"second", "seconds"}, {"minute", "minutes"}, {"hour", "hours"}},
	},
	"de": {
		raised: "Alarm {fault} an {place}.", returned: "{place} ist nach {duration} wieder normal.",
		over:       "Der Alarm {fault} an {place} ist nach {duration} vorbei. Ein anderer steht an.",
		chattering: "Der Alarm {fault} an {place} kommt und geht immer wieder.", again: "Weiterhin: {text}", unacknowledged: "Nicht quittiert: {text}",
		summary: "{count} weitere Alarme an {line}.", summarySite: "{count} weitere Alarme.", on: "{line}, {thing}", simulation: "Simulation: ",
		priority: [4]string{"", "niedrig", "mittel", "hoch"},
		units:    [3][2]string{{"Sekunde", "Sekunden"}, {"Minute", "Minuten"}, {"Stunde", "Stunden"}},
	},
	"es": {
		raised: "Alarma {fault} en {place}.", returned: "{place} vuelve a la normalidad después de {duration}.",
		over:       "La alarma {fault} en {place} ha terminado después de {duration}. Hay otra activa.",
		chattering: "La alarma {fault} en {place} aparece y desaparece.", again: "Continúa: {text}", unacknowledged: "Sin reconocer: {text}",
		summary: "{count} alarmas más en {line}.", summarySite: "{count} alarmas más.", on: "{line}, {thing}", simulation: "Simulación: ",
		priority: [4]string{"", "baja", "media", "alta"},
		units:    [3][2]string{{"segundo", "segundos"}, {"minuto", "minutos"}, {"hora", "horas"}},
	},
	"fr": {
		raised: "Alarme {fault} sur {place}.", returned: "{place} est revenu à la normale après {duration}.",
		over:       "L'alarme {fault} sur {place} est terminée après {duration}. Une autre est active.",
		chattering: "L'alarme {fault} sur {place} apparaît et disparaît sans cesse.", again: "Toujours : {text}", unacknowledged: "Non acquittée : {text}",
		summary: "{count} autres alarmes sur {line}.", summarySite: "{count} autres alarmes.", on: "{line}, {thing}", simulation: "Simulation : ",
		priority: [4]string{"", "basse", "moyenne", "haute"},
		units:    [3][2]string{{"seconde", "secondes"}, {"minute", "minutes"}, {"heure", "heures"}},
	},
}

// placeholders are what a rule's text may have.
var placeholders = []string{"thing", "line", "place", "fault", "priority", "detail", "since", "reasons", "life"}

// Insight is what the owner knows beside an alarm, as sentences in the text's language; "" where it knows nothing. A template puts
// them where it has {reasons} and {life}; a text with neither is followed by both.
type Insight struct {
	Reasons string // what points to it
	Life    string // when maintenance is likely
}

func (i Insight) after(text string) string {
	for _, sentence := range []string{i.Reasons, i.Life} {
		text = strings.TrimSpace(text + " " + sentence)
	}
	return text
}

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
// its own. Where there is no room for the reasons, they are left out.
func (s *System) Text(c Change, language string, i Insight) string {
	text := s.text(c, language, i)
	if len(text) > maxText && i.Reasons != "" {
		i.Reasons = ""
		text = s.text(c, language, i)
	}
	return event.Cut(text, maxText)
}

func (s *System) text(c Change, language string, i Insight) string {
	w, known := languages[baseOf(language)]
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
			"{duration}", w.length(a.Lasted), "{count}", fmt.Sprint(c.Count), "{reasons}", i.Reasons, "{life}", i.Life)...).Replace(template)
	}
	text, placed := a.Text, false
	if template := s.template(a, language); template != "" || text == "" {
		placed = strings.Contains(template, "{reasons}") || strings.Contains(template, "{life}")
		text = strings.Join(strings.Fields(fill(cmp.Or(template, w.raised))), " ") // a placeholder may stand for nothing
	}
	if !placed {
		text = i.after(text)
	}
	switch c.Kind {
	case Returned:
		text = fill(w.returned)
		if s.StandsBeside(a.Key) {
			text = fill(w.over)
		}
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
		text = w.simulation + text
	}
	return text
}

// template returns the text of an alarm's rules, in the language or in English; "": they have none.
func (s *System) template(a Alarm, language string) string {
	texts := s.policies.of(a.Line, a.Key).text
	return cmp.Or(texts[language], texts[baseOf(language)], texts[English])
}

// Speaks reports whether there are texts in a language: sentences of its own, or those of a rule.
func (c Config) Speaks(tag string) bool {
	_, known := languages[baseOf(tag)]
	return known || slices.ContainsFunc(c.Rules, func(r Rule) bool { return cmp.Or(r.Text[tag], r.Text[baseOf(tag)]) != "" })
}

// baseOf is the language of a tag such as de-AT.
func baseOf(tag string) string {
	name, _, _ := strings.Cut(strings.ToLower(tag), "-")
	return name
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
