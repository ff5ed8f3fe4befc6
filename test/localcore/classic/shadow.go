package classic

import (
	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/localcore/shadows"
)

// shadowOperations are the operations of a nucleus with a shadow manager.
func (d *dialect) shadowOperations() map[string]handler {
	d.shadows = shadows.New(d.n.Now, func(topic string, payload []byte) {
		d.n.PubSub.Publish(nucleus.ShadowService, topic, appendGson(nil, object{"binaryMessage",
			object{"message", payload, "context", object{"topic", topic}}}))
	})
	return map[string]handler{
		"GetThingShadow":           d.shadow(d.shadows.Get),
		"UpdateThingShadow":        d.shadow(d.shadows.Update),
		"DeleteThingShadow":        d.shadow(d.shadows.Delete),
		"ListNamedShadowsForThing": d.listShadows,
	}
}

// shadow reads which shadow a request means, and what it is to become.
func (d *dialect) shadow(do func(shadows.Request) ([]byte, *shadows.Refusal)) handler {
	return func(r *request) ([]byte, *nucleus.Error) {
		q := shadows.Request{Allowed: func(resource string) error { return d.mayUseShadow(r, resource) }}
		q.Thing, _ = r.text(r.fields, "thingName")
		q.Name, _ = r.text(r.fields, "shadowName")
		q.Payload, _ = r.blob(r.fields, "payload")
		if r.err != nil {
			return nil, r.err
		}
		payload, refusal := do(q)
		return shadowAnswer(object{"payload", payload}, refusal)
	}
}

// listShadows answers a page. Its policy's resource is the thing's name.
func (d *dialect) listShadows(r *request) ([]byte, *nucleus.Error) {
	thing, _ := r.text(r.fields, "thingName")
	token, _ := r.text(r.fields, "nextToken")
	size, hasSize := get[int](r, r.fields, "pageSize")
	if r.err != nil {
		return nil, r.err
	}
	if err := d.mayUseShadow(r, thing); err != nil {
		return nil, errorf(nucleus.Unauthorized, "%s", err)
	}
	if !hasSize {
		size = 25 // the shadow manager's default
	}
	names, next, refusal := d.shadows.List(thing, token, size)
	response := object{"results", names, "timestamp", float64(d.n.Now().UnixMilli()) / 1000}
	if next != "" {
		response = append(response, "nextToken", next)
	}
	return shadowAnswer(response, refusal)
}

func (d *dialect) mayUseShadow(r *request, resource string) error {
	return d.n.Authz.Check(r.Name, nucleus.ShadowService, r.Operation, resource)
}

func shadowAnswer(response object, refusal *shadows.Refusal) ([]byte, *nucleus.Error) {
	if refusal == nil {
		return appendGson(nil, response), nil
	}
	err := errorf(refusal.Code, "%s", refusal.Text)
	if refusal.Code == nucleus.ResourceNotFound {
		err.Details = object{"resourceType", "shadow"}
	}
	return nil, err
}
