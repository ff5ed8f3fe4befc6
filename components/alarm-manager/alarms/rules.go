package alarms

import (
	"regexp"
	"slices"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// maxOwnRules leaves room for the rules that are the manager's.
const maxOwnRules = 190

var prefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

// doubtConfig logs what is no error in the configuration, and does nothing.
func (r *run) doubtConfig() {
	for _, l := range r.config.Languages {
		if !r.config.Speaks(l) {
			r.rt.Log.Warn("no texts are in a language of the configuration: what is told in it is English", "language", l)
		}
	}
	faults := slices.Clone(ownFaults)
	for _, l := range r.config.Limits {
		faults = append(faults, l.FaultName())
	}
	for i, rule := range r.config.Rules {
		if !slices.ContainsFunc(faults, rule.Has) {
			r.rt.Log.Warn("a rule matches no fault that there is", "rule", i, "fault", rule.Fault, "faults", faults)
		}
	}
}

// managed is the configuration of the alarms with the manager's own rules at the end, where those of the site come first. The
// end of what a component tells of itself needs no acknowledgement.
func (c Config) managed() alarm.Config {
	yes := true
	managed := c.Config
	managed.Rules = append(slices.Clone(c.Rules),
		alarm.Rule{Fault: string(event.FaultMachine), Votes: c.Votes, Window: c.Window, Text: map[string]string{
			"en": "Fault found on {place}. Immediate attention required.",
			"de": "Fehler an {place} gefunden. Sofort prüfen.",
			"es": "Fallo detectado en {place}. Se requiere atención inmediata.",
			"fr": "Défaut détecté sur {place}. Intervention immédiate requise.",
		}},
		alarm.Rule{Fault: string(event.FaultNoData), Votes: c.Votes, Window: c.Window, AutoAcknowledge: &yes, Text: map[string]string{
			"de": "Keine Werte mehrerer Sensoren von {place}. Die Sensoren prüfen.",
			"es": "Sin datos de varios sensores de {place}. Revise los sensores.",           //nolint:misspell // no English
			"fr": "Pas de données de plusieurs capteurs de {place}. Vérifiez les capteurs.", //nolint:misspell // no English
		}},
		alarm.Rule{Fault: string(event.FaultQuality), AutoAcknowledge: &yes, Text: map[string]string{
			"de": "Zweifelhafte Werte von {place}: {detail}. Die Sensoren prüfen.",
			"es": "Valores dudosos de {place}: {detail}. Revise los sensores.",
			"fr": "Valeurs douteuses de {place} : {detail}. Vérifiez les capteurs.", //nolint:misspell // no English
		}},
		alarm.Rule{Fault: string(event.FaultDrift), AutoAcknowledge: &yes, Text: map[string]string{
			"de": "Die Daten von {place} sind nicht, wie das Modell sie kennt: {detail}. Herausfinden, was sich dort geändert hat.",
			"es": "Los datos de {place} no son los que el modelo conoce: {detail}. Averigüe qué ha cambiado allí.",               //nolint:misspell // no English
			"fr": "Les données de {place} ne sont pas celles que le modèle connaît : {detail}. Cherchez ce qui a changé là-bas.", //nolint:misspell // no English
		}},
		alarm.Rule{Fault: string(event.FaultSilence), AutoAcknowledge: &yes, Text: map[string]string{
			"en": "No data from {place}. Check its sensors and their connection.",
			"de": "Keine Daten von {place}. Sensoren und Verbindung prüfen.",
			"es": "Sin datos de {place}. Revise los sensores y la conexión.",          //nolint:misspell // no English
			"fr": "Pas de données de {place}. Vérifiez les capteurs et la connexion.", //nolint:misspell // no English
		}},
		alarm.Rule{Fault: string(event.FaultLine), AutoAcknowledge: &yes, Text: map[string]string{
			"en": "No data from {line}: none of its machines is heard. Check its network and gateway.",
			"de": "Keine Daten von {line}: keine Maschine ist zu hören. Netz und Gateway prüfen.",
			"es": "Sin datos de {line}: no se recibe ninguna máquina. Revise la red y la pasarela.",
			"fr": "Pas de données de {line} : aucune machine n'est reçue. Vérifiez le réseau et la passerelle.",
		}},
		alarm.Rule{Fault: string(event.FaultEngineDown), AutoAcknowledge: &yes, Text: map[string]string{
			"de": "Die Auswertung auf {place} arbeitet nicht. Keine Maschine wird überwacht.",
			"es": "El motor de inferencia de {place} no funciona. No se vigila ninguna máquina.",
			"fr": "Le moteur d'inférence de {place} ne fonctionne pas. Aucune machine n'est surveillée.", //nolint:misspell // no English
		}},
		alarm.Rule{Fault: string(event.FaultUplinkDown), AutoAcknowledge: &yes, Text: map[string]string{
			"de": "{place} hat keine Verbindung zur Cloud. Die Anlage wird weiter überwacht.",
			"es": "{place} no tiene conexión con la nube. La planta sigue vigilada.",
			"fr": "{place} n'a pas de connexion au cloud. L'usine reste surveillée.", //nolint:misspell // no English
		}},
	)
	for _, l := range c.Limits {
		managed.Rules = append(managed.Rules, l.Rule())
	}
	return managed
}
