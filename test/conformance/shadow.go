package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"edgepdm/shared/ipc"
)

// shadow is the named shadow of a case.
type shadow struct {
	s           *session
	thing, name string
}

// withShadow is a case of a shadow that does not exist at its beginning, nor after its end. It is of that case alone: what
// is told of another one's may come late.
func withShadow(name string, run func(ctx context.Context, d shadow) (string, error)) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (seen string, err error) {
		if s.options.Thing == "" {
			return "", skipf("no thing is given")
		}
		d := shadow{s, s.options.Thing, "edgepdm-conformance-" + s.options.ID + "-" + name}
		defer func() {
			switch cleanErr := d.remove(ctx); {
			case missing(cleanErr), err != nil:
			default:
				err = cleanErr
			}
		}()
		return run(ctx, d)
	}
}

func missing(err error) bool {
	_, is := errors.AsType[*ipc.ResourceNotFoundError](err)
	return is
}

func (d shadow) update(ctx context.Context, document string) (string, error) {
	if err := d.s.clock.turn(ctx); err != nil {
		return "", err
	}
	response, err := d.s.client.UpdateThingShadow(ctx, ipc.UpdateThingShadowRequest{ThingName: d.thing, ShadowName: d.name, Payload: []byte(document)})
	if err != nil {
		return "", err
	}
	return stateOf(response.Payload)
}

func (d shadow) get(ctx context.Context) (string, error) {
	if err := d.s.clock.turn(ctx); err != nil {
		return "", err
	}
	response, err := d.s.client.GetThingShadow(ctx, ipc.GetThingShadowRequest{ThingName: d.thing, ShadowName: d.name})
	if err != nil {
		return "", err
	}
	return stateOf(response.Payload)
}

func (d shadow) remove(ctx context.Context) error {
	if err := d.s.clock.turn(ctx); err != nil {
		return err
	}
	_, err := d.s.client.DeleteThingShadow(ctx, ipc.DeleteThingShadowRequest{ThingName: d.thing, ShadowName: d.name})
	return err
}

// stateOf returns a document's version and state.
func stateOf(document []byte) (string, error) {
	var content struct {
		State   map[string]any `json:"state"`
		Version int            `json:"version"`
	}
	if err := json.Unmarshal(document, &content); err != nil {
		return "", fmt.Errorf("decode shadow: %w", err)
	}
	state, err := json.Marshal(content.State) // in the order of its keys
	return fmt.Sprintf("%d %s", content.Version, state), err
}

func shadowCases() []testCase {
	const get, update, remove, list = "GetThingShadow", "UpdateThingShadow", "DeleteThingShadow", "ListNamedShadowsForThing"
	const document = `{"state":{"desired":{"speed":5},"reported":{"speed":4}}}`
	return []testCase{
		{get, "shadow that is missing", "ResourceNotFoundError", notSupported, withShadow("missing", func(ctx context.Context, d shadow) (string, error) {
			return d.get(ctx)
		})},
		{update, "shadow that is missing", `1 {"desired":{"speed":5},"reported":{"speed":4}}`, notSupported,
			withShadow("made", func(ctx context.Context, d shadow) (string, error) { return d.update(ctx, document) })},
		{get, "delta", `1 {"delta":{"speed":5},"desired":{"speed":5},"reported":{"speed":4}}`, "",
			withShadow("delta", func(ctx context.Context, d shadow) (string, error) {
				if _, err := d.update(ctx, document); err != nil {
					return "", err
				}
				return d.get(ctx)
			})},
		{update, "another version", "ConflictError", "", withShadow("version", func(ctx context.Context, d shadow) (string, error) {
			if _, err := d.update(ctx, document); err != nil {
				return "", err
			}
			return d.update(ctx, `{"state":{"desired":{"speed":6}},"version":7}`)
		})},
		{update, "no JSON", "ServiceError", "", withShadow("text", func(ctx context.Context, d shadow) (string, error) {
			return d.update(ctx, "no JSON")
		})},
		{update, "state that is no object", "InvalidArgumentsError", "", withShadow("state", func(ctx context.Context, d shadow) (string, error) {
			return d.update(ctx, `{"state":5}`)
		})},
		{update, "accepted on local publish/subscribe", `1 {"desired":{"speed":5},"reported":{"speed":4}}`, "",
			withShadow("told", func(ctx context.Context, d shadow) (string, error) {
				events, err := d.s.client.Subscribe(ctx, fmt.Sprintf("$aws/things/%s/shadow/name/%s/update/accepted", d.thing, d.name), "")
				if err != nil {
					return "", err
				}
				if _, err := d.update(ctx, document); err != nil {
					return "", err
				}
				event, err := next(ctx, d.s, events)
				if err != nil {
					return "", err
				}
				return stateOf(event.Payload)
			})},
		{list, "the run's own", "listed", notSupported, withShadow("listed", func(ctx context.Context, d shadow) (string, error) {
			if _, err := d.update(ctx, document); err != nil {
				return "", err
			}
			request := ipc.ListNamedShadowsForThingRequest{ThingName: d.thing, PageSize: 100}
			for {
				if err := d.s.clock.turn(ctx); err != nil {
					return "", err
				}
				page, err := d.s.client.ListNamedShadowsForThing(ctx, request)
				switch {
				case err != nil:
					return "", err
				case slices.Contains(page.Results, d.name):
					return "listed", nil
				case page.NextToken == "":
					return "not listed", nil
				}
				request.NextToken = page.NextToken
			}
		})},
		{remove, "then it is missing", "ResourceNotFoundError", notSupported, withShadow("deleted", func(ctx context.Context, d shadow) (string, error) {
			if _, err := d.update(ctx, document); err != nil {
				return "", err
			}
			if err := d.remove(ctx); err != nil {
				return "", err
			}
			return d.get(ctx)
		})},
	}
}
