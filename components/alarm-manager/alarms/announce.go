package alarms

import (
	"time"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/event"
)

// Announcer makes alarms heard. None of its methods waits for a sound.
type Announcer interface {
	Say(a voice.Announcement)
	Silence(key string)
}

// repeatVoice is the time between two announcements of a machine's alarm that nobody has acknowledged.
const repeatVoice = time.Minute

// say speaks of an alert: of a machine's alarm again and again until silence, of everything else once.
func (r *run) say(a event.Alert) {
	if r.announcer == nil {
		return
	}
	spoken := voice.Announcement{Key: voiceKey(a.Thing, a.Fault), Severity: a.Severity, Text: a.Text, Class: string(a.Fault)}
	if a.State == event.AlarmNormal {
		r.announcer.Silence(spoken.Key)
		spoken.Key += " over"
	} else if a.Thing != r.core && a.Fault != event.FaultTest {
		spoken.Repeat = repeatVoice
	}
	r.announcer.Say(spoken)
}

// voiceKey names an alarm's announcement.
func voiceKey(thing string, fault event.Fault) string { return thing + "/" + string(fault) }
