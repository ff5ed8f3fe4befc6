package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"edgepdm/shared/ipc"
)

// OwnKey is the map in the caller's own configuration that the cases write, and leave.
const OwnKey = "edgepdmConformance"

// merge writes {key: value} below OwnKey.
func merge(ctx context.Context, s *session, key string, value any, at time.Time) error {
	object, err := ipc.NewDocument(map[string]any{key: value})
	if err != nil {
		return err
	}
	err = s.client.UpdateConfiguration(ctx, ipc.UpdateConfigurationRequest{
		KeyPath: []string{OwnKey}, ValueToMerge: object, Timestamp: ipc.Timestamp{Time: at},
	})
	return noComponent(err)
}

// noComponent skips a case whose caller has no configuration of its own, such as the CLI.
func noComponent(err error) error {
	if missing(err) {
		return skipf("the caller is no component: %v", err)
	}
	return err
}

func configurationCases() []testCase {
	const get, update, subscribe = "GetConfiguration", "UpdateConfiguration", "SubscribeToConfigurationUpdate"
	nucleus := func(ctx context.Context, s *session) (string, error) {
		response, err := s.client.GetConfiguration(ctx,
			ipc.GetConfigurationRequest{ComponentName: nucleusName(s.runtime), KeyPath: []string{}})
		if err != nil {
			return "", err
		}
		return response.ComponentName, nil
	}
	read := func(component string, keys ...string) func(context.Context, *session) (string, error) {
		return func(ctx context.Context, s *session) (string, error) {
			_, err := s.client.ComponentConfiguration(ctx, component, keys...)
			return accepted, err
		}
	}
	return []testCase{
		{get, "the nucleus's own", "aws.greengrass.Nucleus", "aws.greengrass.NucleusLite", nucleus},
		{get, "the nucleus's, by the other one's name", "ResourceNotFoundError", "ResourceNotFoundError | " + accepted, // since after 2.6.0
			func(ctx context.Context, s *session) (string, error) {
				other := nucleusName(ipc.Lite)
				if s.runtime == ipc.Lite {
					other = nucleusName(ipc.Classic)
				}
				return read(other)(ctx, s)
			}},
		{get, "key that is missing", "ResourceNotFoundError", "ResourceNotFoundError", read("", "edgepdmNoSuchKey")},
		{get, "component that is missing", "ResourceNotFoundError", "ResourceNotFoundError", read(noComponentName)},
		{update, "write a map and read it", equal, equal, writeMap},
		{update, "read a leaf", "{leaf: value}", "{leaf: value}", readLeaf},
		{update, "time of whole seconds", accepted, accepted, func(ctx context.Context, s *session) (string, error) {
			at, err := s.clock.second(ctx)
			if err != nil {
				return "", err
			}
			return accepted, merge(ctx, s, "second", s.options.ID, at)
		}},
		{update, "time before the value's", "FailedUpdateConditionCheckError", "accepted, not applied", writePast},
		{subscribe, "key that is missing", "ResourceNotFoundError", "ResourceNotFoundError", func(ctx context.Context, s *session) (string, error) {
			_, err := s.client.SubscribeToConfigurationUpdate(ctx, ipc.SubscribeToConfigurationUpdateRequest{KeyPath: []string{"edgepdmNoSuchKey"}})
			return accepted, err
		}},
		{subscribe, "event names the leaf", OwnKey + "/watched/leaf", OwnKey + "/watched/leaf", watchLeaf},
	}
}

func writeMap(ctx context.Context, s *session) (string, error) {
	want := map[string]any{"text": "Grüße " + s.options.ID, "ratio": 2.5, "list": []any{"a", "b"}, "truth": true}
	if err := merge(ctx, s, "map", want, s.clock.now()); err != nil {
		return "", err
	}
	got, err := s.client.Configuration(ctx, OwnKey, "map")
	if err != nil {
		return "", err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprint(got), nil
	}
	return equal, nil
}

func readLeaf(ctx context.Context, s *session) (string, error) {
	if err := merge(ctx, s, "leaf", s.options.ID, s.clock.now()); err != nil {
		return "", err
	}
	got, err := s.client.Configuration(ctx, OwnKey, "leaf")
	if err != nil {
		return "", err
	}
	if !reflect.DeepEqual(got, map[string]any{"leaf": s.options.ID}) {
		return fmt.Sprint(got), nil
	}
	return "{leaf: value}", nil
}

func writePast(ctx context.Context, s *session) (string, error) {
	if err := merge(ctx, s, "past", "present", s.clock.now()); err != nil {
		return "", err
	}
	if err := merge(ctx, s, "past", "past", s.clock.now().Add(-24*time.Hour)); err != nil {
		return "", err
	}
	got, err := s.client.Configuration(ctx, OwnKey, "past")
	if err != nil {
		return "", err
	}
	if got["past"] == "present" {
		return "accepted, not applied", nil
	}
	return fmt.Sprint(got), nil
}

// watchLeaf changes a leaf below a key that only this case writes. Events of its first write, and of a container that it
// makes, may come late: they are passed over.
func watchLeaf(ctx context.Context, s *session) (string, error) {
	if err := merge(ctx, s, "watched", map[string]any{"leaf": "before"}, s.clock.now()); err != nil {
		return "", err
	}
	events, err := s.client.SubscribeToConfigurationUpdate(ctx,
		ipc.SubscribeToConfigurationUpdateRequest{KeyPath: []string{OwnKey, "watched"}})
	if err != nil {
		return "", err
	}
	if err := merge(ctx, s, "watched", map[string]any{"leaf": "after " + s.options.ID}, s.clock.now()); err != nil {
		return "", err
	}
	seen := ""
	for seen != OwnKey+"/watched/leaf" {
		event, err := next(ctx, s, events)
		switch {
		case errors.Is(err, errPatience) && seen != "":
			return seen, nil
		case err != nil:
			return "", err
		case event.ConfigurationUpdateEvent == nil:
			return "another event", nil
		}
		seen = strings.Join(event.ConfigurationUpdateEvent.KeyPath, "/")
	}
	return seen, nil
}
