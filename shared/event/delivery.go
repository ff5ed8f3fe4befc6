package event

// AlertDelivery is what the forwarder adds to an alert that it sends to programs over SNS: how it is delivered.
type AlertDelivery struct {
	Core        string  `json:"core,omitempty"`        // thing name of the core whose forwarder sends it
	Late        float64 `json:"late_s,omitempty"`      // so late it is sent, in seconds; 0 = in time
	Over        bool    `json:"over,omitempty"`        // it was raised, and was over before it was sent
	OverSince   string  `json:"over_since,omitempty"`  // RFC 3339
	Reconnected bool    `json:"reconnected,omitempty"` // it says that the cloud cannot be reached, and arrives as it can be again
}

// TopicAudio is where the cloud announces clips to a site, on <prefix>/<core>/pdm/v1/audio.
const TopicAudio = "pdm/v1/audio"

// FormatPCM is the format of clips that need no decoder: little-endian samples of 16 bits, one channel, no header.
const FormatPCM = "pcm"

// Announcement is what the notifier publishes in AWS IoT Core when the audio of an alert exists: on <AUDIO_TOPIC_PREFIX>/<thing>,
// and on the TopicAudio of the alert's core.
type Announcement struct {
	Replayed   bool   `json:"replayed,omitempty"` // the alert may have arrived before
	V          int    `json:"v"`
	AlertID    string `json:"alertId"` // empty when the alert had no id
	Thing      string `json:"thing"`
	Bucket     string `json:"bucket"`
	Key        string `json:"key"`
	Format     string `json:"format"` // mp3, ogg_vorbis or pcm
	SampleRate int    `json:"sample_rate,omitempty"`
	Language   string `json:"language,omitempty"` // such as en-US
	SHA256     string `json:"sha256,omitempty"`   // of the object, hexadecimal; empty: it could not be read
	Bytes      int64  `json:"bytes,omitempty"`    // of the object
	Text       string `json:"text"`               // the alert's text, as far as it is spoken
}

// DecodeAnnouncement reads a message of the cloud. The error is an *InvalidError.
func DecodeAnnouncement(payload []byte) (Announcement, error) {
	var a Announcement
	if err := IoTCoreHTTPS.Check(payload); err != nil {
		return a, err
	}
	if err := Unmarshal(payload, &a); err != nil {
		return a, jsonError(payload, err)
	}
	return a, checkVersion(a.V)
}
