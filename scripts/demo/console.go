package main

import (
	"context"
	"fmt"
	"net"

	"edgepdm/shared/event"
)

// openConsole chooses where the console's page is: at the address of the flag, or at a free port beside it where that is taken.
func (d *demo) openConsole(ctx context.Context) error {
	if d.options.console == "" {
		return nil
	}
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "tcp", d.options.console)
	if err != nil {
		host, _, problem := net.SplitHostPort(d.options.console)
		if problem != nil {
			return fmt.Errorf("-console: %w", problem)
		}
		if l, err = listening.Listen(ctx, "tcp", net.JoinHostPort(host, "0")); err != nil {
			return fmt.Errorf("-console: %w", err)
		}
	}
	d.page = l.Addr().String()
	if err := l.Close(); err != nil {
		return fmt.Errorf("choose the console's port: %w", err)
	}
	d.print("the plant, in a browser: http://%s/", d.page)
	return nil
}

// consoleConfig is the console's configuration.
func (d *demo) consoleConfig(update map[string]map[string]any) error {
	if d.page == "" {
		return nil
	}
	sounds, err := d.soundDir()
	if err != nil {
		return err
	}
	policy := event.OperatorConsole + ":pubsub:demo"
	update[event.OperatorConsole] = map[string]any{
		"address": d.page, "demo": sounds,
		"accessControl": map[string]any{"aws.greengrass.ipc.pubsub": map[string]any{policy: map[string]any{
			"operations": []any{"aws.greengrass#PublishToTopic"}, "resources": []any{event.TopicDemoFault, event.TopicDemoAct},
		}}},
	}
	return nil
}
