package words

// spokenUnit is a unit as a voice reads it. Those that a voice reads well, such as °C, bar and %, and those that are not known, are
// said as they are.
func spokenUnit(unit, tag string) string {
	words, known := spokenUnits[unit]
	if !known {
		return unit
	}
	for i, l := range [...]string{"en", "de", "es", "fr"} {
		if l == base(tag) {
			return words[i]
		}
	}
	return words[0]
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
	"mm":    {"millimeters", "Millimeter", "milímetros", "millimètres"},
	"mm/s":  {"millimeters per second", "Millimeter pro Sekunde", "milímetros por segundo", "millimètres par seconde"},
	"m/s":   {"meters per second", "Meter pro Sekunde", "metros por segundo", "mètres par seconde"},
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
	"l/min": {"liters per minute", "Liter pro Minute", "litros por minuto", "litres par minute"},
	"m³/h":  {"cubic meters per hour", "Kubikmeter pro Stunde", "metros cúbicos por hora", "mètres cubes par heure"},
	"kg":    {"kilograms", "Kilogramm", "kilogramos", "kilogrammes"},
	"s":     {"seconds", "Sekunden", "segundos", "secondes"},
	"ms":    {"milliseconds", "Millisekunden", "milisegundos", "millisecondes"},
	"h":     {"hours", "Stunden", "horas", "heures"},
}
