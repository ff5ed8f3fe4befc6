package localcloud

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

var update = flag.Bool("update", false, "make testdata/alert.mp3 again")

const clipText = "Alert! Fault found. Immediate attention required."

func espeakNG(t *testing.T) espeak {
	t.Helper()
	return espeak{need.Tool(t, "espeak-ng", "Debian: apt-get install espeak-ng")}
}

// TestClip checks the clip that is heard without espeak-ng.
func TestClip(t *testing.T) {
	if *update {
		audio, err := espeakNG(t).speak(t.Context(), clipText, voices()[0], 0)
		must.OK(t, err)
		must.OK(t, os.WriteFile("testdata/alert.mp3", audio, 0o644))
		return
	}
	audio, err := clip{}.speak(t.Context(), "other", voices()[1], 0)
	must.OK(t, err)
	if d := mp3Duration(t, audio); len(audio) > 40<<10 || d < 3*time.Second || d > 5*time.Second {
		t.Errorf("%d bytes, %s", len(audio), d)
	}
}

// mp3Duration walks over the frames of an MP3 of 64 kbit/s, 22,050 Hz, stereo, and fails at anything else.
func mp3Duration(t *testing.T, audio []byte) time.Duration {
	t.Helper()
	const samples, bitrate = 576, 64_000
	n := 0
	for rest := audio; len(rest) > 0; n++ {
		// 11 bits of sync, MPEG-2, layer III, no CRC; bit rate 8, sample rate 0, padding, private; stereo.
		if len(rest) < 4 || rest[0] != 0xff || rest[1] != 0xf3 || rest[2]&^2 != 0x80 || rest[3]&0xc0 != 0 {
			t.Fatalf("frame %d of %d bytes begins with % x", n, len(audio), rest[:min(4, len(rest))])
		}
		size := samples/8*bitrate/sampleRate + int(rest[2]>>1&1)
		if len(rest) < size {
			t.Fatalf("frame %d is cut", n)
		}
		rest = rest[size:]
	}
	return time.Duration(n) * samples * time.Second / sampleRate
}

func TestEspeak(t *testing.T) {
	e := espeakNG(t)
	const hostile = `'; touch espeak-was-here; echo "$(touch espeak-was-here)" -w espeak-was-here <speak>`
	var durations []time.Duration
	for _, text := range []string{"Fault.", clipText, hostile, "--help", strings.Repeat("alarm ", 30)} {
		audio, err := e.speak(t.Context(), text, voices()[0], 0)
		if err != nil {
			t.Fatalf("%.20s: %v", text, err)
		}
		durations = append(durations, mp3Duration(t, audio))
	}
	if durations[0] < 200*time.Millisecond || durations[1] < 2*durations[0] || durations[4] < 6*time.Second {
		t.Errorf("durations %v", durations)
	}
	if _, err := os.Stat("espeak-was-here"); err == nil {
		t.Error("the text was executed")
	}
	for _, v := range voices() {
		if _, err := e.speak(t.Context(), "Test", v, 0); err != nil {
			t.Errorf("%s: %v", v.ID, err)
		}
	}
}

func TestEspeakFails(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "espeak-ng")
	for _, script := range []string{"echo no data >&2; exit 1", "echo this is no WAV"} {
		must.OK(t, os.WriteFile(broken, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
		if _, err := (espeak{broken}).speak(t.Context(), "text", voices()[0], 0); err == nil {
			t.Errorf("%s: no error", script)
		}
	}
}

func TestNewSpeaker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if s := newSpeaker(); s != (clip{}) {
		t.Errorf("without espeak-ng: %v", s)
	}
}

// wav makes a WAV file whose sizes are those of a stream.
func wav(format, channels, bits uint16, rate uint32, pcm []int16) []byte {
	var b bytes.Buffer
	b.WriteString("RIFF\x24\xf0\xff\x7fWAVEfmt ")
	for _, v := range []any{uint32(16), format, channels, rate, rate * 2, uint16(2), bits} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("LIST\x03\x00\x00\x00abc\x00data\x00\xf0\xff\x7f")
	_ = binary.Write(&b, binary.LittleEndian, pcm)
	return b.Bytes()
}

func TestDecodeWAV(t *testing.T) {
	good := wav(1, 1, 16, 16000, []int16{1, -2, 3})
	pcm, rate, err := decodeWAV(good)
	if err != nil || rate != 16000 || len(pcm) != 3 || pcm[1] != -2 {
		t.Errorf("samples %v at %d Hz, %v", pcm, rate, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "other": []byte("ID3 and so on, long enough"), "stereo": wav(1, 2, 16, 16000, nil),
		"8 bits": wav(1, 1, 8, 16000, nil), "float": wav(3, 1, 16, 16000, nil), "no rate": wav(1, 1, 16, 0, nil),
		"no data": good[:40],
	} {
		if _, _, err := decodeWAV(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecodeWAV(f *testing.F) {
	f.Add(wav(1, 1, 16, 22050, []int16{1, 2, 3}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if pcm, rate, err := decodeWAV(data); err == nil && (2*len(pcm) > len(data) || rate <= 0) {
			t.Errorf("%d samples at %d Hz of %d bytes", len(pcm), rate, len(data))
		}
	})
}

func TestResample(t *testing.T) {
	tone := func(rate int) []int16 {
		pcm := make([]int16, rate) // one second
		for i := range pcm {
			pcm[i] = int16(10000 * math.Sin(2*math.Pi*300*float64(i)/float64(rate)))
		}
		return pcm
	}
	want := tone(sampleRate)
	for _, rate := range []int{8000, 16000, 22050, 44100} {
		got := resample(tone(rate), rate, sampleRate)
		if len(got) != len(want) {
			t.Fatalf("%d Hz: %d samples", rate, len(got))
		}
		for i, v := range got {
			if diff := math.Abs(float64(v) - float64(want[i])); diff > 300 && i < len(got)-10 {
				t.Fatalf("%d Hz: sample %d differs by %.0f", rate, i, diff)
			}
		}
		audio, err := encodeMP3(got)
		must.OK(t, err)
		if d := mp3Duration(t, audio); d < time.Second || d > 1100*time.Millisecond {
			t.Errorf("%d Hz: %s", rate, d)
		}
	}
	if audio, err := encodeMP3(nil); err != nil || len(audio) != 0 {
		t.Errorf("nothing: %d bytes, %v", len(audio), err)
	}
}
