package notifier

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/polly/types"
)

// Config is what the function's environment says.
type Config struct {
	Bucket      string // where the audio is kept
	Voice       string // Polly's voice
	Engine      string // Polly's engine; never left to the service, whose default many voices do not support
	Format      string // mp3 or ogg_vorbis
	SampleRate  string // in Hz
	KeyPrefix   string // what the keys of the audio begin with
	TopicPrefix string // cloud topic below which audio is announced; empty = it is not announced
	IoTEndpoint string // URL of the IoT data plane; empty = what the SDK finds
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
	var c Config
	var list []Variable
	for _, s := range settings(&c) {
		list = append(list, s.Variable)
	}
	return list
}

// FromEnvironment reads and checks the configuration. The error names every variable that is wrong.
func FromEnvironment(getenv func(string) string) (Config, error) {
	var c Config
	var problems []error
	for _, s := range settings(&c) {
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
	c.TopicPrefix = strings.TrimSuffix(c.TopicPrefix, "/")
	return c, errors.Join(problems...)
}

// setting ties a variable to its field.
type setting struct {
	Variable
	field *string
	check func(string) error
}

func settings(c *Config) []setting {
	engines := types.Engine("").Values()
	return []setting{
		{Variable{"BUCKET_NAME", "", true, "S3 bucket that keeps the audio"}, &c.Bucket, noneOf(" /")},
		{Variable{"VoiceId", "", true, "Amazon Polly's voice, such as Joanna"}, &c.Voice, noneOf(" /")},
		{Variable{"Engine", "neural", false, "Polly's engine: " + join(engines)}, &c.Engine, oneOf(engines)},
		{Variable{"OutputFormat", "mp3", false, "audio format: " + join(outputFormats())}, &c.Format, oneOf(outputFormats())},
		{Variable{"SampleRate", "22050", false, "samples a second: " + join(sampleRates())}, &c.SampleRate, oneOf(sampleRates())},
		{Variable{"KeyPrefix", "audio/", false, "beginning of the audio's S3 keys"}, &c.KeyPrefix, checkKeyPrefix},
		{Variable{"AUDIO_TOPIC_PREFIX", "", false, "announce audio on the IoT topic <prefix>/<thing>; empty: do not"}, &c.TopicPrefix, checkTopicPrefix},
		{Variable{"IOT_DATA_ENDPOINT", "", false, "IoT data endpoint, host or URL; empty: the SDK's"}, &c.IoTEndpoint, noneOf(" ")},
	}
}

// outputFormats are those that a player on the factory floor can play as they are.
func outputFormats() []types.OutputFormat {
	return []types.OutputFormat{types.OutputFormatMp3, types.OutputFormatOggVorbis}
}

func sampleRates() []string { return []string{"8000", "16000", "22050", "24000", "44100", "48000"} }

// extension is how keys of audio in c.Format end.
func (c Config) extension() string {
	if c.Format == string(types.OutputFormatOggVorbis) {
		return ".ogg"
	}
	return ".mp3"
}

// contentType is the media type of c.Format.
func (c Config) contentType() string {
	if c.Format == string(types.OutputFormatOggVorbis) {
		return "audio/ogg"
	}
	return "audio/mpeg"
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
