package notifier

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/polly/types"

	"edgepdm/shared/event"
)

// Config is what the function's environment says.
type Config struct {
	Bucket      string  // where the audio is kept
	Voices      []Voice // each alert is spoken by all that have a text; the first one speaks an alert's own text
	Format      string  // mp3, ogg_vorbis or pcm
	SampleRate  string  // in Hz
	KeyPrefix   string  // what the keys of the audio begin with
	TopicPrefix string  // cloud topic below which audio is announced by thing; empty = it is not announced so
	SitePrefix  string  // the same of the cores' own topics
	IoTEndpoint string  // URL of the IoT data plane; empty = what the SDK finds
}

// Voice is one of Polly's.
type Voice struct {
	Language string // such as en-US; empty: it speaks whatever the text is
	Name     string
	Engine   string // never left to the service, whose default many voices do not support
}

func (v Voice) base() string {
	base, _, _ := strings.Cut(v.Language, "-")
	return strings.ToLower(base)
}

// Variable is one environment variable of the function.
type Variable struct {
	Name     string
	Default  string
	Required bool
	Doc      string // one line
}

// Variables lists the function's own environment variables, for -help and the documentation. The SDK's variables
// (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, …) work beside them.
func Variables() []Variable {
	var list []Variable
	for _, s := range settings(new(Config), new(voices)) {
		list = append(list, s.Variable)
	}
	return list
}

// FromEnvironment reads and checks the configuration. The error names every variable that is wrong.
func FromEnvironment(getenv func(string) string) (Config, error) {
	var c Config
	var v voices
	var problems []error
	for _, s := range settings(&c, &v) {
		value := strings.TrimSpace(getenv(s.Name))
		if value == "" {
			value = s.Default
		}
		if value == "" && s.Required {
			problems = append(problems, fmt.Errorf("environment variable %s is not set: %s", s.Name, s.Doc))
			continue
		}
		if value != "" && s.check != nil {
			if err := s.check(value); err != nil {
				problems = append(problems, fmt.Errorf("environment variable %s: %w", s.Name, err))
				continue
			}
		}
		*s.field = value
	}
	if c.IoTEndpoint != "" && !strings.Contains(c.IoTEndpoint, "://") {
		c.IoTEndpoint = "https://" + c.IoTEndpoint // as `aws iot describe-endpoint` prints it
	}
	c.TopicPrefix, c.SitePrefix = strings.TrimSuffix(c.TopicPrefix, "/"), strings.TrimSuffix(c.SitePrefix, "/")
	if c.SampleRate == "" {
		c.SampleRate = "22050"
		if c.Format == event.FormatPCM {
			c.SampleRate = "16000" // the highest that Polly has
		}
	}
	if c.Format == event.FormatPCM && c.SampleRate != "8000" && c.SampleRate != "16000" {
		problems = append(problems, fmt.Errorf("environment variable SampleRate: %s is neither 8000 nor 16000, which pcm has", c.SampleRate))
	}
	var err error
	if c.Voices, err = v.list(); err != nil {
		problems = append(problems, err)
	}
	return c, errors.Join(problems...)
}

// voices are the variables that name voices.
type voices struct {
	id, engine string
	all        string // of VOICES
}

const maxVoices = 8

// list are the voices of VOICES, or that of VoiceId.
func (v voices) list() ([]Voice, error) {
	if v.all == "" {
		if v.id == "" {
			return nil, errors.New("environment variable VoiceId is not set, and VOICES is not either: Amazon Polly's voice, such as Joanna")
		}
		return []Voice{{Name: v.id, Engine: v.engine}}, nil
	}
	entries := strings.Split(v.all, ",")
	if len(entries) > maxVoices {
		return nil, fmt.Errorf("environment variable VOICES: it has %d voices, at most %d", len(entries), maxVoices)
	}
	var list []Voice
	for _, entry := range entries {
		parts := strings.Split(strings.TrimSpace(entry), ":")
		if len(parts) == 2 {
			parts = append(parts, v.engine)
		}
		if len(parts) != 3 || !languagePattern.MatchString(parts[0]) || parts[1] == "" || strings.ContainsAny(parts[1], " /") {
			return nil, fmt.Errorf("environment variable VOICES: %.64q is no language and voice such as en-US:Joanna, or en-US:Joanna:neural", entry)
		}
		if err := oneOf(types.Engine("").Values())(parts[2]); err != nil {
			return nil, fmt.Errorf("environment variable VOICES: engine %w", err)
		}
		list = append(list, Voice{parts[0], parts[1], parts[2]})
	}
	return list, nil
}

var languagePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$`)

// setting ties a variable to its field.
type setting struct {
	Variable
	field *string
	check func(string) error
}

func settings(c *Config, v *voices) []setting {
	engines := types.Engine("").Values()
	return []setting{
		{Variable{"BUCKET_NAME", "", true, "S3 bucket that keeps the audio"}, &c.Bucket, noneOf(" /")},
		{Variable{"VoiceId", "", false, "Amazon Polly's voice, such as Joanna; required without VOICES"}, &v.id, noneOf(" /")},
		{Variable{"VOICES", "", false, "voices of several languages, such as en-US:Joanna,de-DE:Vicki; in place of VoiceId"}, &v.all, nil},
		{Variable{"Engine", "neural", false, "Polly's engine: " + join(engines)}, &v.engine, oneOf(engines)},
		{Variable{"OutputFormat", "mp3", false, "audio format: " + join(outputFormats())}, &c.Format, oneOf(outputFormats())},
		{Variable{"SampleRate", "", false, "samples a second: " + join(sampleRates()) + "; default 22050, of pcm 16000"}, &c.SampleRate, oneOf(sampleRates())},
		{Variable{"KeyPrefix", "audio/", false, "beginning of the audio's S3 keys"}, &c.KeyPrefix, checkKeyPrefix},
		{Variable{"AUDIO_TOPIC_PREFIX", "", false, "announce audio on the IoT topic <prefix>/<thing>; empty: do not"}, &c.TopicPrefix, checkTopicPrefix},
		{Variable{"SITE_TOPIC_PREFIX", "", false, "announce audio to the alert's core, on <prefix>/<core>/pdm/v1/audio, too; empty: do not"}, &c.SitePrefix, checkSitePrefix},
		{Variable{"IOT_DATA_ENDPOINT", "", false, "IoT data endpoint, host or URL; empty: the SDK's"}, &c.IoTEndpoint, noneOf(" ")},
	}
}

// outputFormats are those that a player on the factory floor can play as they are.
func outputFormats() []types.OutputFormat {
	return []types.OutputFormat{types.OutputFormatMp3, types.OutputFormatOggVorbis, types.OutputFormatPcm}
}

func sampleRates() []string { return []string{"8000", "16000", "22050", "24000", "44100", "48000"} }

// extension is how keys of audio in c.Format end.
func (c Config) extension() string {
	switch types.OutputFormat(c.Format) {
	case types.OutputFormatOggVorbis:
		return ".ogg"
	case types.OutputFormatPcm:
		return ".pcm"
	default:
		return ".mp3"
	}
}

// contentType is the media type of c.Format.
func (c Config) contentType() string {
	switch types.OutputFormat(c.Format) {
	case types.OutputFormatOggVorbis:
		return "audio/ogg"
	case types.OutputFormatPcm: // as Polly calls it
		return "audio/pcm"
	default:
		return "audio/mpeg"
	}
}

func oneOf[S ~string](allowed []S) func(string) error {
	return func(value string) error {
		if slices.Contains(allowed, S(value)) {
			return nil
		}
		return fmt.Errorf("%.64q is none of %s", value, join(allowed))
	}
}

func noneOf(chars string) func(string) error {
	return func(value string) error {
		if strings.ContainsAny(value, chars) {
			return fmt.Errorf("%.64q must not contain any of %q", value, chars)
		}
		return nil
	}
}

func join[S ~string](values []S) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

// maxKeyPrefix leaves room for the digest in a key of at most 1,024 bytes.
const maxKeyPrefix = 512

func checkKeyPrefix(value string) error {
	if len(value) > maxKeyPrefix || strings.HasPrefix(value, "/") || clean(value) != value {
		return fmt.Errorf("%.64q must be at most %d bytes, without a leading slash and control characters", value, maxKeyPrefix)
	}
	return nil
}

// AWS IoT allows 256 bytes and eight levels in a topic; the last one is the thing, of at most 128 bytes.
const (
	maxTopicPrefix       = 127
	maxTopicPrefixLevels = 7
)

func checkTopicPrefix(value string) error {
	value = strings.TrimSuffix(value, "/")
	levels := strings.Split(value, "/")
	if len(value) > maxTopicPrefix || len(levels) > maxTopicPrefixLevels || slices.Contains(levels, "") ||
		strings.ContainsAny(value, "+# ") || strings.HasPrefix(value, "$") {
		return fmt.Errorf("%.64q must be a topic of at most %d bytes and %d levels, without wildcards and not beginning with $",
			value, maxTopicPrefix, maxTopicPrefixLevels)
	}
	return nil
}

// maxSitePrefix leaves room for a core's name, as that of the forwarder's topicPrefix does.
const (
	maxSitePrefix       = 64
	maxSitePrefixLevels = 2
)

func checkSitePrefix(value string) error {
	value = strings.TrimSuffix(value, "/")
	if len(value) > maxSitePrefix || strings.Count(value, "/") >= maxSitePrefixLevels {
		return fmt.Errorf("%.64q must have at most %d bytes and %d levels, as the forwarder's topicPrefix", value, maxSitePrefix, maxSitePrefixLevels)
	}
	return checkTopicPrefix(value)
}
