package speech

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/alarm"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// Names of the counters in the health messages.
const (
	CounterSpoken  = "voice.spoken"  // announcements that were heard
	CounterFailed  = "voice.failed"  // failures of a source or a sink
	CounterDropped = "voice.dropped" // announcements that were given up
	CounterClips   = "voice.clips"   // clips that were fetched
	CounterRefused = "voice.refused" // clips that are not what was announced
)

const (
	clipsDir  = "clips"
	clipsSize = 64 << 20
)

// Site is where the speakers are.
type Site struct {
	Core        string   // the core's thing name
	TimeZone    string   // IANA name
	Languages   []string // of texts
	TopicPrefix string   // of cloud topics, as the forwarder's
	Getenv      func(string) string
}

// Announcer makes announcements heard while Run runs. Its other methods wait for nothing.
type Announcer struct {
	rt      *component.Runtime
	config  Config
	site    Site
	speaker *voice.Speaker
	library voice.Library

	mu    sync.Mutex
	tests map[string]func(text string, err error) // announcements that somebody waits for, by key
	next  int
}

// New prepares what a configuration wants, which has to be valid and enabled.
func New(rt *component.Runtime, config Config, site Site) (*Announcer, error) {
	quiet, err := alarm.NewWeekly(site.TimeZone, config.Quiet)
	if err != nil {
		return nil, fmt.Errorf("quiet hours: %w", err)
	}
	a := &Announcer{
		rt: rt, config: config, site: site, tests: make(map[string]func(string, error)),
		library: voice.Library{Dir: filepath.Join(rt.WorkDir, clipsDir), MaxBytes: clipsSize},
	}
	a.speaker = voice.New(voice.Options{
		Sources: a.sources(), Sinks: a.sinks(), Gain: config.Volume, Report: a.report, Spoken: a.spoken, Dropped: a.dropped,
		Quiet: func(now time.Time, s event.Severity) bool { return s != event.SeverityHigh && quiet.Contains(now) },
	})
	for _, name := range []string{CounterSpoken, CounterFailed, CounterDropped} {
		rt.Counter(name) // also while it is 0
	}
	return a, nil
}

// sources are the clip of a text, the phrase of its class, and espeak-ng. Where there are clips, espeak-ng need not be installed.
func (a *Announcer) sources() []voice.Source {
	var sources []voice.Source
	if a.config.Clips.Bucket != "" {
		sources = append(sources, a.library)
	}
	if a.config.Espeak == "" {
		return sources
	}
	_, err := exec.LookPath(a.config.Espeak)
	if err != nil && len(sources) > 0 && errors.Is(err, exec.ErrNotFound) {
		a.rt.Log.Info("what has no clip is not spoken", "error", err)
		return sources
	}
	a.condition(a.config.Espeak, err)
	return append(sources, voice.Espeak{Program: a.config.Espeak})
}

func (a *Announcer) sinks() []voice.Sink {
	var sinks []voice.Sink
	if len(a.config.Player) > 0 {
		_, err := exec.LookPath(a.config.Player[0])
		a.condition(a.config.Player[0], err)
		sinks = append(sinks, voice.Player{Command: a.config.Player, Dir: a.rt.WorkDir})
	}
	if address, _ := a.config.RTP.address(); address.IsValid() { // was validated
		sinks = append(sinks, voice.NewRTP(address, a.config.RTP.TTL, a.config.RTP.Interface))
	}
	return sinks
}

// Run speaks, and fetches clips where they are configured, until ctx ends.
func (a *Announcer) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { a.speaker.Run(ctx) })
	if a.config.Clips.Bucket != "" {
		work.Go(func() { newFetcher(a).run(ctx) })
	}
	work.Wait()
}

// Say speaks an announcement if it is in a language that is spoken.
func (a *Announcer) Say(what voice.Announcement) {
	language, spoken := a.config.speaks(what.Language)
	if !spoken {
		return
	}
	what.Language = language
	if what.Repeat > 0 {
		what.Repeat = a.config.Repeat
	}
	a.speaker.Say(what)
}

// Silence ends an announcement.
func (a *Announcer) Silence(key string) { a.speaker.Silence(key) }

// Test speaks a text at once, also in quiet hours, and calls done when it was heard or cannot be.
func (a *Announcer) Test(text, language string, done func(outcome string, err error)) {
	a.mu.Lock()
	a.next++
	key := fmt.Sprintf("test %d", a.next)
	a.tests[key] = done
	a.mu.Unlock()
	if language == "" {
		language = a.config.Language
	}
	a.speaker.Say(voice.Announcement{Key: key, Severity: event.SeverityHigh, Text: text, Language: language, Tries: 1})
}

// spoken counts an announcement that was heard.
func (a *Announcer) spoken(what voice.Announcement, others error) {
	a.rt.Counter(CounterSpoken).Add(1)
	a.rt.Log.Debug("spoken", "key", what.Key, "text", what.Text)
	outcome := "it was spoken"
	if others != nil {
		outcome += ", but not by all: " + oneLine(others)
	}
	a.answer(what.Key, outcome, nil)
}

// dropped counts an announcement that is given up.
func (a *Announcer) dropped(what voice.Announcement, reason error) {
	a.rt.Counter(CounterDropped).Add(1)
	a.rt.Log.Warn("an announcement is given up", "key", what.Key, "text", what.Text, "error", oneLine(reason))
	a.answer(what.Key, "", fmt.Errorf("it was not spoken: %s", oneLine(reason)))
}

func (a *Announcer) answer(key, outcome string, err error) {
	a.mu.Lock()
	done := a.tests[key]
	delete(a.tests, key)
	a.mu.Unlock()
	if done != nil {
		done(outcome, err)
	}
}

// report says how it went with a source or a sink.
func (a *Announcer) report(name string, err error) {
	if err != nil {
		a.rt.Counter(CounterFailed).Add(1)
	}
	a.condition(name, err)
}

func (a *Announcer) condition(name string, err error) {
	if err != nil {
		err = errors.New(oneLine(err))
	}
	a.rt.Conditions().Set(event.CodeVoice, name, err)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
