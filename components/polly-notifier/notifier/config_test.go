package notifier_test

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	pollytypes "github.com/aws/aws-sdk-go-v2/service/polly/types"

	"edgepdm/components/polly-notifier/notifier"
)

func TestFromEnvironment(t *testing.T) {
	defaults := notifier.Config{
		Bucket: "clips", Voices: []notifier.Voice{{Name: "Joanna", Engine: "neural"}}, Format: "mp3", SampleRate: "22050", KeyPrefix: "audio/", TopicPrefix: "pdm/v1/audio",
	}
	for _, c := range []struct {
		name   string
		env    []string
		change func(*notifier.Config)
		err    []string // all in the error; none = it is valid
	}{
		{name: "defaults"},
		{
			name: "all", env: []string{
				"BUCKET_NAME= b ", "VoiceId=Ruth", "Engine=long-form", "OutputFormat=ogg_vorbis", "SampleRate=24000",
				"KeyPrefix=k/", "AUDIO_TOPIC_PREFIX=a/b/", "SITE_TOPIC_PREFIX=plants/", "IOT_DATA_ENDPOINT=x-ats.iot.eu-west-1.amazonaws.com",
			},
			change: func(c *notifier.Config) {
				*c = notifier.Config{
					Bucket: "b", Voices: []notifier.Voice{{Name: "Ruth", Engine: "long-form"}}, Format: "ogg_vorbis", SampleRate: "24000",
					KeyPrefix: "k/", TopicPrefix: "a/b", SitePrefix: "plants", IoTEndpoint: "https://x-ats.iot.eu-west-1.amazonaws.com",
				}
			},
		},
		{name: "URL", env: []string{"IOT_DATA_ENDPOINT=http://localhost:1"}, change: func(c *notifier.Config) { c.IoTEndpoint = "http://localhost:1" }},
		{name: "silent", env: []string{"AUDIO_TOPIC_PREFIX="}, change: func(c *notifier.Config) { c.TopicPrefix = "" }},
		{name: "nothing", env: []string{"BUCKET_NAME=", "VoiceId="}, err: []string{"BUCKET_NAME is not set", "VoiceId is not set"}},
		{name: "bucket", env: []string{"BUCKET_NAME=a/b"}, err: []string{"BUCKET_NAME"}},
		{name: "engine", env: []string{"Engine=Neural"}, err: []string{"Engine", "generative"}},
		{name: "format", env: []string{"OutputFormat=wav"}, err: []string{"OutputFormat", "mp3, ogg_vorbis, pcm"}},
		{name: "pcm", env: []string{"OutputFormat=pcm"}, change: func(c *notifier.Config) { c.Format, c.SampleRate = "pcm", "16000" }},
		{name: "pcm of a telephone", env: []string{"OutputFormat=pcm", "SampleRate=8000"}, change: func(c *notifier.Config) { c.Format, c.SampleRate = "pcm", "8000" }},
		{name: "pcm, too fast", env: []string{"OutputFormat=pcm", "SampleRate=22050"}, err: []string{"SampleRate", "8000 nor 16000"}},
		{name: "voices", env: []string{"VoiceId=", "VOICES=en-US:Joanna, de-DE:Vicki:standard"}, change: func(c *notifier.Config) {
			c.Voices = []notifier.Voice{{"en-US", "Joanna", "neural"}, {"de-DE", "Vicki", "standard"}}
		}},
		{name: "voices without a language", env: []string{"VOICES=Joanna"}, err: []string{"VOICES", `"Joanna"`}},
		{name: "voices without a voice", env: []string{"VOICES=en-US:"}, err: []string{"VOICES"}},
		{name: "voices with another engine", env: []string{"VOICES=en-US:Joanna:steam"}, err: []string{"VOICES", "steam"}},
		{name: "too many voices", env: []string{"VOICES=" + strings.Repeat("en-US:Joanna,", 8) + "en-US:Joanna"}, err: []string{"VOICES", "9 voices"}},
		{name: "deep site", env: []string{"SITE_TOPIC_PREFIX=a/b/c"}, err: []string{"SITE_TOPIC_PREFIX"}},
		{name: "site with a wildcard", env: []string{"SITE_TOPIC_PREFIX=+"}, err: []string{"SITE_TOPIC_PREFIX"}},
		{name: "rate", env: []string{"SampleRate=22 kHz"}, err: []string{"SampleRate", "22050"}},
		{name: "key", env: []string{"KeyPrefix=/a"}, err: []string{"KeyPrefix"}},
		{name: "long key", env: []string{"KeyPrefix=" + strings.Repeat("x", 513)}, err: []string{"KeyPrefix"}},
		{name: "wildcard", env: []string{"AUDIO_TOPIC_PREFIX=a/#"}, err: []string{"AUDIO_TOPIC_PREFIX"}},
		{name: "reserved", env: []string{"AUDIO_TOPIC_PREFIX=$aws/x"}, err: []string{"AUDIO_TOPIC_PREFIX"}},
		{name: "empty level", env: []string{"AUDIO_TOPIC_PREFIX=a//b"}, err: []string{"AUDIO_TOPIC_PREFIX"}},
		{name: "deep", env: []string{"AUDIO_TOPIC_PREFIX=1/2/3/4/5/6/7/8"}, err: []string{"AUDIO_TOPIC_PREFIX"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := notifier.FromEnvironment(environment(c.env...))
			if (err != nil) != (c.err != nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			want := defaults
			if c.change != nil {
				c.change(&want)
			}
			if c.err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// The documentation names every variable.
func TestVariablesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range notifier.Variables() {
		if !strings.Contains(string(readme), "| `"+v.Name+"` |") {
			t.Errorf("README.md does not document %s", v.Name)
		}
	}
}

func TestCheckVoice(t *testing.T) {
	for _, c := range []struct {
		name   string
		env    []string
		errs   []error
		voices []pollytypes.Voice // nil = the cloud's own
		bad    bool               // ErrVoice
		detail []string           // in the error, or in the log without one
		err    bool               // another error: to be repeated
		calls  int
	}{
		{name: "supported", calls: 1},
		{name: "on the second page", env: []string{"VoiceId=Carmen", "Engine=standard"}, calls: 2},
		{name: "an emulator without engines", voices: []pollytypes.Voice{{Id: "Joanna"}}, calls: 1},
		{name: "not the engine", env: []string{"VoiceId=Carmen"}, bad: true, detail: []string{`"Carmen"`, `"neural"`, "region are: standard"}, calls: 3},
		{name: "two voices", env: []string{"VOICES=en-US:Joanna,es-US:Carmen:standard"}, calls: 3},
		{name: "one of two", env: []string{"VOICES=en-US:Joanna,es-US:Carmen"}, bad: true, detail: []string{`"Carmen"`, `"neural"`, "region are: standard"}, calls: 4},
		{name: "no such voice", env: []string{"VoiceId=joanna"}, bad: true, detail: []string{`"joanna"`, "no such voice"}, calls: 3},
		{name: "not the engine, and no reason", env: []string{"VoiceId=Carmen"}, errs: []error{nil, throttled}, bad: true, detail: []string{`"Carmen"`}, calls: 2},
		{name: "throttled", errs: []error{throttled}, err: true, calls: 1},
		{name: "unreachable", errs: []error{unreachable}, err: true, calls: 1},
		{name: "no right to ask", errs: []error{denied}, detail: []string{"polly:DescribeVoices"}, calls: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := newCloud()
			if c.voices != nil {
				cloud.voices = c.voices
			}
			cloud.errs["voices"] = slices.Clone(c.errs)
			n, log := newNotifier(t, cloud, c.env...)
			err := n.CheckVoice(t.Context())
			if errors.Is(err, notifier.ErrVoice) != c.bad || (err != nil) != (c.bad || c.err) {
				t.Fatalf("error %v", err)
			}
			text := log.String()
			if err != nil {
				text = err.Error()
			}
			for _, want := range c.detail {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
			if cloud.voiceCalls != c.calls {
				t.Errorf("%d calls, want %d", cloud.voiceCalls, c.calls)
			}

			// Then an event arrives. Only a voice that cannot speak keeps it from being spoken.
			got, err := n.Handle(t.Context(), snsEvent(t, "Stop.", "Go."))
			if c.bad {
				checkError(t, err, notifier.Configuration)
				return
			}
			if err != nil || got.Spoken != 2 {
				t.Errorf("%+v, %v", got, err)
			}
			if want := c.calls + len(c.errs); c.err && cloud.voiceCalls != want {
				t.Errorf("%d calls, want the check to be repeated: %d", cloud.voiceCalls, want)
			}
		})
	}
}

// A check that fails all the time is a warning, not a reason to be silent.
func TestAlertsAreSpokenWithoutACheck(t *testing.T) {
	cloud := newCloud()
	cloud.errs["voices"] = []error{unavailable, unavailable, unavailable}
	n, log := newNotifier(t, cloud)
	for i := range 3 {
		if _, err := n.Handle(t.Context(), snsEvent(t, "Stop.")); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	if got := strings.Count(log.String(), "not checked yet"); got != 3 || cloud.voiceCalls != 3 {
		t.Errorf("%d warnings, %d calls", got, cloud.voiceCalls)
	}
}
