package event

// AlertDelivery is what the forwarder adds to an alert that it sends to programs over SNS: how it is delivered.
type AlertDelivery struct {
	Late        float64 `json:"late_s,omitempty"`      // so late it is sent, in seconds; 0 = in time
	Over        bool    `json:"over,omitempty"`        // it was raised, and was over before it was sent
	OverSince   string  `json:"over_since,omitempty"`  // RFC 3339
	Reconnected bool    `json:"reconnected,omitempty"` // it says that the cloud cannot be reached, and arrives as it can be again
}

// Announcement is what the notifier publishes in AWS IoT Core, on <AUDIO_TOPIC_PREFIX>/<thing>, when the audio of an alert exists.
type Announcement struct {
	Replayed bool   `json:"replayed,omitempty"` // the alert may have arrived before
	V        int    `json:"v"`
	AlertID  string `json:"alertId"` // empty when the alert had no id
	Thing    string `json:"thing"`
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Format   string `json:"format"` // mp3 or ogg_vorbis
	Text     string `json:"text"`   // the alert's text, as far as it is spoken
}
