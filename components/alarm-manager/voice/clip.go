package voice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Clip is sound: signed samples of 16 bits, one channel.
type Clip struct {
	Rate    int // samples a second
	Samples []int16
}

const (
	// MaxClip bounds how long a clip may be.
	MaxClip = 2 * time.Minute

	minRate, maxRate = 8_000, 48_000
)

// Duration is how long it takes to play the clip.
func (c Clip) Duration() time.Duration {
	if c.Rate == 0 {
		return 0
	}
	return time.Duration(len(c.Samples)) * time.Second / time.Duration(c.Rate)
}

// Louder returns the clip with each sample multiplied by a gain, and bounded.
func (c Clip) Louder(gain float64) Clip {
	if gain == 1 {
		return c
	}
	out := make([]int16, len(c.Samples))
	for i, s := range c.Samples {
		out[i] = sample(float64(s) * gain)
	}
	return Clip{c.Rate, out}
}

func sample(x float64) int16 { return int16(math.Round(min(max(x, math.MinInt16), math.MaxInt16))) }

// DecodePCM reads little-endian samples without a header, as Polly's output format pcm.
func DecodePCM(data []byte, rate int) (Clip, error) {
	switch {
	case rate < minRate || rate > maxRate:
		return Clip{}, fmt.Errorf("%d samples a second are not between %d and %d", rate, minRate, maxRate)
	case len(data) < 2:
		return Clip{}, errors.New("there is no sound in it")
	case len(data)/2 > rate*int(MaxClip/time.Second):
		return Clip{}, fmt.Errorf("it is longer than %v", MaxClip)
	}
	samples := make([]int16, len(data)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return Clip{rate, samples}, nil
}

const (
	waveHeader = 44
	formatPCM  = 1
)

// DecodeWAV reads a RIFF WAVE file with PCM of 16 bits and one or two channels, of which the first is taken. The sizes of a file
// that was written to a pipe are unknown: its sound ends with it.
func DecodeWAV(data []byte) (Clip, error) {
	if len(data) < 12 || string(data[:4]) != "RIFF" || string(data[8:12]) != "WAVE" {
		return Clip{}, errors.New("it is no WAV file")
	}
	rate, channels := 0, 0
	for at := 12; at+8 <= len(data); {
		name, body := string(data[at:at+4]), data[at+8:]
		size := int(min(int64(binary.LittleEndian.Uint32(data[at+4:])), int64(len(body)))) // it may be more than an int has
		body = body[:size]
		switch name {
		case "fmt ":
			if len(body) < 16 {
				return Clip{}, errors.New("the WAV file's format is cut off")
			}
			format, bits := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[14:])
			channels, rate = int(binary.LittleEndian.Uint16(body[2:])), int(binary.LittleEndian.Uint32(body[4:]))
			if format != formatPCM || bits != 16 || channels < 1 || channels > 2 {
				return Clip{}, fmt.Errorf("the WAV file has format %d with %d bits and %d channels, not PCM with 16 bits and 1 or 2", format, bits, channels)
			}
		case "data":
			if channels == 0 {
				return Clip{}, errors.New("the WAV file has sound before its format")
			}
			if channels == 2 {
				body = firstChannel(body)
			}
			return DecodePCM(body, rate)
		}
		at += 8 + size + size%2
	}
	return Clip{}, errors.New("the WAV file has no sound")
}

func firstChannel(stereo []byte) []byte {
	mono := make([]byte, 0, len(stereo)/2)
	for i := 0; i+4 <= len(stereo); i += 4 {
		mono = append(mono, stereo[i:i+2]...)
	}
	return mono
}

// EncodeWAV writes the clip as a RIFF WAVE file.
func (c Clip) EncodeWAV(w io.Writer) error {
	size := 2 * len(c.Samples)
	b := make([]byte, 0, waveHeader+size)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(waveHeader-8+size))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, formatPCM)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(2*c.Rate))
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	for _, s := range c.Samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	_, err := w.Write(b)
	return err
}
