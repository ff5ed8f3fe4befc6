package alarms

import "context"

// Publishing returns a manager that publishes its alerts with a function of the test.
func (m Manager) Publishing(publish func(ctx context.Context, topic string, payload []byte) error) Manager {
	m.publish = publish
	return m
}
