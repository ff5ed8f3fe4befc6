package classic

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"edgepdm/test/localcore/nucleus"
)

// knownOperations are the 34 operations of the model; those that the core does not serve answer as on a nucleus without
// the plugin.
const knownOperations = `AuthorizeClientDeviceAction CancelLocalDeployment CreateDebugPassword CreateLocalDeployment
	DeferComponentUpdate DeleteThingShadow GetClientDeviceAuthToken GetComponentDetails GetConfiguration
	GetLocalDeploymentStatus GetSecretValue GetThingShadow ListComponents ListLocalDeployments
	ListNamedShadowsForThing PauseComponent PublishToIoTCore PublishToTopic PutComponentMetric RestartComponent
	ResumeComponent SendConfigurationValidityReport StopComponent SubscribeToCertificateUpdates
	SubscribeToComponentUpdates SubscribeToConfigurationUpdate SubscribeToIoTCore SubscribeToTopic
	SubscribeToValidateConfigurationUpdates UpdateConfiguration UpdateState UpdateThingShadow
	ValidateAuthorizationToken VerifyClientDeviceIdentity`

// operation is one entry of the table of operations; a nil handle is one that a core without plugins does not serve.
type operation struct {
	streaming bool
	handle    handler
}

// handler runs on the connection's goroutine and must not wait. It returns the response, or nil to answer later.
type handler func(*request) ([]byte, *nucleus.Error)

func (d *dialect) operations() map[string]operation {
	table := make(map[string]operation)
	for name := range strings.FieldsSeq(knownOperations) {
		table[nucleus.OperationPrefix+name] = operation{streaming: strings.HasPrefix(name, "SubscribeTo")}
	}
	serve := func(handlers map[string]handler) {
		for name, handle := range handlers {
			name = nucleus.OperationPrefix + name
			table[name] = operation{table[name].streaming, handle}
		}
	}
	serve(map[string]handler{
		"PublishToTopic":                          d.publishToTopic,
		"SubscribeToTopic":                        d.subscribeToTopic,
		"PublishToIoTCore":                        d.publishToIoTCore,
		"SubscribeToIoTCore":                      d.subscribeToIoTCore,
		"GetConfiguration":                        d.getConfiguration,
		"UpdateConfiguration":                     d.updateConfiguration,
		"SubscribeToConfigurationUpdate":          d.subscribeToConfigurationUpdate,
		"UpdateState":                             d.updateState,
		"SubscribeToValidateConfigurationUpdates": d.subscribeToValidateConfigurationUpdates,
		"SendConfigurationValidityReport":         d.sendConfigurationValidityReport,
	})
	if d.n.ConnectionStatus {
		table[nucleus.ConnectionStatus] = operation{streaming: true, handle: func(r *request) ([]byte, *nucleus.Error) {
			return d.n.WatchConnection(r.Stream)
		}}
	}
	if d.n.ShadowManager {
		serve(d.shadowOperations())
	}
	return table
}

// publication is a message to publish: one of both. It is read in one go, as this is the operation of every row.
type publication struct {
	JSON   *struct{ Message json.RawMessage } `json:"jsonMessage"`
	Binary *struct{ Message []byte }          `json:"binaryMessage"`
}

func (d *dialect) publishToTopic(r *request) ([]byte, *nucleus.Error) {
	topic, hasTopic := r.text(r.fields, "topic")
	publish, hasPublish := get[publication](r, r.fields, "publishMessage")
	inJSON, inBinary := publish.JSON, publish.Binary
	if r.err != nil || inJSON != nil && inBinary != nil {
		return nil, unexpected()
	}
	var event object
	context := object{"topic", topic}
	switch {
	case inJSON != nil && inJSON.Message != nil && string(inJSON.Message) != "null":
		document, err := gsonDocument(inJSON.Message)
		if err != nil || document[0] != '{' { // only an object is let in
			return nil, unexpected()
		}
		event = object{"jsonMessage", object{"message", document, "context", context}}
	case inBinary != nil && inBinary.Message != nil:
		event = object{"binaryMessage", object{"message", inBinary.Message, "context", context}}
	}
	if err := d.mayUseTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	switch {
	case event == nil && (!hasPublish || inJSON != nil || inBinary != nil):
		return nil, nullPointer()
	case !hasTopic:
		return nil, errorf(nucleus.InvalidArguments, "Publish topic must not be null")
	case strings.ContainsAny(topic, "+#*"):
		return nil, errorf(nucleus.InvalidArguments, "Publish topic must not contain a wildcard.")
	}
	d.n.PubSub.Publish(r.Name, topic, appendGson(nil, event))
	return nucleus.Empty, nil
}

// mayUseTopic authorises; the nucleus does so before it looks closer at the request.
func (d *dialect) mayUseTopic(r *request, topic string, has bool) *nucleus.Error {
	if !has {
		return nil
	}
	if topic == "" {
		return errorf(nucleus.Unauthorized, "Resource cannot be empty")
	}
	if err := d.n.Authz.Check(r.Name, nucleus.PubSubService, r.Operation, topic); err != nil {
		return errorf(nucleus.Unauthorized, "%s", err)
	}
	return nil
}

func (d *dialect) subscribeToTopic(r *request) ([]byte, *nucleus.Error) {
	topic, hasTopic := r.text(r.fields, "topic")
	mode, _ := r.text(r.fields, "receiveMode")
	if r.err != nil {
		return nil, r.err
	}
	if err := d.mayUseTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	if !hasTopic {
		return nil, errorf(nucleus.InvalidArguments, "Subscribe topic must not be empty")
	}
	d.n.PubSub.Subscribe(r.Name, topic, othersOnly(mode, topic), r.Stream)
	return nucleus.Empty, nil
}

// configurationKey reads which component's which key a request means: its own unless it says otherwise.
func configurationKey(r *request) (component string, path []string) {
	component, ok := r.text(r.fields, "componentName")
	if !ok {
		component = r.Name
	}
	path, _ = get[[]string](r, r.fields, "keyPath")
	return component, path
}

func (d *dialect) getConfiguration(r *request) ([]byte, *nucleus.Error) {
	component, path := configurationKey(r)
	if r.err != nil {
		return nil, r.err
	}
	value, ok := d.n.Store.Get(component, path)
	if !ok {
		return nil, errorf(nucleus.ResourceNotFound, "Key not found")
	}
	return appendGson(nil, object{"componentName", component, "value", value}), nil
}

func (d *dialect) updateConfiguration(r *request) ([]byte, *nucleus.Error) {
	path, _ := get[[]string](r, r.fields, "keyPath")
	seconds, hasTime := get[float64](r, r.fields, "timestamp")
	// Only an object is let in. Its numbers are float64, as the nucleus's are doubles.
	values, hasValue := get[map[string]any](r, r.fields, "valueToMerge")
	top := path[:min(1, len(path))]
	if len(path) == 0 {
		top = slices.Collect(maps.Keys(values))
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case !hasTime:
		return nil, errorf(nucleus.InvalidArguments, "Timestamp is required")
	case !hasValue:
		return nil, errorf(nucleus.InvalidArguments, "ValueToMerge is required")
	case slices.ContainsFunc(top, func(key string) bool { return strings.EqualFold(key, "accessControl") }):
		return nil, errorf(nucleus.InvalidArguments, "Config update is not allowed for following fields [accessControl]")
	}
	if err := d.n.Store.Set(r.Name, path, values, int64(seconds*1000)); err != nil {
		return nil, err
	}
	return nucleus.Empty, nil
}

func (d *dialect) subscribeToConfigurationUpdate(r *request) ([]byte, *nucleus.Error) {
	component, path := configurationKey(r)
	if r.err != nil {
		return nil, r.err
	}
	return d.n.WatchConfiguration(r.Stream, component, component, path)
}

func (d *dialect) updateState(r *request) ([]byte, *nucleus.Error) {
	state, _ := r.text(r.fields, "state")
	switch {
	case r.err != nil:
		return nil, r.err
	case r.Process == nil:
		err := errorf(nucleus.ResourceNotFound, "Component with given name not found")
		err.NoArg = true
		err.Details = object{"resourceType", "Component", "resourceName", r.Name}
		return nil, err
	case state != "RUNNING" && state != "ERRORED": // the nucleus's enumeration has no such name
		return nil, nullPointer()
	}
	r.Process.Report(r.Principal, state)
	return nucleus.Empty, nil
}
