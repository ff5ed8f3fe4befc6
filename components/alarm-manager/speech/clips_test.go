package speech_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/alarm-manager/speech"
	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
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
}

func newRig(t *testing.T, prepare func(*rig), set ...func(*speech.Config)) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, cloud: startCloud(t), heard: filepath.Join(dir, "heard.wav")}
	command := filepath.Join(dir, "player")
	if err := os.WriteFile(command, []byte("#!/bin/sh\ncp \"$1\" '"+r.heard+".new' && mv '"+r.heard+".new' '"+r.heard+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(r)
	}
	core := coretest.Start(t)
	env := coretest.Environment(t, core, event.AlarmManager, "alarm-manager", slog.New(slog.DiscardHandler))
	ends := r.cloud.Endpoints()
	environ := map[string]string{
		"AWS_REGION": ends.Region, "AWS_CONTAINER_CREDENTIALS_FULL_URI": ends.TokenExchange, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
	}
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

func startCloud(t *testing.T) *localcloud.Cloud {
	t.Helper()
	cloud, err := localcloud.New(localcloud.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := cloud.Close(ctx); err != nil {
			t.Errorf("close cloud: %v", err)
		}
	})
	return cloud
}

// put uploads an object, past a cut of the uplink.
func (r *rig) put(key string, data []byte) {
	r.t.Helper()
	ends, operator := r.cloud.InternalEndpoints(), r.cloud.Credentials()
	client := s3.New(s3.Options{
		Region: ends.Region, BaseEndpoint: aws.String(ends.S3), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(operator.AccessKeyID, operator.SecretAccessKey, operator.SessionToken),
	})
	if _, err := client.PutObject(r.t.Context(), &s3.PutObjectInput{Bucket: aws.String(ends.Bucket), Key: aws.String(key), Body: bytes.NewReader(data)}); err != nil {
		r.t.Fatal(err)
	}
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
	r := newRig(t, func(r *rig) { r.put("audio/phrases/en/machine-fault.pcm", phrasePCM) })
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
	r := newRig(t, nil)
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
	r := newRig(t, func(r *rig) { r.cloud.SetUplink(false) }, func(c *speech.Config) { c.Espeak, c.Language = program, "en-US" })
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
