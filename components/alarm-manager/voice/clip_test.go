package voice

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// tone is a second of a sine.
func tone(rate int, hertz, amplitude float64) Clip {
	c := Clip{Rate: rate, Samples: make([]int16, rate)}
	for i := range c.Samples {
		c.Samples[i] = int16(amplitude * math.Sin(2*math.Pi*hertz*float64(i)/float64(rate)))
	}
	return c
}

// ulawLevels are the values of the 256 codes as ITU-T G.711 table 2a has them, for samples of 16 bits.
func ulawLevels() (levels [256]int) {
	for code := range levels {
		inverted := ^byte(code)
		exponent, mantissa := int(inverted>>4&7), int(inverted&15)
		level := 4 * ((2*mantissa+33)<<exponent - 33)
		if inverted&0x80 != 0 {
			level = -level
		}
		levels[code] = level
	}
	return levels
}

// Each of the 65,536 samples has the code whose decision values enclose it: its level is half a step away at most.
func TestULaw(t *testing.T) {
	levels := ulawLevels()
	for s := math.MinInt16; s <= math.MaxInt16; s++ {
		code := ulaw(int16(s))
		halfStep := 4 << (^code >> 4 & 7)
		clipped := max(min(s, 4*ulawClip), -4*ulawClip)
		if away := abs(levels[code] - clipped); away > halfStep+4 { // the law looks at the upper 14 bits
			t.Fatalf("sample %d has level %d, which is %d away", s, levels[code], away)
		}
	}
	if ulaw(0) != ulawSilence || ulaw(math.MaxInt16) != 0x80 || ulaw(math.MinInt16) != 0x00 {
		t.Errorf("codes of 0, the highest and the lowest sample are %#x, %#x and %#x", ulaw(0), ulaw(math.MaxInt16), ulaw(math.MinInt16))
	}
}

func abs(n int) int { return max(n, -n) }

// A tone that both rates can carry stays, one that the lower rate cannot carry goes: it would come back as another one.
func TestResampled(t *testing.T) {
	for _, from := range []int{8000, 11025, 16000, 22050, 24000, 44100, 48000} {
		for hertz, kept := range map[float64]bool{440: true, 2500: true, 5000: false} {
			if 2*hertz > float64(from) {
				continue
			}
			got := tone(from, hertz, 10_000).Resampled(8000)
			if len(got.Samples) != 8000 || got.Rate != 8000 {
				t.Fatalf("from %d: %d samples at %d", from, len(got.Samples), got.Rate)
			}
			rms := 0.0
			for _, s := range got.Samples[500:7500] {
				rms += float64(s) * float64(s)
			}
			rms = math.Sqrt(rms / 7000)
			if kept && math.Abs(rms-7071) > 150 || !kept && rms > 150 {
				t.Errorf("from %d, %v Hz: RMS %.0f", from, hertz, rms)
			}
		}
	}
}

func TestWAV(t *testing.T) {
	clip := tone(16_000, 440, 10_000)
	var file bytes.Buffer
	if err := clip.EncodeWAV(&file); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeWAV(file.Bytes())
	if err != nil || got.Rate != clip.Rate || !equal(got, clip) || got.Duration() != time.Second {
		t.Errorf("read back: %d samples at %d (%v)", len(got.Samples), got.Rate, err)
	}
	piped := bytes.Clone(file.Bytes())
	copy(piped[40:], "\xff\xff\xff\xff") // the size of a file that was written to a pipe
	if got, err := DecodeWAV(piped); err != nil || !equal(got, clip) {
		t.Errorf("of a pipe: %d samples (%v)", len(got.Samples), err)
	}
	copy(piped[16:], "\xf0\xff\xff\xff") // more than an int of 32 bits has
	if _, err := DecodeWAV(piped); err == nil {
		t.Error("a format of 4 GB is read")
	}
	for end := range waveHeader + 1 {
		if _, err := DecodeWAV(file.Bytes()[:end]); err == nil {
			t.Errorf("the first %d bytes are a WAV file", end)
		}
	}
}

func equal(a, b Clip) bool {
	if len(a.Samples) != len(b.Samples) {
		return false
	}
	for i := range a.Samples {
		if a.Samples[i] != b.Samples[i] {
			return false
		}
	}
	return true
}

func FuzzDecodeWAV(f *testing.F) {
	var file bytes.Buffer
	if err := (Clip{8000, []int16{1, -2, 3}}).EncodeWAV(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		clip, err := DecodeWAV(data)
		if err == nil && (len(clip.Samples) == 0 || clip.Rate < minRate || clip.Duration() > MaxClip) {
			t.Errorf("%d samples at %d", len(clip.Samples), clip.Rate)
		}
	})
}
