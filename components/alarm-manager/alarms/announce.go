package alarms

import (
	"time"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/alarm"
	"edgepdm/shared/event"
)

// Announcer makes alarms heard. None of its methods waits for a sound.
type Announcer interface {
	Say(a voice.Announcement)
	Silence(key string)
}

// repeatVoice is the time between two announcements of a machine's alarm that nobody has acknowledged.
const repeatVoice = time.Minute

// say speaks of a change: of a machine's alarm again and again until it is acknowledged, of everything else once.
func (r *run) say(c alarm.Change) {
	if r.announcer == nil {
		return
	}
	if !c.To.Voice {
		return
	}
	switch c.Kind {
	case alarm.Returned:
		r.speak(c, voiceKey(c.Alarm.Key)+" over", 0)
	case alarm.Summary:
		r.speak(c, "summary "+c.Alarm.Line, 0)
	default:
		var repeat time.Duration
		if r.repeats(c.Alarm) {
			repeat = repeatVoice
		}
		if r.stands(c.Alarm) {
			r.speaking[c.Alarm.Key] = true
		}
		r.speak(c, voiceKey(c.Alarm.Key), repeat)
	}
}

// repeats reports whether an alarm is spoken of again and again: it is a machine's, and stands.
func (r *run) repeats(a alarm.Alarm) bool { return a.Thing != r.core && r.stands(a) }

// stands reports whether an alarm is still to be spoken of: nobody has seen it, and people are told.
func (r *run) stands(a alarm.Alarm) bool {
	return a.Active && a.State == event.AlarmUnacknowledged && r.list.system.Audience(a.Key).Voice
}

// speak says a change in all languages.
func (r *run) speak(c alarm.Change, key string, repeat time.Duration) {
	for _, language := range r.config.Languages {
		a := voice.Announcement{
			Key: inLanguage(key, language), Severity: c.Alarm.Priority, Text: r.text(c, language, r.sentences(c.Alarm, language, r.now())), Language: language,
			Class: string(c.Alarm.Fault), Repeat: repeat,
		}
		if repeat > 0 {
			a.Again = r.text(alarm.Change{Kind: alarm.Repeated, Alarm: c.Alarm}, language, alarm.Insight{})
		}
		if c.Kind == alarm.Returned {
			a.Ends = inLanguage(voiceKey(c.Alarm.Key), language)
		}
		r.announcer.Say(a)
	}
}

// quieten ends the announcements of alarms that are acknowledged, over, shelved, suppressed, muted or out of service.
func (r *run) quieten() {
	for key := range r.speaking {
		if a, known := r.list.system.Find(key); known && r.stands(a) {
			continue
		}
		delete(r.speaking, key)
		for _, language := range r.config.Languages {
			r.announcer.Silence(inLanguage(voiceKey(key), language))
		}
	}
}

// speakAgain goes on with the announcements that are to be repeated, as after a restart or a mute interval.
func (r *run) speakAgain() {
	if r.announcer == nil {
		return
	}
	for _, a := range r.list.system.List() {
		if r.repeats(a) && !r.speaking[a.Key] {
			r.speaking[a.Key] = true
			r.speak(alarm.Change{Kind: alarm.ReAlarmed, Alarm: a}, voiceKey(a.Key), repeatVoice)
		}
	}
}

// voiceKey names an alarm's announcement.
func voiceKey(k alarm.Key) string { return k.Thing + "/" + string(k.Fault) }

// inLanguage names it in a language.
func inLanguage(key, language string) string { return key + " " + language }
