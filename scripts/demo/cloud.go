package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
)

// audioTopics begins the topics on which the Polly notifier announces sounds.
const audioTopics = "pdm/v1/audio"

// startCloud starts the embedded cloud. What devices publish there appears on the core's MQTT broker.
func (d *demo) startCloud(ctx context.Context, log *slog.Logger) error {
	if _, err := os.Stat(d.options.notifier); err != nil {
		return fmt.Errorf("find the Polly notifier: %w; run make lambda", err)
	}
	notifier, err := filepath.Abs(d.options.notifier)
	if err != nil {
		return err
	}
	d.cloud, err = localcloud.New(localcloud.Options{
		Dir: filepath.Join(d.options.root, "cloud"), Logger: log, Notifier: notifier,
		NotifierEnv: map[string]string{"AUDIO_TOPIC_PREFIX": audioTopics},
		Publish:     func(topic string, payload []byte) error { return d.core.PublishFromCloud(topic, payload) },
		AcceptToken: func(token string) bool { return d.core.KnowsToken(token) },
		Lite:        d.options.nucleus() == localcore.Lite,
	})
	if err != nil {
		return err
	}
	return d.cloud.Start(ctx)
}

// saveMails writes what people got by e-mail to a file in the root.
func (d *demo) saveMails() error {
	var text strings.Builder
	for _, m := range d.cloud.Mails() {
		fmt.Fprintf(&text, "Date: %s\nSubject: %s\n\n%s\n\n\n", m.Time.Format(time.RFC1123Z), m.Subject, m.Body)
	}
	if err := os.WriteFile(filepath.Join(d.options.root, mailFile), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("save e-mails: %w", err)
	}
	return nil
}

// saveAudio copies the cloud's new sound files to the root, where they can be played, and returns the newest one's path.
func (d *demo) saveAudio() (string, error) {
	for _, e := range d.cloud.Journal() {
		if e.Kind != localcloud.KindAudio || d.saved[e.Name] != "" {
			continue
		}
		content, _, err := d.cloud.Object(e.Name)
		if err != nil {
			return "", fmt.Errorf("read sound file: %w", err)
		}
		dir := filepath.Join(d.options.root, "audio")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("save sound file: %w", err)
		}
		target := filepath.Join(dir, fmt.Sprintf("%d-%.8s%s", len(d.saved)+1, path.Base(e.Name), path.Ext(e.Name)))
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return "", fmt.Errorf("save sound file: %w", err)
		}
		d.saved[e.Name], d.newest = target, target
	}
	return d.newest, nil
}
