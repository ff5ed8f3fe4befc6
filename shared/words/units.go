package words

import (
	"slices"
	"strings"
)

// spokenUnit is a unit as a voice reads it. Those that a voice reads well, such as °C, bar and %, and those that are not known, are
// said as they are.
func spokenUnit(unit, tag string) string {
	language := max(0, slices.Index([]string{"en", "de", "es", "fr"}, base(tag)))
	if words, known := spokenUnits[unit]; known {
		return words[language]
	}
	counted, by, _ := strings.Cut(unit, "/")
	if words, known := perUnits[by]; known {
		return strings.TrimSpace(spokenUnit(counted, tag) + " " + [...]string{"per ", "pro ", "por ", "par "}[language] + words[language])
	}
	return unit
}

// perUnits are units that others are counted by: one of them.
var perUnits = map[string][4]string{
	"s":   {"second", "Sekunde", "segundo", "seconde"},
	"min": {"minute", "Minute", "minuto", "minute"},
	"h":   {"hour", "Stunde", "hora", "heure"},
	"d":   {"day", "Tag", "día", "jour"},
	"ml":  {"milliliter", "Milliliter", "mililitro", "millilitre"},
	"l":   {"liter", "Liter", "litro", "litre"},
	"m":   {"meter", "Meter", "metro", "mètre"},
	"m³":  {"cubic meter", "Kubikmeter", "metro cúbico", "mètre cube"},
	"kg":  {"kilogram", "Kilogramm", "kilogramo", "kilogramme"},
}

// spokenUnits are units in English, German, Spanish and French.
var spokenUnits = map[string][4]string{
	"K":     {"kelvins", "Kelvin", "kelvin", "kelvins"},
	"mbar":  {"millibars", "Millibar", "milibares", "millibars"},
	"psi":   {"P S I", "P S I", "P S I", "P S I"},
	"Pa":    {"pascals", "Pascal", "pascales", "pascals"},
	"hPa":   {"hectopascals", "Hektopascal", "hectopascales", "hectopascals"},
	"kPa":   {"kilopascals", "Kilopascal", "kilopascales", "kilopascals"},
	"MPa":   {"megapascals", "Megapascal", "megapascales", "mégapascals"},
	"µm":    {"micrometers", "Mikrometer", "micrómetros", "micromètres"}, // micro sign
	"μm":    {"micrometers", "Mikrometer", "micrómetros", "micromètres"}, // Greek letter
	"1":     {},                                                          // such as in 1/ml
	"mm":    {"millimeters", "Millimeter", "milímetros", "millimètres"},
	"m":     {"meters", "Meter", "metros", "mètres"},
	"ml":    {"milliliters", "Milliliter", "mililitros", "millilitres"},
	"l":     {"liters", "Liter", "litros", "litres"},
	"m³":    {"cubic meters", "Kubikmeter", "metros cúbicos", "mètres cubes"},
	"m/s²":  {"meters per second squared", "Meter pro Sekunde im Quadrat", "metros por segundo al cuadrado", "mètres par seconde carrée"},
	"rpm":   {"revolutions per minute", "Umdrehungen pro Minute", "revoluciones por minuto", "tours par minute"},
	"1/min": {"revolutions per minute", "Umdrehungen pro Minute", "revoluciones por minuto", "tours par minute"},
	"Hz":    {"hertz", "Hertz", "hercios", "hertz"},
	"kHz":   {"kilohertz", "Kilohertz", "kilohercios", "kilohertz"},
	"W":     {"watts", "Watt", "vatios", "watts"},
	"kW":    {"kilowatts", "Kilowatt", "kilovatios", "kilowatts"},
	"mV":    {"millivolts", "Millivolt", "milivoltios", "millivolts"},
	"V":     {"volts", "Volt", "voltios", "volts"},
	"kV":    {"kilovolts", "Kilovolt", "kilovoltios", "kilovolts"},
	"mA":    {"milliamperes", "Milliampere", "miliamperios", "milliampères"},
	"A":     {"amperes", "Ampere", "amperios", "ampères"},
	"N":     {"newtons", "Newton", "newtons", "newtons"},
	"kN":    {"kilonewtons", "Kilonewton", "kilonewtons", "kilonewtons"},
	"Nm":    {"newton meters", "Newtonmeter", "newton metros", "newtons mètres"},
	"dB":    {"decibels", "Dezibel", "decibelios", "décibels"},
	"mg":    {"milligrams", "Milligramm", "miligramos", "milligrammes"},
	"g":     {"grams", "Gramm", "gramos", "grammes"},
	"kg":    {"kilograms", "Kilogramm", "kilogramos", "kilogrammes"},
	"s":     {"seconds", "Sekunden", "segundos", "secondes"},
	"ms":    {"milliseconds", "Millisekunden", "milisegundos", "millisecondes"},
	"h":     {"hours", "Stunden", "horas", "heures"},
}
