package speech_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/components/alarm-manager/speech"
	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/need"
)

// rig is an announcer that runs on the embedded core, with the recipe of the alarm manager, an embedded cloud and a player that
// keeps what it is to play.
type rig struct {
	t         *testing.T
	announcer *speech.Announcer
	cloud     *localcloud.Cloud
	broker    *ipc.Client // publishes as the cloud does
	health    *coretest.Health
	heard     string
	notifier  string // the program of the Lambda function; "": there is none
}

func newRig(t *testing.T, notifier string, prepare func(*rig), set ...func(*speech.Config)) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, notifier: notifier, heard: filepath.Join(dir, "heard.wav")}
	command := filepath.Join(dir, "player")
	if err := os.WriteFile(command, []byte("#!/bin/sh\ncp \"$1\" '"+r.heard+".new' && mv '"+r.heard+".new' '"+r.heard+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	core := coretest.Start(t)
	r.cloud = cloudtest.Start(t, func(o *localcloud.Options) {
		o.Notifier, o.Publish = r.notifier, core.PublishFromCloud
		o.NotifierEnv = map[string]string{"OutputFormat": "pcm", "SITE_TOPIC_PREFIX": "edgepdm", "AUDIO_TOPIC_PREFIX": ""}
	})
	if prepare != nil {
		prepare(r)
	}
	env := coretest.Environment(t, core, event.AlarmManager, "alarm-manager", slog.New(slog.DiscardHandler))
	ends := r.cloud.Endpoints()
	environ := cloudtest.Environment(r.cloud)
	base := env.Getenv
	env.Getenv = func(name string) string {
		if value := environ[name]; value != "" {
			return value
		}
		return base(name)
	}
	coretest.Configure(t, core, event.AlarmManager, map[string]any{"healthInterval": "100ms"})
	r.broker = coretest.Client(t, core)
	r.health = coretest.HealthOf(t, r.broker, event.AlarmManager)
	config := speech.Default()
	config.Enabled, config.Player, config.Clips.Bucket, config.Clips.Endpoint = true, []string{command}, ends.Bucket, ends.S3
	config.Espeak = ""
	for _, change := range set {
		change(&config)
	}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan *speech.Announcer, 1)
	coretest.Run(t, env, component.Spec[struct{}]{
		Name: event.AlarmManager, Default: func() (none struct{}) { return none },
		Run: func(ctx context.Context, rt *component.Runtime, _ struct{}) error {
			a, err := speech.New(rt, config, speech.Site{
				Core: "core-1", TimeZone: "UTC", Languages: []string{"en"}, TopicPrefix: "edgepdm", Getenv: env.Getenv,
			})
			if err != nil {
				return err
			}
			rt.SetState(event.StateOK, "")
			ready <- a
			a.Run(ctx)
			return nil
		},
	}, r.health)
	r.announcer = <-ready
	return r
}

// put uploads an object, past a cut of the uplink.
func (r *rig) put(key string, data []byte) {
	r.t.Helper()
	cloudtest.Put(r.t, r.cloud, data, key)
}

// putPhrases uploads phrases, and the file of their sums.
func (r *rig) putPhrases(phrases map[string][]byte) {
	r.t.Helper()
	var sums strings.Builder
	for name, data := range phrases {
		r.put("audio/phrases/"+name, data)
		fmt.Fprintf(&sums, "%x  ./%s\n", sha256.Sum256(data), name)
	}
	r.put("audio/phrases/SHA256SUMS", []byte(sums.String()))
}

// announce tells the site of a clip, again and again until it is heard of: the site may not have subscribed yet.
func (r *rig) announce(a event.Announcement, until func(event.Health) bool) event.Health {
	r.t.Helper()
	payload, err := json.Marshal(a)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.health.Await("the clip", func(h event.Health) bool {
		err := r.broker.PublishToIoTCore(r.t.Context(), ipc.PublishToIoTCoreRequest{TopicName: "edgepdm/core-1/pdm/v1/audio", Payload: payload, QoS: ipc.AtLeastOnce})
		if err != nil {
			r.t.Fatal(err)
		}
		return until(h)
	})
}

func (r *rig) await(until func(event.Health) bool) event.Health {
	r.t.Helper()
	return r.health.Await("what is wanted", until)
}

// say speaks a text, and returns what the player played.
func (r *rig) say(a voice.Announcement) []int16 {
	r.t.Helper()
	before := r.await(func(event.Health) bool { return true }).Counters[speech.CounterSpoken]
	r.announcer.Say(a)
	r.await(func(h event.Health) bool { return h.Counters[speech.CounterSpoken] > before })
	data, err := os.ReadFile(r.heard)
	if err != nil {
		r.t.Fatal(err)
	}
	clip, err := voice.DecodeWAV(data)
	if err != nil {
		r.t.Fatal(err)
	}
	return clip.Samples
}

// tone is a clip as Polly makes it.
func tone(hertz float64) (samples []int16, pcm []byte) {
	samples = make([]int16, 1600)
	for i := range samples {
		samples[i] = int16(8000 * math.Sin(2*math.Pi*hertz*float64(i)/16_000))
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(samples[i]))
	}
	return samples, pcm
}

func announced(bucket, key, text string, pcm []byte) event.Announcement {
	sum := sha256.Sum256(pcm)
	return event.Announcement{
		V: 1, AlertID: "a", Thing: "press-1", Bucket: bucket, Key: key, Format: "pcm", SampleRate: 16_000, Language: "en-US",
		SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(pcm)), Text: text,
	}
}

// The clip that the cloud made of an alert's text is fetched and spoken; of another text the phrase of its class is.
func TestClipsOfTheCloudAreSpoken(t *testing.T) {
	clip, clipPCM := tone(440)
	phrase, phrasePCM := tone(220)
	r := newRig(t, "", func(r *rig) { r.putPhrases(map[string][]byte{"en/machine-fault.pcm": phrasePCM}) })
	r.put("audio/1.pcm", clipPCM)
	r.announce(announced(r.cloud.Endpoints().Bucket, "audio/1.pcm", "Fault on press 1.", clipPCM),
		func(h event.Health) bool { return h.Counters[speech.CounterClips] == 2 && h.State == event.StateOK })
	if got := r.say(voice.Announcement{Key: "1", Language: "en", Text: "Fault on press 1.", Class: "machine-fault"}); !equal(got, clip) {
		t.Errorf("the clip is not what was played: %d samples", len(got))
	}
	r.cloud.SetUplink(false)
	if got := r.say(voice.Announcement{Key: "2", Language: "en", Text: "Fault on press 2.", Class: "machine-fault"}); !equal(got, phrase) {
		t.Errorf("the phrase is not what was played: %d samples", len(got))
	}
}

func equal(a, b []int16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A clip that is not what was announced, or not where it may be, is refused; nothing else changes.
func TestWrongClipsAreRefused(t *testing.T) {
	_, pcm := tone(440)
	_, other := tone(441)
	r := newRig(t, "", nil)
	bucket := r.cloud.Endpoints().Bucket
	r.put("audio/1.pcm", pcm)
	r.put("secret/1.pcm", pcm)
	refused := uint64(0)
	for name, change := range map[string]func(*event.Announcement){
		"another sound":   func(a *event.Announcement) { *a = announced(bucket, "audio/1.pcm", a.Text, other) },
		"longer":          func(a *event.Announcement) { *a = announced(bucket, "audio/1.pcm", a.Text, pcm[:100]) },
		"shorter":         func(a *event.Announcement) { a.Bytes += 2 },
		"no hash":         func(a *event.Announcement) { a.SHA256 = "" },
		"too large":       func(a *event.Announcement) { a.Bytes = 1 << 40 },
		"no size":         func(a *event.Announcement) { a.Bytes = 0 },
		"mp3":             func(a *event.Announcement) { a.Format = "mp3" },
		"no sample rate":  func(a *event.Announcement) { a.SampleRate = 0 },
		"another bucket":  func(a *event.Announcement) { a.Bucket = "someone-elses" },
		"another prefix":  func(a *event.Announcement) { a.Key = "secret/1.pcm" },
		"no text":         func(a *event.Announcement) { a.Text = " " },
		"another version": func(a *event.Announcement) { a.V = 2 },
	} {
		a := announced(bucket, "audio/1.pcm", "Fault on press 1.", pcm)
		change(&a)
		h := r.announce(a, func(h event.Health) bool { return h.Counters[speech.CounterRefused] > refused })
		if h.Counters[speech.CounterClips] != 0 {
			t.Errorf("%s: a clip is kept", name)
		}
		refused = r.settled()
	}
}

// settled waits until all announcements are answered, as they are repeated.
func (r *rig) settled() uint64 {
	last, same := uint64(0), 0
	return r.await(func(h event.Health) bool {
		n := h.Counters[speech.CounterRefused]
		if n != last {
			last, same = n, 0
		}
		same++
		return same > 5
	}).Counters[speech.CounterRefused]
}

// While the cloud is away, what it has is waited for by nobody: espeak-ng speaks.
func TestNobodyWaitsForTheCloud(t *testing.T) {
	program := need.Tool(t, "espeak-ng", "Debian: apt-get install espeak-ng")
	_, pcm := tone(440)
	r := newRig(t, "", func(r *rig) { r.cloud.SetUplink(false) }, func(c *speech.Config) { c.Espeak, c.Language = program, "en-US" })
	var once sync.Once
	r.announce(announced(r.cloud.Endpoints().Bucket, "audio/1.pcm", "Fault on press 1.", pcm), func(event.Health) bool {
		once.Do(func() { r.announcer.Say(voice.Announcement{Key: "de", Language: "de", Text: "Nichts."}) }) // it is not spoken here
		return true
	})
	if got := r.say(voice.Announcement{Key: "1", Language: "en", Text: "Fault on press 1."}); len(got) < 8000 {
		t.Errorf("espeak-ng has spoken %d samples", len(got))
	}
	if h := r.await(func(event.Health) bool { return true }); h.State != event.StateOK || h.Counters[speech.CounterSpoken] != 1 {
		t.Errorf("%+v", h)
	}
}

// The whole way: an alert is told over SNS, the real notifier has it spoken and announces the clip to the alert's core, and there it is
// what is heard the next time.
func TestAnAlertComesBackAsAClip(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), need.Tool(t, "go", "https://go.dev/dl"), "build", "-tags", "lambda.norpc", "-o", program, "edgepdm/components/polly-notifier")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	r := newRig(t, program, nil)
	ends, operator := r.cloud.InternalEndpoints(), r.cloud.Credentials()
	alert, err := json.Marshal(struct {
		event.AlertDelivery
		event.Alert
	}{event.AlertDelivery{Core: "core-1"}, event.Alert{
		V: 1, ID: "a-1", Thing: "press-1", Fault: event.FaultMachine, State: event.AlarmUnacknowledged, Text: "Fault on press 1.",
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := sns.New(sns.Options{
		Region: ends.Region, BaseEndpoint: &ends.SNS,
		Credentials: credentials.NewStaticCredentialsProvider(operator.AccessKeyID, operator.SecretAccessKey, operator.SessionToken),
	})
	r.await(func(h event.Health) bool { // SNS tells it again and again: the site may not have subscribed yet
		text := string(alert)
		if _, err := client.Publish(t.Context(), &sns.PublishInput{TopicArn: &ends.TopicARN, Message: &text}); err != nil {
			t.Fatal(err)
		}
		return h.Counters[speech.CounterClips] == 1
	})
	played := r.say(voice.Announcement{Key: "1", Language: "en", Text: "Fault on press 1."})
	var keys []string
	for _, e := range r.cloud.Journal() {
		if e.Kind == localcloud.KindAudio {
			keys = append(keys, e.Name)
		}
	}
	if len(keys) == 0 {
		t.Fatal("the notifier has kept nothing")
	}
	pcm, _, err := r.cloud.Object(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	clip, err := voice.DecodePCM(pcm, 16_000)
	if err != nil || !equal(played, clip.Samples) || len(played) < 8000 {
		t.Errorf("played %d samples, %s has %d: %v", len(played), keys[0], len(clip.Samples), err)
	}
}

// A phrase that is not what its index says, or that the index does not have, is refused, named and counted; the others are spoken.
func TestPhrasesAreWhatTheirIndexSays(t *testing.T) {
	good, goodPCM := tone(220)
	_, badPCM := tone(330)
	r := newRig(t, "", func(r *rig) {
		r.putPhrases(map[string][]byte{"en/machine-fault.pcm": goodPCM, "en/silence.pcm": goodPCM})
		r.put("audio/phrases/en/silence.pcm", badPCM)
		r.put("audio/phrases/en/no-data.pcm", badPCM)
	})
	r.await(func(h event.Health) bool {
		for _, c := range h.Conditions {
			if c.Code == event.CodeVoice && strings.Contains(c.Detail, "phrase silence in en: refused: its SHA-256 is ") &&
				strings.Contains(c.Detail, "phrase no-data in en: refused: phrases/SHA256SUMS has no SHA-256 of it") {
				return h.Counters[speech.CounterRefused] >= 2
			}
		}
		return false
	})
	if got := r.say(voice.Announcement{Key: "1", Language: "en", Text: "Fault on press 2.", Class: "machine-fault"}); !equal(got, good) {
		t.Errorf("the phrase is not what was played: %d samples", len(got))
	}
}
