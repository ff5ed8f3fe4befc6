package alarms

import (
	"fmt"
	"strings"

	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
	"edgepdm/shared/words"
)

// spoken makes a name fit to be read aloud: line-1 becomes line 1.
func spoken(name string) string {
	return strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace(name)
}

// where names the thing and its line.
func where(thing, line string) string {
	if line == "" {
		return spoken(thing)
	}
	return fmt.Sprintf("%s, %s", spoken(line), spoken(thing))
}

// forwarderText is what is spoken when nothing is heard of the cloud forwarder.
func forwarderText(core string) string {
	return fmt.Sprintf("The cloud forwarder of %s is not heard. Nothing reaches the cloud. The plant is watched all the same. Check the component.", spoken(core))
}

// withheld returns why messages do not reach the cloud, by the oldest condition of the forwarder that says so and is not
// the network's; "" for none.
func withheld(h event.Health) event.Code {
	for _, c := range h.Conditions {
		if c.Code == event.CodeCloudAccess || c.Code == event.CodeDelivery && h.Uplink != event.UplinkDown {
			return c.Code
		}
	}
	return ""
}

// uplinkText is what is spoken when nothing reaches the cloud.
func uplinkText(core string, held event.Code) string {
	const watched = "The plant is watched all the same."
	switch held {
	case event.CodeCloudAccess:
		return fmt.Sprintf("%s has no access to the cloud. %s Check region, endpoint and credentials.", spoken(core), watched)
	case event.CodeDelivery:
		return fmt.Sprintf("The cloud does not take messages of %s. %s Check the cloud forwarder's health, which says why.", spoken(core), watched)
	default:
		return fmt.Sprintf("%s has no connection to the cloud. %s Check the network.", spoken(core), watched)
	}
}

// noDataText is what is spoken when the rows of a machine have too few values. Sensors are named as far as there is room.
func noDataText(p *event.Prediction) string {
	const such, end = ", such as ", ". It cannot be watched. Check its sensors."
	text := fmt.Sprintf("No data of %d sensors of %s", p.Absent, where(p.Thing, p.Line))
	if missing := event.Cut(p.Missing, max(event.MaxDetail-len(text+such+end), 0)); missing != "" {
		text += such + missing
	}
	return text + end
}

// earliestYear is before any year this program runs in: an earlier time is that of a clock that was not set.
const earliestYear = 2020

// sentences say of places, in a language, what no alarm says.
type sentences struct{ test, retired, renamed string }

var sentencesBy = map[string]sentences{
	alarm.English: {
		test: "This is a test alarm of %s. No action is required.", retired: "%s is retired.", renamed: "%s is called %s now.",
	},
	"de": {
		test: "Dies ist ein Probealarm von %s. Es ist nichts zu tun.", retired: "%s ist außer Betrieb genommen und wird nicht mehr überwacht.",
		renamed: "%s heißt jetzt %s.",
	},
	"es": {
		test: "Esta es una alarma de prueba de %s. No se requiere ninguna acción.", retired: "%s se ha dado de baja y ya no se vigila.",
		renamed: "%s se llama ahora %s.",
	},
	"fr": {
		test: "Ceci est une alarme de test de %s. Aucune action n'est requise.", retired: "%s est retiré et n'est plus surveillé.", //nolint:misspell // no English
		renamed: "%s s'appelle maintenant %s.",
	},
}

// sentencesIn returns those of a language such as de-AT; English ones where there are none.
func sentencesIn(language string) sentences {
	for _, key := range words.Keys(language) {
		if s, known := sentencesBy[key]; known {
			return s
		}
	}
	return sentencesBy[alarm.English]
}
