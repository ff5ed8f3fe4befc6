package localcloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/polly/types"
)

func TestPollySynthesize(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	long := strings.Repeat("x", maxBilled)
	for _, tc := range []struct {
		name   string
		in     polly.SynthesizeSpeechInput
		billed int32
		status int
		code   string
	}{
		{name: "text", in: polly.SynthesizeSpeechInput{Text: aws.String("Fault & <more>")}, billed: 14},
		{name: "ssml", in: polly.SynthesizeSpeechInput{Text: aws.String(`<speak>Alert!<break time="1s"/> a &amp; b</speak>`), TextType: types.TextTypeSsml}, billed: 13},
		{name: "longest", in: polly.SynthesizeSpeechInput{Text: &long}, billed: 3000},
		{name: "longest with tags", in: polly.SynthesizeSpeechInput{Text: aws.String("<speak>" + long[:2999] + "</speak>"), TextType: types.TextTypeSsml}, billed: 2999},
		{name: "standard by default", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), VoiceId: types.VoiceIdKevin}, status: 400, code: "EngineNotSupportedException"},
		{name: "engine", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), VoiceId: types.VoiceIdCarla, Engine: types.EngineNeural}, status: 400, code: "EngineNotSupportedException"},
		{name: "too long", in: polly.SynthesizeSpeechInput{Text: aws.String(long + "x")}, status: 400, code: "TextLengthExceededException"},
		{name: "too long in UTF-16", in: polly.SynthesizeSpeechInput{Text: aws.String(long[1:] + "😀")}, status: 400, code: "TextLengthExceededException"},
		{name: "too many tags", in: polly.SynthesizeSpeechInput{Text: aws.String("<speak>" + strings.Repeat("<p/>", 1500) + "</speak>"), TextType: types.TextTypeSsml}, status: 400, code: "TextLengthExceededException"},
		{name: "not well-formed", in: polly.SynthesizeSpeechInput{Text: aws.String("<speak>a & b</speak>"), TextType: types.TextTypeSsml}, status: 400, code: "InvalidSsmlException"},
		{name: "not closed", in: polly.SynthesizeSpeechInput{Text: aws.String("<speak>a"), TextType: types.TextTypeSsml}, status: 400, code: "InvalidSsmlException"},
		{name: "other root", in: polly.SynthesizeSpeechInput{Text: aws.String("<p>a</p>"), TextType: types.TextTypeSsml}, status: 400, code: "InvalidSsmlException"},
		{name: "two roots", in: polly.SynthesizeSpeechInput{Text: aws.String("<speak>a</speak><speak>b</speak>"), TextType: types.TextTypeSsml}, status: 400, code: "InvalidSsmlException"},
		{name: "no root", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), TextType: types.TextTypeSsml}, status: 400, code: "InvalidSsmlException"},
		{name: "unknown voice", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), VoiceId: "Nobody"}, status: 400, code: "ValidationException"},
		{name: "unknown engine", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), Engine: "best"}, status: 400, code: "ValidationException"},
		{name: "unknown type", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), TextType: "html"}, status: 400, code: "ValidationException"},
		{name: "no text", in: polly.SynthesizeSpeechInput{Text: aws.String("")}, status: 400, code: "ValidationException"},
		{name: "format", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), OutputFormat: types.OutputFormatOggVorbis}, status: 400, code: "ValidationException"},
		{name: "sample rate of PCM", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), OutputFormat: types.OutputFormatPcm, SampleRate: aws.String("22050")}, status: 400, code: "InvalidSampleRateException"},
		{name: "sample rate", in: polly.SynthesizeSpeechInput{Text: aws.String("a"), SampleRate: aws.String("11025")}, status: 400, code: "InvalidSampleRateException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.VoiceId == "" {
				tc.in.VoiceId, tc.in.Engine = types.VoiceIdJoanna, cmpOr(tc.in.Engine, types.EngineNeural)
			}
			tc.in.OutputFormat = cmpOr(tc.in.OutputFormat, types.OutputFormatMp3)
			before := c.Journal().Count(KindSpeech)
			out, audio, err := d.speak(t, &tc.in)
			if tc.status != 0 {
				wantError(t, err, tc.status, tc.code)
				if c.Journal().Count(KindSpeech) != before {
					t.Error("a refused text was spoken")
				}
				return
			}
			if err != nil || !bytes.Equal(audio, alertClip) || *out.ContentType != "audio/mpeg" || out.RequestCharacters != tc.billed {
				t.Errorf("%d bytes of %s for %d characters, %v", len(audio), *out.ContentType, out.RequestCharacters, err)
			}
		})
	}
}

// speak returns what Polly says. Audio that breaks off is asked for again: the SDK closes the request's body as soon as the
// answer begins, and where net/http is still at it, the connection ends with it.
func (d clients) speak(t *testing.T, in *polly.SynthesizeSpeechInput) (out *polly.SynthesizeSpeechOutput, audio []byte, err error) {
	t.Helper()
	for range 5 {
		if out, err = d.polly.SynthesizeSpeech(testContext(t), in); err != nil {
			return nil, nil, err
		}
		audio, err = io.ReadAll(out.AudioStream)
		_ = out.AudioStream.Close()
		if err == nil {
			break
		}
	}
	return out, audio, err
}

func cmpOr[T ~string](a, b T) T {
	if a == "" {
		return b
	}
	return a
}

func TestPollyVoices(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	names := func(in *polly.DescribeVoicesInput) []string {
		t.Helper()
		out, err := d.polly.DescribeVoices(testContext(t), in)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, v := range out.Voices {
			list = append(list, string(v.Id))
			if len(v.SupportedEngines) == 0 || v.LanguageCode == "" {
				t.Errorf("voice %+v", v)
			}
		}
		return list
	}
	if all := names(&polly.DescribeVoicesInput{}); len(all) != len(voices()) {
		t.Errorf("all voices: %q", all)
	}
	neural := names(&polly.DescribeVoicesInput{Engine: types.EngineNeural})
	if !slices.Contains(neural, "Joanna") || !slices.Contains(neural, "Matthew") || slices.Contains(neural, "Carla") {
		t.Errorf("neural voices: %q", neural)
	}
	if german := names(&polly.DescribeVoicesInput{Engine: types.EngineNeural, LanguageCode: types.LanguageCodeDeDe}); !slices.Equal(german, []string{"Vicki"}) {
		t.Errorf("German neural voices: %q", german)
	}
}

// speakerFunc is a speaker of a test.
type speakerFunc func(text string, v voice) ([]byte, error)

func (f speakerFunc) speak(_ context.Context, text string, v voice, _ int) ([]byte, error) {
	return f(text, v)
}

// TestPollySpeaker checks what is given to the speaker, and what becomes of its failure.
func TestPollySpeaker(t *testing.T) {
	var got []string
	var fault error
	c := startCloud(t, Options{}, func(c *Cloud) {
		c.speaker = speakerFunc(func(text string, v voice) ([]byte, error) {
			got = append(got, v.ID+": "+text)
			return []byte("audio"), fault
		})
	})
	d := deviceClients(t, c)
	in := &polly.SynthesizeSpeechInput{
		VoiceId: types.VoiceIdMatthew, Engine: types.EngineNeural, OutputFormat: types.OutputFormatMp3, TextType: types.TextTypeSsml,
		Text: aws.String(`<speak>Fault on<break/>line &lt;1&gt;.</speak>`),
	}
	if _, err := d.polly.SynthesizeSpeech(testContext(t), in); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Matthew: Fault on line <1>."}; !slices.Equal(got, want) {
		t.Errorf("spoken %q", got)
	}
	fault = errors.New("hoarse")
	_, err := d.polly.SynthesizeSpeech(testContext(t), in)
	wantError(t, err, 500, "ServiceFailureException")
	_, err = d.polly.ListLexicons(testContext(t), &polly.ListLexiconsInput{})
	wantError(t, err, 404, "UnknownOperationException")
}

// TestPollyEspeak hears espeak-ng through the service.
func TestPollyEspeak(t *testing.T) {
	e := espeakNG(t)
	c := startCloud(t, Options{}, func(c *Cloud) { c.speaker = e })
	d := deviceClients(t, c)
	_, audio, err := d.speak(t, &polly.SynthesizeSpeechInput{
		VoiceId: types.VoiceIdJoanna, Engine: types.EngineNeural, OutputFormat: types.OutputFormatMp3, Text: aws.String(clipText),
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := mp3Duration(t, audio); d < 2*time.Second || d > 6*time.Second {
		t.Errorf("duration %s", d)
	}
	for rate, want := range map[string]int{"8000": 8000, "16000": 16000} {
		_, audio, err := d.speak(t, &polly.SynthesizeSpeechInput{
			VoiceId: types.VoiceIdJoanna, Engine: types.EngineNeural, OutputFormat: types.OutputFormatPcm, SampleRate: &rate, Text: aws.String(clipText),
		})
		if err != nil || len(audio) < 2*2*want || len(audio) > 2*6*want {
			t.Errorf("%d bytes of PCM at %s Hz, %v", len(audio), rate, err)
		}
	}
}
