package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/components/alarm-manager/speech"
	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/need"
)

// site is an alarm manager that runs on the embedded core, with its recipe.
type site struct {
	t      testing.TB
	dir    string // the manager's work directory
	client *ipc.Client
	health *coretest.Health
}

// startSite starts a manager with a voice section, and waits until it is at work.
func startSite(t testing.TB, voice map[string]any) *site {
	t.Helper()
	core := coretest.Start(t)
	client := coretest.Client(t, core)
	env := coretest.Environment(t, core, event.AlarmManager, "alarm-manager", slog.New(slog.DiscardHandler))
	coretest.Configure(t, core, event.AlarmManager, map[string]any{"healthInterval": "100ms", "republish": "1h", "voice": voice})
	health := coretest.HealthOf(t, client, event.AlarmManager)
	coretest.Run(t, env, component.Spec[alarms.Config]{
		Name: event.AlarmManager, Default: alarms.Default,
		Run: func(ctx context.Context, rt *component.Runtime, config alarms.Config) error {
			return manage(ctx, rt, config, "core-1")
		},
	}, health)
	s := &site{t, env.WorkDir, client, health}
	s.await("at work", func(h event.Health) bool { return h.State != event.StateStarting })
	return s
}

func (s *site) await(what string, wanted func(event.Health) bool) event.Health {
	s.t.Helper()
	return s.health.Await(what, wanted)
}

// testAlarm raises a test alarm.
func (s *site) testAlarm(text string) {
	s.t.Helper()
	payload, err := json.Marshal(event.TestAlarm{V: 1, Thing: "press-1", Line: "line-1", Text: text})
	if err == nil {
		err = s.client.Publish(s.t.Context(), event.TopicTestAlarm, payload)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// command runs a command as a person on the device does.
func (s *site) command(run func(context.Context, []string, cli.Streams) error, arguments ...string) (string, error) {
	s.t.Helper()
	var out bytes.Buffer
	arguments = append(arguments, "-dir", s.dir, "-timeout", "30s")
	err := run(s.t.Context(), arguments, cli.Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard})
	return out.String(), err
}

// speaker is a paging speaker.
type speaker struct {
	t    testing.TB
	conn net.PacketConn
}

func newSpeaker(t testing.TB) speaker {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return speaker{t, conn}
}

func (s speaker) address() string { return s.conn.LocalAddr().String() }

// hear returns what is said until nothing comes for a while, as a clip, and when its packets came.
func (s speaker) hear() (clip voice.Clip, at []time.Time) {
	s.t.Helper()
	packet := make([]byte, 2000)
	clip.Rate = 8000
	for wait := time.Minute; ; wait = 1500 * time.Millisecond {
		if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			s.t.Fatal(err)
		}
		n, _, err := s.conn.ReadFrom(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return clip, at
		}
		if err != nil || n < 12 {
			s.t.Fatalf("packet of %d bytes: %v", n, err)
		}
		at = append(at, time.Now())
		for _, code := range packet[12:n] {
			clip.Samples = append(clip.Samples, linear(code))
		}
	}
}

// linear is the sample of a µ-law code (ITU-T G.711).
func linear(code byte) int16 {
	inverted := ^code
	level := int16(inverted&15)<<3 + 0x84
	level = level<<(inverted>>4&7) - 0x84
	if inverted&0x80 != 0 {
		return -level
	}
	return level
}

// player is a program that keeps each file that it is to play.
func player(t testing.TB) (command, heard string) {
	t.Helper()
	dir := t.TempDir()
	command, heard = filepath.Join(dir, "player"), filepath.Join(dir, "heard.wav")
	if err := os.WriteFile(command, []byte("#!/bin/sh\ncp \"$1\" '"+heard+".new' && mv '"+heard+".new' '"+heard+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return command, heard
}

func espeak(t testing.TB) string {
	t.Helper()
	return need.Tool(t, "espeak-ng", "Debian: apt-get install espeak-ng")
}

// An alarm is spoken by espeak-ng, and heard from a loudspeaker at the device and from a paging speaker, the same from both.
func TestAnAlarmIsHeard(t *testing.T) {
	command, heard := player(t)
	s := newSpeaker(t)
	m := startSite(t, map[string]any{
		"enabled": true, "espeak": espeak(t), "player": []any{command}, "rtp": map[string]any{"address": s.address()},
	})
	m.testAlarm("Hello.")
	paged, _ := s.hear()
	m.await("that it was spoken", func(h event.Health) bool { return h.Counters[speech.CounterSpoken] == 1 && h.State == event.StateOK })
	file, err := os.ReadFile(heard)
	if err != nil {
		t.Fatal(err)
	}
	played, err := voice.DecodeWAV(file)
	if err != nil {
		t.Fatal(err)
	}
	if played.Duration() < time.Second {
		t.Errorf("the player got %v of sound", played.Duration())
	}
	want := played.Resampled(8000).Samples
	if n := len(paged.Samples) - len(want); n < 0 || n >= 160 {
		t.Fatalf("the speaker heard %d samples of %d", len(paged.Samples), len(want))
	}
	for i, w := range want {
		if away := int(paged.Samples[i]) - int(w); max(away, -away) > 32+max(int(w), -int(w))/16 { // µ-law's own steps
			t.Fatalf("sample %d is %d, sent was %d", i, paged.Samples[i], w)
		}
	}
}

// A player that fails is a condition, and takes nothing from the paging speaker; without a voice nothing is spoken.
func TestAPlayerThatFailsIsTold(t *testing.T) {
	s := newSpeaker(t)
	m := startSite(t, map[string]any{
		"enabled": true, "espeak": espeak(t), "player": []any{"false"}, "rtp": map[string]any{"address": s.address()},
	})
	m.testAlarm("")
	if clip, _ := s.hear(); clip.Duration() < time.Second {
		t.Errorf("the speaker heard %v", clip.Duration())
	}
	h := m.await("the condition", func(h event.Health) bool {
		return len(h.Conditions) > 0 && h.Counters[speech.CounterSpoken] > 0
	})
	if c := h.Conditions[0]; c.Code != event.CodeVoice || c.Place != "false" || h.Counters[speech.CounterFailed] == 0 || h.Counters[speech.CounterSpoken] != 1 {
		t.Errorf("%+v", h)
	}
	out, err := m.command(speak, "-text", "Test.")
	if err != nil || !strings.Contains(out, "not by all: false: run false: exit status 1") {
		t.Errorf("%q, %v", out, err)
	}
}

// The command for a person who sets it up says that a text was heard, or why not.
func TestSpeakCommand(t *testing.T) {
	command, heard := player(t)
	m := startSite(t, map[string]any{
		"enabled": true, "espeak": espeak(t), "player": []any{command}, "quiet": []any{map[string]any{"from": "00:00", "to": "24:00"}},
	})
	if out, err := m.command(speak, "-text", "Guten Morgen.", "-language", "de-DE"); err != nil || out != "it was spoken\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := os.Stat(heard); err != nil {
		t.Error(err)
	}
	if _, err := m.command(speak, "-text", "?", "-language", "xx"); err == nil || !strings.Contains(err.Error(), "it was not spoken") {
		t.Errorf("an unknown language: %v", err)
	}
	if _, err := m.command(speak); !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), "-text") {
		t.Errorf("without a text: %v", err)
	}
	for _, arguments := range [][]string{{"-text", "a\tb"}, {"-text", strings.Repeat("x", 301)}, {"-text", "x", "-language", "-w/tmp/x"}, {"-text", "x", "-language", "../x"}} {
		if _, err := m.command(speak, arguments...); err == nil {
			t.Errorf("%q is taken", arguments)
		}
	}
	m = startSite(t, map[string]any{})
	if _, err := m.command(speak, "-text", "x"); err == nil || !strings.Contains(err.Error(), "voice.enabled") {
		t.Errorf("without a voice: %v", err)
	}
}

// What the page gives to paste is configuration that the component accepts.
func TestThePageOfTheVoiceIsTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(need.Root(t), "docs", "voice.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(page), "```json\n")
	if len(parts) < 3 {
		t.Fatal("the page has no configuration")
	}
	for _, part := range parts[1:] {
		text, _, _ := strings.Cut(part, "```")
		var merge struct {
			Voice map[string]any `json:"voice"`
		}
		if err := json.Unmarshal([]byte(text), &merge); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		m := startSite(t, merge.Voice)
		if h := m.await("a state", func(h event.Health) bool { return h.State != event.StateStarting }); h.State == event.StateBadConfig {
			t.Errorf("%s: %s", text, h.Detail)
		}
	}
}

// BenchmarkFirstPacket is the time from a command that raises an alarm to the first packet at a paging speaker, and the jitter of
// the others: what they are away from 20 ms after the one before.
func BenchmarkFirstPacket(b *testing.B) {
	s := newSpeaker(b)
	m := startSite(b, map[string]any{"enabled": true, "espeak": espeak(b), "player": []any{}, "rtp": map[string]any{"address": s.address()}})
	var first, jitter []time.Duration
	for b.Loop() {
		for range 5 {
			begun := time.Now()
			m.testAlarm("")
			_, at := s.hear()
			first = append(first, at[0].Sub(begun))
			for i := 1; i < len(at); i++ {
				jitter = append(jitter, (at[i].Sub(at[i-1]) - 20*time.Millisecond).Abs())
			}
		}
	}
	b.ReportMetric(milliseconds(first, 1), "max-ms-to-first-packet")
	b.ReportMetric(milliseconds(jitter, 0.99), "p99-jitter-ms")
	b.ReportMetric(0, "ns/op") // it is the length of what is spoken
}

// milliseconds is a quantile.
func milliseconds(d []time.Duration, q float64) float64 {
	slices.Sort(d)
	return float64(d[min(int(q*float64(len(d))), len(d)-1)].Microseconds()) / 1000
}
