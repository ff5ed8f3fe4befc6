package words_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"edgepdm/shared/event"
	"edgepdm/shared/words"
)

func f(x float32) *float32 { return &x }

func oil(value, low, high float32, d event.Direction) event.Contributor {
	return event.Contributor{
		Sensor: "oil_temp", Name: "oil return temperature", Names: map[string]string{"de": "Öltemperatur im Rücklauf"},
		Value: f(value), Low: f(low), High: f(high), Unit: "°C", Direction: d, Share: 0.4,
	}
}

func TestReason(t *testing.T) {
	for _, c := range []struct {
		c              event.Contributor
		language, want string
	}{
		{oil(96.04, 60.2, 81.7, event.DirectionAbove), "en", "oil return temperature 96 °C, usually 60 to 82"},
		{oil(96.04, 60.2, 81.7, event.DirectionAbove), "xx", "oil return temperature 96 °C, usually 60 to 82"},
		{oil(96.04, 60.2, 81.7, event.DirectionAbove), "de-AT", "Öltemperatur im Rücklauf 96 °C, üblich sind 60 bis 82"},
		{oil(96.04, 60.2, 81.7, event.DirectionAbove), "es", "oil return temperature 96 °C, normalmente de 60 a 82"},
		{oil(96.04, 60.2, 81.7, event.DirectionAbove), "fr-FR", "oil return temperature 96 °C, habituellement 60 à 82"},
		{oil(70, 60.2, 81.7, event.DirectionWithin), "en", "oil return temperature 70 °C, within the usual 60 to 82"},
		{oil(82.1, 60.2, 81.9, event.DirectionAbove), "en", "oil return temperature 82.1 °C, usually 60.2 to 81.9"}, // not 82, usually to 82
		{oil(7.13, 1.04, 3.07, event.DirectionAbove), "de", "Öltemperatur im Rücklauf 7,1 °C, üblich sind 1 bis 3,1"},
		{oil(3251, 1012.3, 2950, event.DirectionAbove), "en", "oil return temperature 3251 °C, usually 1012 to 2950"},
		{oil(0.5, 0, 0, event.DirectionAbove), "en", "oil return temperature 0.5 °C, usually 0"},
		{oil(-0.01, -5, 5, event.DirectionWithin), "en", "oil return temperature 0 °C, within the usual -5 to 5"},
		{oil(1e30, 0, 1, event.DirectionAbove), "en", "oil return temperature 1e+30 °C, usually 0 to 1"},
		{event.Contributor{Sensor: "oil_temp", Direction: event.DirectionMissing, Low: f(1), High: f(2), Unit: "°C"}, "en", "oil temp, no value"},
		{event.Contributor{Sensor: "oil_temp", Direction: event.DirectionMissing}, "de", "oil temp, kein Wert"},
		{event.Contributor{Sensor: "bands", Name: "ultrasound bands"}, "en", "ultrasound bands"},
		{event.Contributor{Sensor: "bands", Direction: event.DirectionAbove}, "en", "bands, above the usual"},
		{event.Contributor{Sensor: "bands", Direction: event.DirectionBelow}, "fr", "bands, au-dessous de la normale"},
		{event.Contributor{Sensor: "p", Value: f(1.23456), Unit: "bar"}, "en", "p 1.23 bar"},
		{event.Contributor{Sensor: "p", Name: "a\x1b[2J\nb\xff"}, "en", "a[2Jb"},
		{event.Contributor{Sensor: "p", Value: f(123456), High: f(1)}, "en", "p 123456"},
	} {
		if got := words.Reason(c.c, c.language); got != c.want {
			t.Errorf("%s: %q, want %q", c.language, got, c.want)
		}
	}
}

// What is above or below the usual range is so in the words, too, and names of any length stay in bounds.
func TestReasonTellsApart(t *testing.T) {
	number := regexp.MustCompile(`x (\S+), (?:usually|within the usual) (\S+)(?: to (\S+))?$`)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		scale := float32(1)
		for range random.IntN(6) {
			scale *= 10
		}
		low := (random.Float32() - 0.5) * scale
		high := low + random.Float32()*scale
		value := low + (random.Float32()*3-1)*(high-low)
		c := event.Contributor{Sensor: "x", Value: &value, Low: &low, High: &high}
		switch {
		case value > high*(1+1e-5)+1e-4*scale:
			c.Direction = event.DirectionAbove
		case value < low*(1-1e-5)-1e-4*scale:
			c.Direction = event.DirectionBelow
		default:
			continue
		}
		text := words.Reason(c, "en")
		m := number.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%v, %v to %v: %q", value, low, high, text)
		}
		if m[3] == "" {
			m[3] = m[2]
		}
		v, l, h := parse(t, m[1]), parse(t, m[2]), parse(t, m[3])
		if c.Direction == event.DirectionAbove && v <= h || c.Direction == event.DirectionBelow && v >= l {
			t.Fatalf("%v, %v to %v: %q", value, low, high, text)
		}
	}
	long := event.Contributor{Sensor: "x", Name: strings.Repeat("ü", 300), Value: f(1), Low: f(2), High: f(3), Unit: "0123456789abcdef"}
	if text := words.Reason(long, "en"); len(text) > words.MaxReason || !utf8.ValidString(text) || !strings.HasSuffix(text, "usually 2 to 3") {
		t.Errorf("%q", text)
	}
}

func parse(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestPoints(t *testing.T) {
	vibration := event.Contributor{Sensor: "vib", Name: "vibration", Value: f(7.1), Low: f(1), High: f(3), Unit: "mm/s", Direction: event.DirectionAbove}
	missing := event.Contributor{Sensor: "p", Direction: event.DirectionMissing}
	list := []event.Contributor{oil(96, 60, 82, event.DirectionAbove), vibration, missing, missing}
	const first = "Points to it: oil return temperature 96 °C, usually 60 to 82"
	const second = first + "; vibration 7.1 millimeters per second, usually 1 to 3"
	const together = "The values are usual one by one; together they point to a fault: "
	within := []event.Contributor{oil(70, 60, 82, event.DirectionWithin), vibration, {Sensor: "noise"}, {Sensor: "dust"}}
	for i := range within {
		within[i].Direction = event.DirectionWithin
	}
	for _, c := range []struct {
		language string
		list     []event.Contributor
		room     int
		want     string
	}{
		{"en", list, 1000, second + "; p, no value."},
		{"en", list, len(second) + 1, second + "."},
		{"en", list, len(second), first + "."},
		{"en", list, 10, ""},
		{"en", nil, 1000, ""},
		{"en", []event.Contributor{oil(70, 60, 82, event.DirectionWithin), list[0], oil(71, 60, 82, event.DirectionWithin), vibration}, 1000, second + "."},
		{"en", []event.Contributor{oil(70, 60, 82, event.DirectionWithin), {Sensor: "bands"}, list[0]}, 1000, first + "; bands."},
		{"en", []event.Contributor{oil(70, 60, 82, event.DirectionWithin), missing}, 1000, "Points to it: p, no value."},
		{"en", within, 1000, together + "oil return temperature, vibration, noise."},
		{"en", within, len(together) + 25, together + "oil return temperature."},
		{"en", within, 30, ""},
		{"de-AT", within[:2], 1000, "Jeder Wert für sich ist üblich; zusammen deuten sie auf einen Fehler hin: Öltemperatur im Rücklauf, vibration."},
		{"es", within[1:3], 1000, "Cada valor por separado es habitual; juntos apuntan a un fallo: vibration, noise."},
		{"fr", within[1:3], 1000, "Chaque valeur prise seule est habituelle ; ensemble, elles indiquent un défaut : vibration, noise."},
		{"en", []event.Contributor{oil(70, 60, 82, event.DirectionWithin)}, 1000, "Points to it: oil return temperature 70 °C, within the usual 60 to 82."},
		{"de", list[:2], 1000, "Darauf deutet hin: Öltemperatur im Rücklauf 96 °C, üblich sind 60 bis 82; vibration 7,1 Millimeter pro Sekunde, üblich sind 1 bis 3."},
		{"es", list[1:2], 1000, "Indicios: vibration 7,1 milímetros por segundo, normalmente de 1 a 3."},
		{"fr", list[1:2], 1000, "Indices : vibration 7,1 millimètres par seconde, habituellement 1 à 3."},
	} {
		if got := words.Points(c.list, c.language, c.room); got != c.want {
			t.Errorf("%s: %q, want %q", c.language, got, c.want)
		}
	}
}

// What is outside its usual range or missing comes first in a list, otherwise all stays in its order, and so do the contributors.
func TestReasonsOutsideComeFirst(t *testing.T) {
	var list []event.Contributor
	for i, d := range []event.Direction{event.DirectionWithin, event.DirectionBelow, "", event.DirectionMissing, event.DirectionAbove} {
		list = append(list, event.Contributor{Sensor: string(rune('a' + i)), Direction: d})
	}
	before := slices.Clone(list)
	want := []string{"b, below the usual", "d, no value", "e, above the usual", "a", "c"}
	if got := words.Reasons(list, "en"); !slices.Equal(got, want) || !reflect.DeepEqual(list, before) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := words.Reasons(nil, "en"); got != nil {
		t.Errorf("%q", got)
	}
}

func TestLife(t *testing.T) {
	life := func(low, high float64, unit string) *event.Life {
		return &event.Life{Low: low, Median: (low + high) / 2, High: high, Coverage: 0.9, Unit: unit}
	}
	beyond := func(low float64, unit string) *event.Life {
		l := life(low, 125, unit)
		l.Beyond = true
		return l
	}
	const english = "Likely to need maintenance "
	for _, c := range []struct {
		l              *event.Life
		language, want string
	}{
		{nil, "en", ""},
		{life(12.2, 30.8, "hours"), "en", english + "in 12 to 31 hours."},
		{life(12.2, 30.8, "hours"), "de", "Wartung wahrscheinlich in 12 bis 31 Stunden nötig."},
		{life(12.2, 30.8, "days"), "de", "Wartung wahrscheinlich in 12 bis 31 Tagen nötig."},
		{life(12.2, 30.8, "hours"), "es", "Probablemente necesite mantenimiento dentro de 12 a 31 horas."},
		{life(12.2, 30.8, "hours"), "fr", "Maintenance probablement nécessaire dans 12 à 31 heures."},
		{life(1.24, 3.5, "hours"), "en", english + "in 1.2 to 3.5 hours."},
		{life(1.24, 3.5, "hours"), "de", "Wartung wahrscheinlich in 1,2 bis 3,5 Stunden nötig."},
		{life(0.5, 1, "hours"), "en", english + "in 0.5 to 1 hour."},
		{life(0.1, 0.7, "hours"), "en", english + "in 6 to 42 minutes."},
		{life(0, 0.02, "days"), "en", english + "within 29 minutes."},
		{life(0.1, 0.5, "weeks"), "en", english + "in 0.7 to 3.5 days."},
		{life(0, 31, "hours"), "en", english + "within 31 hours."},
		{life(0.3, 31, "hours"), "en", english + "within 31 hours."},
		{life(30.9, 31.2, "hours"), "en", english + "in about 31 hours."},
		{life(0, 0, "hours"), "en", english + "now."},
		{life(0, 0.001, "hours"), "en", english + "now."},
		{life(0.2, 0.4, "cycles"), "en", english + "now."},
		{life(20, 58.4, "cycles"), "en", english + "in 20 to 58 cycles."},
		{life(1, 1, "days"), "de", "Wartung wahrscheinlich in etwa 1 Tag nötig."},
		{beyond(12, "hours"), "en", english + "in more than 12 hours."},
		{beyond(12, "hours"), "fr", "Maintenance probablement nécessaire dans plus de 12 heures."},
		{beyond(125, "cycles"), "en", english + "in more than 125 cycles."},
		{beyond(0.5, "hours"), "en", english + "in more than 30 minutes."},
		{beyond(0, "hours"), "en", ""},
		{beyond(0.001, "hours"), "en", ""},
		{life(1, 2, "parsecs"), "en", ""},
	} {
		if got := words.Life(c.l, c.language); got != c.want {
			t.Errorf("%+v: %q, want %q", c.l, got, c.want)
		}
	}
}

// A life is never "0 to" something, nor from a number to the same.
func TestLifeIsNoEmptyRange(t *testing.T) {
	twice := regexp.MustCompile(`\b(\S+) (?:to|bis|a|à) (\S+) `)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		scale := []float64{0.001, 0.1, 1, 10, 1000, 1e6}[random.IntN(6)]
		low := random.Float64() * scale
		l := &event.Life{Low: low, Median: low, High: low + random.Float64()*scale, Coverage: 0.9, Unit: event.LifeUnits[random.IntN(5)], Beyond: random.IntN(3) == 0}
		for _, tag := range []string{"en", "de", "es", "fr"} {
			text := words.Life(l, tag)
			if m := twice.FindStringSubmatch(text); m != nil && (m[1] == m[2] || m[1] == "0") || strings.Contains(text, " 0 ") || strings.Contains(text, "%") {
				t.Fatalf("%+v: %q", l, text)
			}
		}
	}
}

// The model knows what points to a fault, and no more: no text that people get claims that something is its reason for being.
func TestNoWordClaimsACause(t *testing.T) {
	claims := regexp.MustCompile(`(?i)\b(because|caused?|causes|due to|weil|wegen|verursach\w*|Ursache|porque|debido|causa|parce que|à cause|dû à)\b`)
	literal := regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	files := 0
	for _, pattern := range []string{
		"*.go", "../alarm/text.go", "../../components/alarm-manager/alarms/*.go", "../../components/cloud-forwarder/forwarder/*.go",
		"../../components/polly-notifier/notifier/*.go",
	} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files++
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(data), "\n") {
				code, _, _ := strings.Cut(line, "// ")
				for _, text := range literal.FindAllString(code, -1) {
					if claims.MatchString(text) {
						t.Errorf("%s:%d: %s", name, n+1, text)
					}
				}
			}
		}
	}
	if files < 40 {
		t.Errorf("only %d files were read", files)
	}
}

// What is counted by something is said so, in the words of the language.
func TestUnitsThatAreCountedBySomething(t *testing.T) {
	for unit, want := range map[string][4]string{
		"mm/s":   {"millimeters per second", "Millimeter pro Sekunde", "milímetros por segundo", "millimètres par seconde"},
		"l/min":  {"liters per minute", "Liter pro Minute", "litros por minuto", "litres par minute"},
		"m³/min": {"cubic meters per minute", "Kubikmeter pro Minute", "metros cúbicos por minuto", "mètres cubes par minute"},
		"mg/m³":  {"milligrams per cubic meter", "Milligramm pro Kubikmeter", "miligramos por metro cúbico", "milligrammes par mètre cube"},
		"1/ml":   {"per milliliter", "pro Milliliter", "por mililitro", "par millilitre"},
		"1/min":  {"revolutions per minute", "Umdrehungen pro Minute", "revoluciones por minuto", "tours par minute"},
		"°C/h":   {"°C per hour", "°C pro Stunde", "°C por hora", "°C par heure"},
		"W/x":    {"W/x", "W/x", "W/x", "W/x"},
	} {
		for i, tag := range []string{"en-US", "de", "es", "fr"} {
			text := words.Points([]event.Contributor{{Sensor: "x", Value: f(7), Unit: unit}}, tag, 1000)
			if !strings.HasSuffix(text, ": x 7 "+want[i]+".") {
				t.Errorf("%s: %q, want %q", tag, text, want[i])
			}
		}
	}
}

// No unit of the shipped model is spelled.
func TestUnitsOfTheShippedModelAreSaid(t *testing.T) {
	data, err := os.ReadFile("../../components/inference-engine/model/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Display map[string]struct{ Unit string }
	}
	if err := json.Unmarshal(data, &m); err != nil || len(m.Display) == 0 {
		t.Fatal(err, len(m.Display))
	}
	for sensor, d := range m.Display {
		text := words.Points([]event.Contributor{{Sensor: "x", Value: f(7), Unit: d.Unit}}, "en", 1000)
		if strings.ContainsAny(text, "/²³") {
			t.Errorf("%s: %q", sensor, text)
		}
	}
}

// A voice reads the units as words.
func TestAVoiceReadsUnits(t *testing.T) {
	program, err := exec.LookPath("espeak-ng")
	if err != nil {
		t.Skip("espeak-ng is not installed")
	}
	for unit, want := range map[string]string{"°C": "ɡɹ", "%": "sˈɛnt", "mm/s": "sˈɛkənd", "l/min": "mˈɪnɪt", "rpm": "mˈɪnɪt"} {
		text := words.Points([]event.Contributor{{Sensor: "x", Value: f(7), Unit: unit}}, "en", 1000)
		heard, err := exec.CommandContext(t.Context(), program, "-q", "--ipa", "-v", "en", text).CombinedOutput() //nolint:gosec // the test's own
		if err != nil || !strings.Contains(string(heard), want) || strings.Contains(string(heard), "slˈaʃ") {
			t.Errorf("%q is read as %s, %v", text, heard, err)
		}
	}
}
