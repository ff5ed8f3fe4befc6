// Package words says for people what points to a fault of a machine, and when it is likely to need maintenance. A model knows no more
// than that: the words claim nothing else.
package words

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"edgepdm/shared/event"
)

// MaxSaid is how many reasons a text has that is spoken. Lists and e-mails have all.
const MaxSaid = 3

// MaxReason bounds what Reason returns, in bytes.
const MaxReason = 240

// maxName is how much of a name is said, in bytes.
const maxName = 100

// language has the words of a language. Each %s is a number, or a number with its unit.
type language struct {
	points                string // before reasons
	together              string // before the names of what is usual one by one
	usual, inside, around string // the range
	above, below, missing string
	comma                 bool // numbers have a decimal comma

	between, about, within, beyond, now string // the life
	units                               map[string][2]string
}

var languages = map[string]language{
	"en": {
		points: "Points to it: ", together: "The values are usual one by one; together they point to a fault: ",
		usual: "usually %s to %s", inside: "within the usual %s to %s", around: "usually %s",
		above: "above the usual", below: "below the usual", missing: "no value",
		between: "Likely to need maintenance in %s to %s.", about: "Likely to need maintenance in about %s.",
		within: "Likely to need maintenance within %s.", beyond: "Likely to need maintenance in more than %s.", now: "Likely to need maintenance now.",
		units: map[string][2]string{
			"minutes": {"minute", "minutes"}, "hours": {"hour", "hours"}, "days": {"day", "days"}, "weeks": {"week", "weeks"}, "cycles": {"cycle", "cycles"},
		},
	},
	"de": {
		points: "Darauf deutet hin: ", together: "Jeder Wert für sich ist üblich; zusammen deuten sie auf einen Fehler hin: ",
		usual: "üblich sind %s bis %s", inside: "im üblichen Bereich von %s bis %s", around: "üblich ist %s",
		above: "höher als üblich", below: "niedriger als üblich", missing: "kein Wert", comma: true,
		between: "Wartung wahrscheinlich in %s bis %s nötig.", about: "Wartung wahrscheinlich in etwa %s nötig.",
		within: "Wartung wahrscheinlich innerhalb von %s nötig.", beyond: "Wartung wahrscheinlich erst in mehr als %s nötig.", now: "Wartung wahrscheinlich jetzt nötig.",
		units: map[string][2]string{
			"minutes": {"Minute", "Minuten"}, "hours": {"Stunde", "Stunden"}, "days": {"Tag", "Tagen"}, "weeks": {"Woche", "Wochen"}, "cycles": {"Zyklus", "Zyklen"},
		},
	},
	"es": {
		points: "Indicios: ", together: "Cada valor por separado es habitual; juntos apuntan a un fallo: ",
		usual: "normalmente de %s a %s", inside: "dentro de lo habitual, de %s a %s", around: "normalmente %s",
		above: "por encima de lo habitual", below: "por debajo de lo habitual", missing: "sin valor", comma: true,
		between: "Probablemente necesite mantenimiento dentro de %s a %s.", about: "Probablemente necesite mantenimiento dentro de aproximadamente %s.",
		within: "Probablemente necesite mantenimiento en menos de %s.", beyond: "Probablemente necesite mantenimiento dentro de más de %s.",
		now: "Probablemente necesite mantenimiento ahora.",
		units: map[string][2]string{
			"minutes": {"minuto", "minutos"}, "hours": {"hora", "horas"}, "days": {"día", "días"}, "weeks": {"semana", "semanas"}, "cycles": {"ciclo", "ciclos"},
		},
	},
	"fr": {
		points: "Indices : ", together: "Chaque valeur prise seule est habituelle ; ensemble, elles indiquent un défaut : ",
		usual: "habituellement %s à %s", inside: "dans la plage habituelle de %s à %s", around: "habituellement %s",
		above: "au-dessus de la normale", below: "au-dessous de la normale", missing: "pas de valeur", comma: true,
		between: "Maintenance probablement nécessaire dans %s à %s.", about: "Maintenance probablement nécessaire dans environ %s.",
		within: "Maintenance probablement nécessaire dans moins de %s.", beyond: "Maintenance probablement nécessaire dans plus de %s.",
		now: "Maintenance probablement nécessaire maintenant.",
		units: map[string][2]string{
			"minutes": {"minute", "minutes"}, "hours": {"heure", "heures"}, "days": {"jour", "jours"}, "weeks": {"semaine", "semaines"}, "cycles": {"cycle", "cycles"},
		},
	},
}

// base is the language of a tag such as de-AT.
func base(tag string) string {
	name, _, _ := strings.Cut(strings.ToLower(tag), "-")
	return name
}

// Keys are the names of a language in Names of a contributor, the one that is preferred first.
func Keys(tag string) []string { return []string{tag, base(tag)} }

// of returns the words of a language; English where there are none.
func of(tag string) language {
	if w, known := languages[base(tag)]; known {
		return w
	}
	return languages["en"]
}

// Reason says what a contributor is, such as "oil return temperature 96 °C, usually 60 to 82".
func Reason(c event.Contributor, tag string) string { return bounded(of(tag).reason(c, tag, c.Unit)) }

// bounded cuts a reason, and leaves out what cannot be printed.
func bounded(reason string) string {
	return event.Cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, reason), MaxReason)
}

// Reasons are those of all contributors: first what is outside its usual range or missing, otherwise in their order.
func Reasons(list []event.Contributor, tag string) []string {
	var reasons []string
	for _, c := range outsideFirst(list) {
		reasons = append(reasons, Reason(c, tag))
	}
	return reasons
}

// outsideFirst returns contributors with those first that send somebody to look.
func outsideFirst(list []event.Contributor) []event.Contributor {
	rank := func(c event.Contributor) int {
		switch c.Direction {
		case event.DirectionAbove, event.DirectionBelow, event.DirectionMissing:
			return 0
		default:
			return 1
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b event.Contributor) int { return rank(a) - rank(b) })
	return list
}

// Points is the sentence of the first reasons, for a text that is spoken: so many as fit into room bytes; "" for none. A value within
// its usual range matters together with others, and sends nobody anywhere: it is said only where there is nothing else.
func Points(list []event.Contributor, tag string, room int) string {
	w := of(tag)
	begin, separator := w.points, "; "
	say := func(c event.Contributor) string { return w.reason(c, tag, spokenUnit(c.Unit, tag)) }
	others := slices.DeleteFunc(outsideFirst(list), func(c event.Contributor) bool { return c.Direction == event.DirectionWithin })
	switch {
	case len(others) > 0:
		list = others
	case len(list) > 1:
		begin, separator = w.together, ", "
		say = func(c event.Contributor) string { return event.Cut(nameOf(c, tag), maxName) }
	}
	sentence := ""
	for i, c := range list[:min(len(list), MaxSaid)] {
		longer := begin
		if i > 0 {
			longer = strings.TrimSuffix(sentence, ".") + separator
		}
		longer += bounded(say(c)) + "."
		if len(longer) > room {
			break
		}
		sentence = longer
	}
	return sentence
}

func (w language) reason(c event.Contributor, tag, unit string) string {
	name := event.Cut(nameOf(c, tag), maxName)
	switch {
	case c.Value == nil && c.Direction == event.DirectionMissing:
		return name + ", " + w.missing
	case c.Value == nil && c.Direction == event.DirectionAbove:
		return name + ", " + w.above
	case c.Value == nil && c.Direction == event.DirectionBelow:
		return name + ", " + w.below
	case c.Value == nil:
		return name
	}
	value, low, high := w.numbers(c)
	text := strings.TrimSpace(name + " " + value + " " + unit)
	switch {
	case low == "":
		return text
	case low == high:
		return text + ", " + fill(w.around, low)
	case c.Direction == event.DirectionWithin:
		return text + ", " + fill(w.inside, low, high)
	}
	return text + ", " + fill(w.usual, low, high)
}

// nameOf is a contributor's name in a language, or else the one for people, or else its sensor's.
func nameOf(c event.Contributor, tag string) string {
	for _, key := range Keys(tag) {
		if name := c.Names[key]; name != "" {
			return name
		}
	}
	if c.Name != "" {
		return c.Name
	}
	return strings.NewReplacer("_", " ", "-", " ").Replace(c.Sensor)
}

// numbers rounds a value and its usual range alike: to a tenth of the range, and as much finer as keeps apart what is apart.
// Without a range low is "".
func (w language) numbers(c event.Contributor) (value, low, high string) {
	v := float64(*c.Value)
	const digits = 3
	if c.Low == nil || c.High == nil {
		return w.number(v, digits-1-magnitude(v)), "", ""
	}
	l, h := float64(*c.Low), float64(*c.High)
	decimals := 1 - magnitude(h-l)
	if h <= l {
		decimals = digits - 1 - magnitude(max(math.Abs(v), math.Abs(l)))
	}
	for tries := 0; ; tries++ {
		value, low, high = w.number(v, decimals), w.number(l, decimals), w.number(h, decimals)
		apart := (v <= h || value != high) && (v >= l || value != low)
		if apart || tries >= 6 {
			return value, low, high
		}
		decimals = max(decimals, 0) + 1
	}
}

// magnitude is the power of ten of a number; 0 of 0.
func magnitude(x float64) int {
	if x = math.Abs(x); x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	return int(math.Floor(math.Log10(x)))
}

// number writes a number with so many decimals at most; whole ones stay whole. What is very large or small has a power of ten.
func (w language) number(x float64, decimals int) string {
	text := ""
	if a := math.Abs(x); a >= 1e9 || a > 0 && a < 1e-6 {
		text = strconv.FormatFloat(x, 'g', 3, 64)
	} else {
		text = strconv.FormatFloat(x, 'f', min(max(decimals, 0), 9), 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
	}
	if text == "-0" {
		text = "0"
	}
	if w.comma {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

// finer has the next smaller unit of one, and how many of it there are.
var finer = map[string]struct {
	unit string
	n    float64
}{"weeks": {"days", 7}, "days": {"hours", 24}, "hours": {"minutes", 60}}

// Life is the sentence of when a machine is likely to need maintenance; "" where the model does not say.
func Life(l *event.Life, tag string) string {
	if l == nil || !slices.Contains(event.LifeUnits, l.Unit) {
		return ""
	}
	w, unit, low, high := of(tag), l.Unit, l.Low, l.High
	if l.Beyond {
		high = low // the only end that is known
	}
	for next, is := finer[unit]; is && high < 1; next, is = finer[unit] {
		unit, low, high = next.unit, low*next.n, high*next.n
	}
	decimals := 0
	if high < 10 && unit != "cycles" && unit != "minutes" {
		decimals = 1
	}
	from, to := w.number(low, decimals), w.number(high, decimals)
	length := func(n string) string {
		if n == "1" {
			return n + " " + w.units[unit][0]
		}
		return n + " " + w.units[unit][1]
	}
	switch {
	case l.Beyond && from == "0":
		return ""
	case l.Beyond:
		return fill(w.beyond, length(from))
	case to == "0":
		return w.now
	case from == "0":
		return fill(w.within, length(to))
	case from == to:
		return fill(w.about, length(to))
	}
	return fill(w.between, from, length(to))
}

// fill puts parts into a template, one for each %s.
func fill(template string, parts ...string) string {
	for _, part := range parts {
		template = strings.Replace(template, "%s", part, 1)
	}
	return template
}
