package forwarder

import (
	"strings"
	"time"
	_ "time/tzdata" // devices often have no time zones of their own

	"edgepdm/shared/event"
	"edgepdm/shared/words"
)

// phrases are what e-mails say in a language beside the alert's own text. Those of subjects are ASCII, as SNS takes no others.
type phrases struct {
	tag   string // for package words
	comma bool   // numbers have a decimal comma

	// of subjects
	high, medium, low, step, comesAndGoes, more, simulated, late, over, connected, on string
	minutes, hours, days                                                              string

	// of sentences
	isOver, arrived, before, raised, overSince, delivered, nowOver, itIsOver, simulation string

	// of the lines of an e-mail: their names, and what is in them
	what, machine, line, site, since, severity, escalated, note, why, when, probability, model, said, toDo, state, acknowledge, id string
	severities                                                                                                                     map[event.Severity]string
	nobody, once, seeAgain, asOf, fromTo, coverage, onDevice, onTopic, yourName, outcome, isSimulated                              string
	advice                                                                                                                         map[event.Fault]string // "": of any other
}

// phrasesOf returns those of a language such as de-AT; English ones where there are none.
func phrasesOf(language string) *phrases {
	for _, key := range words.Keys(language) {
		if w, known := allPhrases[key]; known {
			return w
		}
	}
	return allPhrases["en"]
}

// zoneOf is the time zone of the alert's site; UTC where it names none that there is.
func zoneOf(a event.Alert) *time.Location {
	if a.TimeZone == "Local" { // the device's own
		return time.UTC
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// offset is how a time of a zone ends: UTC, or UTC+01:00.
func offset(t time.Time) string {
	if t.Location() == time.UTC {
		return "UTC"
	}
	return t.Format("UTC-07:00")
}

// local writes a time as in a zone, with its offset.
func local(t time.Time, zone *time.Location, layout string) string {
	t = t.In(zone)
	return t.Format(layout) + " " + offset(t)
}

// number writes one as the language does.
func (w *phrases) number(text string) string {
	if w.comma {
		return strings.Replace(text, ".", ",", 1)
	}
	return text
}

// width is that of the lines' names, in characters.
func (w *phrases) width() int {
	width := 0
	for _, name := range []string{
		w.what, w.machine, w.line, w.site, w.since, w.severity, w.escalated, w.note, w.why, w.when, w.probability, w.model, w.said, w.toDo, w.state, w.acknowledge, w.id,
	} {
		width = max(width, len([]rune(name+": ")))
	}
	return width
}

var allPhrases = map[string]*phrases{
	"en": {
		tag: "en", high: "HIGH", medium: "MEDIUM", low: "LOW", step: "%s, NOT ACKNOWLEDGED, STEP %d", comesAndGoes: "%s, COMES AND GOES",
		more: "%d more alarms", simulated: "SIMULATED", late: "LATE", over: "OVER", connected: "CONNECTED AGAIN", on: "%s on %s",
		minutes: "min", hours: "h", days: "days",

		isOver: "The alarm %s of %s is over.", arrived: "This message has arrived: there is a connection again.",
		before: "This message may have arrived before.", raised: "Raised ", overSince: "Over since ", delivered: ", delivered ",
		nowOver: "over since ", itIsOver: "It is over.", simulation: "Simulation: ",

		what: "What", machine: "Machine", line: "Line", site: "Site", since: "Since", severity: "Severity", escalated: "Escalated", note: "Note",
		why: "Why", when: "When", probability: "Probability", model: "Model", said: "Said", toDo: "What to do", state: "State",
		acknowledge: "Acknowledge", id: "Alert id",
		severities: map[event.Severity]string{event.SeverityHigh: "high", event.SeverityMedium: "medium", event.SeverityLow: "low"},
		nobody:     "step %d: nobody has acknowledged it", once: "it comes and goes, and is told once", seeAgain: "It is over: see whether it comes again.",
		asOf: "As of %s", fromTo: "From %s to %s, if it runs on", coverage: "%s. By its calibration, %s %% of such estimates hold.",
		onDevice: "%s, on the device", onTopic: "%s on the IoT topic %s, with cloudCommands", yourName: "YOUR NAME",
		outcome: "The outcome is confirmed, no-fault-found or planned.", isSimulated: "The machine is simulated.",
		advice: map[event.Fault]string{
			event.FaultMachine:    "Inspect the machine as soon as possible; plan its maintenance before it fails.",
			event.FaultSilence:    "Check the sensors of the machine, their power and their network.",
			event.FaultLine:       "Check the line's network, power and gateway: nothing is heard of any of its machines.",
			event.FaultNoData:     "Check the sensors that are named, and what reads them: nothing can be said of the machine without them.",
			event.FaultQuality:    "Check the sensors that are named: their values may be wrong, and the machine well.",
			event.FaultDrift:      "Find out what changed on the line: a sensor, the oil, the load. If it stays so, train a model with the new data.",
			event.FaultUplinkDown: "Check the site's network. Watching goes on; everything is delivered once the connection is back.",
			event.FaultEngineDown: "Look at the inference engine's health and log: no machine is watched while it is not at work.",
			event.FaultTest:       "Nothing: this is a test of the alarm chain.",
			event.FaultSummary:    "Look at the list of alarms: alarm-manager list, on the device.",
			"":                    "Look at the machine.",
		},
	},
	"de": {
		tag: "de", comma: true, high: "HOCH", medium: "MITTEL", low: "NIEDRIG", step: "%s, NICHT QUITTIERT, STUFE %d", comesAndGoes: "%s, KOMMT UND GEHT",
		more: "%d weitere Alarme", simulated: "SIMULIERT", late: "VERZUG", over: "VORBEI", connected: "WIEDER VERBUNDEN", on: "%s an %s",
		minutes: "min", hours: "h", days: "Tage",

		isOver: "Der Alarm %s von %s ist vorbei.", arrived: "Diese Nachricht ist angekommen: die Verbindung besteht wieder.",
		before: "Diese Nachricht ist vielleicht schon einmal angekommen.", raised: "Ausgelöst ", overSince: "Vorbei seit ", delivered: ", zugestellt ",
		nowOver: "vorbei seit ", itIsOver: "Er ist vorbei.", simulation: "Simulation: ",

		what: "Was", machine: "Maschine", line: "Linie", site: "Standort", since: "Seit", severity: "Priorität", escalated: "Eskalation", note: "Hinweis",
		why: "Warum", when: "Wann", probability: "Wahrscheinlichkeit", model: "Modell", said: "Gemeldet", toDo: "Was tun", state: "Zustand",
		acknowledge: "Quittieren", id: "Kennung",
		severities: map[event.Severity]string{event.SeverityHigh: "hoch", event.SeverityMedium: "mittel", event.SeverityLow: "niedrig"},
		nobody:     "Stufe %d: niemand hat quittiert", once: "er kommt und geht und wird einmal gemeldet",
		seeAgain: "Er ist vorbei: beobachten, ob er wiederkommt.",
		asOf:     "Stand %s", fromTo: "Von %s bis %s, wenn sie weiterläuft", coverage: "%s. Nach der Kalibrierung treffen %s %% solcher Schätzungen zu.",
		onDevice: "%s, auf dem Gerät", onTopic: "%s auf dem IoT-Topic %s, mit cloudCommands", yourName: "IHR NAME",
		outcome: "Das Ergebnis ist confirmed (bestätigt), no-fault-found (kein Fehler gefunden) oder planned (geplant).", isSimulated: "Die Maschine ist simuliert.",
		advice: map[event.Fault]string{
			event.FaultMachine:    "Die Maschine so bald wie möglich ansehen; die Wartung planen, bevor sie ausfällt.",
			event.FaultSilence:    "Die Sensoren der Maschine, ihre Versorgung und ihr Netz prüfen.",
			event.FaultLine:       "Netz, Versorgung und Gateway der Linie prüfen: keine ihrer Maschinen ist zu hören.",
			event.FaultNoData:     "Die genannten Sensoren prüfen, und was sie liest: ohne sie lässt sich von der Maschine nichts sagen.",
			event.FaultQuality:    "Die genannten Sensoren prüfen: ihre Werte können falsch sein, und die Maschine in Ordnung.",
			event.FaultDrift:      "Herausfinden, was sich an der Linie geändert hat: ein Sensor, das Öl, die Last. Bleibt es dabei, ein Modell mit den neuen Daten trainieren.",
			event.FaultUplinkDown: "Das Netz des Standorts prüfen. Die Überwachung geht weiter; alles wird zugestellt, sobald die Verbindung wieder besteht.",
			event.FaultEngineDown: "Zustand und Log der Auswertung (InferenceEngine) ansehen: solange sie nicht arbeitet, wird keine Maschine überwacht.",
			event.FaultTest:       "Nichts: dies ist eine Probe der Alarmkette.",
			event.FaultSummary:    "Die Liste der Alarme ansehen: alarm-manager list, auf dem Gerät.",
			"":                    "Die Maschine ansehen.",
		},
	},
	"es": {
		tag: "es", comma: true, high: "ALTA", medium: "MEDIA", low: "BAJA", step: "%s, SIN RECONOCER, NIVEL %d", comesAndGoes: "%s, APARECE Y DESAPARECE",
		more: "%d alarmas adicionales", simulated: "SIMULADA", late: "RETRASO", over: "TERMINADA", connected: "CONECTADO DE NUEVO", on: "%s en %s",
		minutes: "min", hours: "h", days: "d",

		isOver: "La alarma %s de %s ha terminado.", arrived: "Este mensaje ha llegado: vuelve a haber conexión.",
		before: "Es posible que este mensaje ya haya llegado antes.", raised: "Activada ", overSince: "Terminada desde ", delivered: ", entregada ",
		nowOver: "terminada desde ", itIsOver: "Ha terminado.", simulation: "Simulación: ",

		what: "Qué", machine: "Máquina", line: "Línea", site: "Sitio", since: "Desde", severity: "Prioridad", escalated: "Escalada", note: "Nota",
		why: "Por qué", when: "Cuándo", probability: "Probabilidad", model: "Modelo", said: "Mensaje", toDo: "Qué hacer", state: "Estado",
		acknowledge: "Reconocer", id: "Identificador",
		severities: map[event.Severity]string{event.SeverityHigh: "alta", event.SeverityMedium: "media", event.SeverityLow: "baja"},
		nobody:     "nivel %d: nadie la ha reconocido", once: "aparece y desaparece, y se comunica una vez", seeAgain: "Ha terminado: observe si vuelve.",
		asOf: "Situación: %s", fromTo: "De %s a %s, si sigue en marcha", coverage: "%s. Según su calibración, se cumple el %s %% de estas estimaciones.",
		onDevice: "%s, en el dispositivo", onTopic: "%s en el topic de IoT %s, con cloudCommands", yourName: "SU NOMBRE",
		outcome: "El resultado es confirmed (confirmado), no-fault-found (sin fallo) o planned (planificado).", isSimulated: "La máquina es simulada.",
		advice: map[event.Fault]string{
			event.FaultMachine:    "Inspeccione la máquina lo antes posible; planifique su mantenimiento antes de que falle.",
			event.FaultSilence:    "Revise los sensores de la máquina, su alimentación y su red.", //nolint:misspell // no English
			event.FaultLine:       "Revise la red, la alimentación y la pasarela de la línea: no se recibe ninguna de sus máquinas.",
			event.FaultNoData:     "Revise los sensores nombrados y lo que los lee: sin ellos no se puede decir nada de la máquina.",                               //nolint:misspell // no English
			event.FaultQuality:    "Revise los sensores nombrados: sus valores pueden ser erróneos y la máquina estar bien.",                                       //nolint:misspell // no English
			event.FaultDrift:      "Averigüe qué ha cambiado en la línea: un sensor, el aceite, la carga. Si se mantiene, entrene un modelo con los datos nuevos.", //nolint:misspell // no English
			event.FaultUplinkDown: "Revise la red del sitio. La vigilancia continúa; todo se entregará cuando vuelva la conexión.",
			event.FaultEngineDown: "Revise el estado y el registro del motor de inferencia: mientras no funcione, no se vigila ninguna máquina.",
			event.FaultTest:       "Nada: es una prueba de la cadena de alarmas.",
			event.FaultSummary:    "Consulte la lista de alarmas: alarm-manager list, en el dispositivo.",
			"":                    "Revise la máquina.",
		},
	},
	"fr": {
		tag: "fr", comma: true, high: "HAUTE", medium: "MOYENNE", low: "BASSE", step: "%s, NON ACQUITTEE, NIVEAU %d", comesAndGoes: "%s, INTERMITTENTE",
		more: "%d autres alarmes", simulated: "SIMULATION", late: "RETARD", over: "TERMINEE", connected: "CONNEXION RETABLIE", on: "%s sur %s",
		minutes: "min", hours: "h", days: "j",

		isOver: "L'alarme %s de %s est terminée.", arrived: "Ce message est arrivé : la connexion est rétablie.",
		before: "Ce message est peut-être déjà arrivé.", raised: "Déclenchée ", overSince: "Terminée depuis ", delivered: ", transmise ",
		nowOver: "terminée depuis ", itIsOver: "Elle est terminée.", simulation: "Simulation : ",

		what: "Quoi", machine: "Machine", line: "Ligne", site: "Site", since: "Depuis", severity: "Priorité", escalated: "Escalade", note: "Remarque",
		why: "Pourquoi", when: "Quand", probability: "Probabilité", model: "Modèle", said: "Message", toDo: "Que faire", state: "État",
		acknowledge: "Acquitter", id: "Identifiant",
		severities: map[event.Severity]string{event.SeverityHigh: "haute", event.SeverityMedium: "moyenne", event.SeverityLow: "basse"},
		nobody:     "niveau %d : personne ne l'a acquittée", once: "elle apparaît et disparaît, et est signalée une fois",
		seeAgain: "Elle est terminée : observez si elle revient.",
		asOf:     "Situation : %s", fromTo: "De %s à %s, si elle reste en marche", coverage: "%s. D'après l'étalonnage, %s %% de ces estimations sont exactes.",
		onDevice: "%s, sur l'appareil", onTopic: "%s sur le topic IoT %s, avec cloudCommands", yourName: "VOTRE NOM",
		outcome: "Le résultat est confirmed (confirmé), no-fault-found (aucun défaut) ou planned (planifié).", isSimulated: "La machine est simulée.",
		advice: map[event.Fault]string{
			event.FaultMachine:    "Inspectez la machine dès que possible ; planifiez sa maintenance avant la panne.",
			event.FaultSilence:    "Vérifiez les capteurs de la machine, leur alimentation et leur réseau.", //nolint:misspell // no English
			event.FaultLine:       "Vérifiez le réseau, l'alimentation et la passerelle de la ligne : aucune de ses machines n'est reçue.",
			event.FaultNoData:     "Vérifiez les capteurs nommés et ce qui les lit : sans eux, on ne peut rien dire de la machine.",                                        //nolint:misspell // no English
			event.FaultQuality:    "Vérifiez les capteurs nommés : leurs valeurs sont peut-être fausses, et la machine saine.",                                             //nolint:misspell // no English
			event.FaultDrift:      "Cherchez ce qui a changé sur la ligne : un capteur, l'huile, la charge. Si cela dure, entraînez un modèle avec les nouvelles données.", //nolint:misspell // no English
			event.FaultUplinkDown: "Vérifiez le réseau du site. La surveillance continue ; tout sera transmis dès le retour de la connexion.",                              //nolint:misspell // no English
			event.FaultEngineDown: "Consultez l'état et le journal du moteur d'inférence : tant qu'il ne fonctionne pas, aucune machine n'est surveillée.",                 //nolint:misspell // no English
			event.FaultTest:       "Rien : c'est un test de la chaîne d'alarme.",
			event.FaultSummary:    "Consultez la liste des alarmes : alarm-manager list, sur l'appareil.",
			"":                    "Examinez la machine.",
		},
	},
}
