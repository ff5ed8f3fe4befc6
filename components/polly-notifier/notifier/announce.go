package notifier

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/shared/event"
)

// announce tells the thing's site where the audio of a is. An alert that names no thing is not announced.
func (n *Notifier) announce(ctx context.Context, a alert, key string) (bool, error) {
	if n.config.TopicPrefix == "" || a.thing == "" {
		return false, nil
	}
	payload, err := json.Marshal(event.Announcement{
		Replayed: a.replayed, V: event.Version, AlertID: a.id, Thing: a.thing, Bucket: n.config.Bucket, Key: key, Format: n.config.Format, Text: a.text,
	})
	if err != nil {
		return false, err
	}
	_, err = n.broker.Publish(ctx, &iotdataplane.PublishInput{
		Topic: aws.String(n.config.TopicPrefix + "/" + a.thing), Qos: 1, // kept for a subscriber's persistent session
		Payload: payload,
	})
	if err != nil {
		return false, fail(opPublish, err)
	}
	return true, nil
}
