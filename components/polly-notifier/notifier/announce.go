package notifier

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/shared/event"
)

// announce tells the thing's site where the audio of a is: on the thing's topic, and on that of its core. An alert that names no
// thing is not announced.
func (n *Notifier) announce(ctx context.Context, a alert, v Voice, c clip) (announced bool, err error) {
	var topics []string
	if n.config.TopicPrefix != "" {
		topics = append(topics, n.config.TopicPrefix+"/"+a.thing)
	}
	if n.config.SitePrefix != "" && a.core != "" {
		topics = append(topics, n.config.SitePrefix+"/"+a.core+"/"+event.TopicAudio)
	}
	if len(topics) == 0 || a.thing == "" {
		return false, nil
	}
	rate, _ := strconv.Atoi(n.config.SampleRate) // was checked
	payload, err := json.Marshal(event.Announcement{
		Replayed: a.replayed, V: event.Version, AlertID: a.id, Thing: a.thing, Bucket: n.config.Bucket, Key: c.key, Format: n.config.Format,
		SampleRate: rate, Language: cmp.Or(v.Language, n.voiceLanguage()), SHA256: c.sha256, Bytes: c.bytes, Text: a.text,
	})
	if err != nil {
		return false, err
	}
	for _, topic := range topics {
		_, err = n.broker.Publish(ctx, &iotdataplane.PublishInput{
			Topic: aws.String(topic), Qos: 1, // kept for a subscriber's persistent session
			Payload: payload,
		})
		if err != nil {
			return false, fail(opPublish, err)
		}
	}
	return true, nil
}
