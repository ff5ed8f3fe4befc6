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
		"GetThingShadow":    d.shadow(d.shadows.Get),
		"UpdateThingShadow": d.shadow(d.shadows.Update),
		"DeleteThingShadow": d.shadow(d.shadows.Delete),
	}
}

// shadow reads which shadow a request means, and what it is to become.
func (d *dialect) shadow(do func(shadows.Request) ([]byte, *shadows.Refusal)) handler {
	return func(r *request) ([]byte, *nucleus.Error) {
		q := shadows.Request{Allowed: func(resource string) error {
			return d.n.Authz.Check(r.Name, nucleus.ShadowService, r.Operation, resource)
		}}
		q.Thing, _ = r.text(r.fields, "thingName")
		q.Name, _ = r.text(r.fields, "shadowName")
		q.Payload, _ = r.blob(r.fields, "payload")
		if r.err != nil {
			return nil, r.err
		}
		payload, refusal := do(q)
		if refusal != nil {
			err := errorf(refusal.Code, "%s", refusal.Text)
			if refusal.Code == nucleus.ResourceNotFound {
				err.Details = object{"resourceType", "shadow"}
			}
			return nil, err
		}
		return appendGson(nil, object{"payload", payload}), nil
	}
}
