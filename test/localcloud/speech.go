package localcloud

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"time"

	"github.com/braheezy/shine-mp3/pkg/mp3"
)

// alertClip is what is heard where espeak-ng is not installed: "Alert! Fault found. Immediate attention required." Made
// with espeak-ng by `go test ./test/localcloud -run Clip -update`.
//
//go:embed testdata/alert.mp3
var alertClip []byte

const (
	sampleRate    = 22050
	espeakTimeout = 20 * time.Second
	// frame is the number of values in a stereo frame of MPEG-2 layer III.
	frame = 2 * mp3.GRANULE_SIZE
)

// newSpeaker returns espeak-ng if it is installed, else the clip.
func newSpeaker() speaker {
	path, err := exec.LookPath("espeak-ng")
	if err != nil {
		return clip{}
	}
	return espeak{path}
}

// clip says the same whatever the text is.
type clip struct{}

func (clip) speak(_ context.Context, _ string, _ voice, rate int) ([]byte, error) {
	if rate == 0 {
		return alertClip, nil
	}
	beep := make([]int16, rate) // a second
	for i := range beep {
		beep[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate)))
	}
	return littleEndian(beep), nil
}

func littleEndian(pcm []int16) []byte {
	b := make([]byte, 0, 2*len(pcm))
	for _, v := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// espeak says the text with the program of that path.
type espeak struct{ path string }

func (e espeak) speak(ctx context.Context, text string, v voice, to int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, espeakTimeout)
	defer cancel()
	variant := "+f3"
	if v.Gender == "Male" {
		variant = "+m3"
	}
	language := strings.ToLower(v.LanguageCode)
	if language != "en-us" && language != "en-gb" {
		language, _, _ = strings.Cut(language, "-")
	}
	cmd := exec.CommandContext(ctx, e.path, "--stdin", "--stdout", "-b", "1", "-v", language+variant)
	cmd.Stdin = strings.NewReader(text)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run espeak-ng: %w: %.200s", err, problems.String())
	}
	pcm, rate, err := decodeWAV(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read what espeak-ng said: %w", err)
	}
	if to > 0 {
		return littleEndian(resample(pcm, rate, to)), nil
	}
	return encodeMP3(resample(pcm, rate, sampleRate))
}

// decodeWAV returns the samples of a WAV file of 16 bits, one channel. Sizes that are too large are not believed:
// espeak-ng does not know them when it begins to write.
func decodeWAV(wav []byte) (pcm []int16, rate int, err error) {
	if len(wav) < 12 || string(wav[:4]) != "RIFF" || string(wav[8:12]) != "WAVE" {
		return nil, 0, errors.New("not a WAV file")
	}
	for rest := wav[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		rest = rest[8:]
		chunk := rest[:min(size, len(rest))]
		switch {
		case name == "fmt " && len(chunk) >= 16:
			format, channels := binary.LittleEndian.Uint16(chunk), binary.LittleEndian.Uint16(chunk[2:])
			rate = int(binary.LittleEndian.Uint32(chunk[4:]))
			if bits := binary.LittleEndian.Uint16(chunk[14:]); format != 1 || channels != 1 || bits != 16 || rate == 0 {
				return nil, 0, fmt.Errorf("format %d, %d channels, %d bits, %d Hz is not supported", format, channels, bits, rate)
			}
		case name == "data" && rate > 0:
			pcm = make([]int16, len(chunk)/2)
			for i := range pcm {
				pcm[i] = int16(binary.LittleEndian.Uint16(chunk[2*i:]))
			}
			return pcm, rate, nil
		}
		rest = rest[min(size+size%2, len(rest)):]
	}
	return nil, 0, errors.New("the WAV file has no data")
}

// resample returns pcm at another sample rate, by linear interpolation.
func resample(pcm []int16, rate, to int) []int16 {
	if rate == to || len(pcm) == 0 {
		return pcm
	}
	out := make([]int16, int(int64(len(pcm))*int64(to)/int64(rate)))
	for i := range out {
		at := float64(i) * float64(rate) / float64(to)
		j := int(at)
		next := pcm[min(j+1, len(pcm)-1)]
		out[i] = int16(float64(pcm[j]) + (at-float64(j))*float64(int(next)-int(pcm[j])))
	}
	return out
}

// encodeMP3 returns the samples as an MP3 of 22,050 Hz. The encoder wants stereo and whole frames, touches memory one
// value past the end, and keeps the last bytes to itself: a silent frame more pushes them out, and its stump is cut off.
func encodeMP3(pcm []int16) ([]byte, error) {
	const bitrate, bitrateIndex = 64, 8 // the encoder's own choice, 128 kbit/s, is for music
	const slots = mp3.GRANULE_SIZE * bitrate * 1000 / 8.0 / sampleRate
	const wholeSlots = int64(mp3.GRANULE_SIZE * bitrate * 1000 / 8 / sampleRate)
	frames := (2*len(pcm)+frame-1)/frame + 1
	stereo := make([]int16, frames*frame, (frames+1)*frame)
	for i, v := range pcm {
		stereo[2*i], stereo[2*i+1] = v, v
	}
	e := mp3.NewEncoder(sampleRate, 2)
	e.Mpeg.Bitrate, e.Mpeg.BitrateIndex = bitrate, bitrateIndex
	e.Mpeg.WholeSlotsPerFrame, e.Mpeg.FracSlotsPerFrame = wholeSlots, slots-float64(wholeSlots)
	e.Mpeg.Slot_lag = -e.Mpeg.FracSlotsPerFrame
	var out bytes.Buffer
	if err := e.Write(&out, stereo); err != nil {
		return nil, fmt.Errorf("encode MP3: %w", err)
	}
	audio, end := out.Bytes(), 0
	for range frames - 1 {
		if end+4 > len(audio) {
			return nil, errors.New("encode MP3: a frame is missing")
		}
		end += int(wholeSlots) + int(audio[end+2]>>1&1) // a slot is a byte; that bit says that there is one more
	}
	return audio[:min(end, len(audio))], nil
}
