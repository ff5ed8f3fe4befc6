package localcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf16"
)

const (
	maxBilled = 3000 // characters of SynthesizeSpeech, without tags
	maxText   = 6000 // with them
)

// voice is one of Polly's.
type voice struct {
	Gender           string
	ID               string `json:"Id"`
	LanguageCode     string
	LanguageName     string
	Name             string
	SupportedEngines []string
}

// voices are a few of the real ones, with their engines in us-east-1.
func voices() []voice {
	return []voice{
		{"Female", "Joanna", "en-US", "US English", "Joanna", []string{"generative", "neural", "standard"}},
		{"Male", "Matthew", "en-US", "US English", "Matthew", []string{"generative", "neural", "standard"}},
		{"Female", "Ruth", "en-US", "US English", "Ruth", []string{"generative", "long-form", "neural"}},
		{"Male", "Kevin", "en-US", "US English", "Kevin", []string{"neural"}},
		{"Female", "Amy", "en-GB", "British English", "Amy", []string{"generative", "neural", "standard"}},
		{"Female", "Vicki", "de-DE", "German", "Vicki", []string{"generative", "neural", "standard"}},
		{"Female", "Marlene", "de-DE", "German", "Marlene", []string{"standard"}},
		{"Female", "Carla", "it-IT", "Italian", "Carla", []string{"standard"}},
	}
}

// speaker makes sound of text: an MP3, or PCM with so many samples a second if rate is not 0.
type speaker interface {
	speak(ctx context.Context, text string, v voice, rate int) ([]byte, error)
}

// synthesizer is Polly, of which it has SynthesizeSpeech, for MP3 and PCM, and DescribeVoices. An MP3 always has 22,050 Hz.
type synthesizer struct {
	speaker speaker
	journal *recorder
	log     *slog.Logger
}

func (p *synthesizer) service() service {
	const missing = "MissingAuthenticationTokenException"
	return service{
		name: servicePolly, maxBody: 1 << 20, serve: p.serve, fail: failREST,
		tooLarge: refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request is too large"),
		denials:  denialsAs(missing, "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"),
		throttle: refuse(http.StatusBadRequest, "ThrottlingException", "Rate exceeded"),
	}
}

func (p *synthesizer) serve(w http.ResponseWriter, r *http.Request, body []byte) *apiError {
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/voices":
		return p.describeVoices(w, r)
	case "POST /v1/speech":
		return p.synthesize(w, r, body)
	}
	return refuse(http.StatusNotFound, "UnknownOperationException", "Only SynthesizeSpeech and DescribeVoices are served")
}

func (p *synthesizer) describeVoices(w http.ResponseWriter, r *http.Request) *apiError {
	engine, language := r.URL.Query().Get("Engine"), r.URL.Query().Get("LanguageCode")
	list := slices.DeleteFunc(voices(), func(v voice) bool {
		return (engine != "" && !slices.Contains(v.SupportedEngines, engine)) || (language != "" && v.LanguageCode != language)
	})
	respondJSON(w, http.StatusOK, struct{ Voices []voice }{list})
	return nil
}

// speechRequest is the body of SynthesizeSpeech, as far as it is used.
type speechRequest struct {
	Engine       string
	OutputFormat string
	SampleRate   string
	Text         string
	TextType     string
	VoiceID      string `json:"VoiceId"`
}

func (p *synthesizer) synthesize(w http.ResponseWriter, r *http.Request, body []byte) *apiError {
	var q speechRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse(http.StatusBadRequest, "SerializationException", "The body is not the JSON of a request")
	}
	v, text, refused := q.check()
	if refused != nil {
		return refused
	}
	rate, kind := 0, "audio/mpeg"
	if q.OutputFormat == "pcm" {
		rate, kind = 16000, "audio/pcm"
		if q.SampleRate == "8000" {
			rate = 8000
		}
	}
	audio, err := p.speaker.speak(r.Context(), text, v, rate)
	if err != nil {
		p.log.Error("synthesize speech", "voice", v.ID, "err", err)
		return refuse(http.StatusInternalServerError, "ServiceFailureException", "An unknown condition has caused a service failure")
	}
	p.journal.addEntry(Entry{Kind: KindSpeech, Name: v.ID, Size: len(audio)})
	w.Header().Set("X-Amzn-RequestCharacters", strconv.Itoa(characters(text)))
	respond(w, http.StatusOK, kind, audio)
	return nil
}

// check returns what is to be said by whom, or why Polly would not say it.
func (q speechRequest) check() (v voice, text string, refused *apiError) {
	invalid := func(field, value string) *apiError {
		return refuse(http.StatusBadRequest, "ValidationException", fmt.Sprintf(
			"1 validation error detected: Value '%.100s' at '%s' failed to satisfy constraint", value, field))
	}
	known := voices()
	i := slices.IndexFunc(known, func(v voice) bool { return v.ID == q.VoiceID })
	switch {
	case i < 0:
		return v, "", invalid("voiceId", q.VoiceID)
	case q.OutputFormat == "pcm" && !slices.Contains([]string{"", "8000", "16000"}, q.SampleRate):
		return v, "", refuse(http.StatusBadRequest, "InvalidSampleRateException", "The specified sample rate is not valid")
	case q.OutputFormat != "mp3" && q.OutputFormat != "pcm": // the others exist, but not here
		return v, "", invalid("outputFormat", q.OutputFormat)
	case q.Text == "":
		return v, "", invalid("text", q.Text)
	case !slices.Contains([]string{"", "standard", "neural", "long-form", "generative"}, q.Engine):
		return v, "", invalid("engine", q.Engine)
	case !slices.Contains([]string{"", "8000", "16000", "22050", "24000", "44100", "48000"}, q.SampleRate):
		return v, "", refuse(http.StatusBadRequest, "InvalidSampleRateException", "The specified sample rate is not valid")
	}
	v = known[i]
	engine := q.Engine
	if engine == "" {
		engine = "standard"
	}
	if !slices.Contains(v.SupportedEngines, engine) {
		return v, "", refuse(http.StatusBadRequest, "EngineNotSupportedException", "This voice does not support the selected engine: "+engine)
	}
	text = q.Text
	switch q.TextType {
	case "", "text":
	case "ssml":
		var err error
		if text, err = stripSSML(q.Text); err != nil {
			return v, "", refuse(http.StatusBadRequest, "InvalidSsmlException", "Invalid SSML request: "+err.Error())
		}
	default:
		return v, "", invalid("textType", q.TextType)
	}
	if characters(q.Text) > maxText || characters(text) > maxBilled {
		return v, "", refuse(http.StatusBadRequest, "TextLengthExceededException", "Maximum text length has been exceeded")
	}
	return v, text, nil
}

// characters counts as Polly does, as far as its documentation says: in UTF-16 units.
func characters(s string) int { return len(utf16.Encode([]rune(s))) }
