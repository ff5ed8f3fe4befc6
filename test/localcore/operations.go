package localcore

import (
	"maps"
	"slices"
	"strings"
)

// emptyResponse is the response of an operation that answers nothing.
var emptyResponse = []byte("{}")

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

func (c *Core) operations() map[string]operation {
	table := make(map[string]operation)
	for name := range strings.FieldsSeq(knownOperations) {
		table[operationPrefix+name] = operation{streaming: strings.HasPrefix(name, "SubscribeTo")}
	}
	for name, handle := range map[string]func(*request) ([]byte, *opError){
		"PublishToTopic":                          c.publishToTopic,
		"SubscribeToTopic":                        c.subscribeToTopic,
		"PublishToIoTCore":                        c.publishToIoTCore,
		"SubscribeToIoTCore":                      c.subscribeToIoTCore,
		"GetConfiguration":                        c.getConfiguration,
		"UpdateConfiguration":                     c.updateConfiguration,
		"SubscribeToConfigurationUpdate":          c.subscribeToConfigurationUpdate,
		"UpdateState":                             c.updateState,
		"SubscribeToValidateConfigurationUpdates": c.subscribeToValidateConfigurationUpdates,
		"SendConfigurationValidityReport":         c.sendConfigurationValidityReport,
	} {
		op := table[operationPrefix+name]
		op.handle = handle
		table[operationPrefix+name] = op
	}
	if c.opts.ConnectionStatus {
		table[operationPrefix+connectionStatus] = operation{streaming: true, handle: c.subscribeToConnectionStatus}
	}
	if c.opts.ShadowManager {
		for name, handle := range shadowOperations(c) {
			table[operationPrefix+name] = operation{handle: handle}
		}
	}
	return table
}

func (c *Core) publishToTopic(r *request) ([]byte, *opError) {
	topic, hasTopic := get[string](&r.decoder, r.fields, "topic")
	publish, hasPublish := get[members](&r.decoder, r.fields, "publishMessage")
	inJSON, isJSON := get[members](&r.decoder, publish, "jsonMessage")
	inBinary, isBinary := get[members](&r.decoder, publish, "binaryMessage")
	_, hasDocument := get[members](&r.decoder, inJSON, "message") // only an object is let in
	binary, hasBlob := r.blob(inBinary, "message")
	if r.err != nil || isJSON && isBinary { // a union has one member
		return nil, unexpected()
	}
	var event object
	context := member{"context", object{{"topic", topic}}}
	if hasDocument {
		document, err := gsonDocument(inJSON["message"])
		if err != nil {
			return nil, unexpected()
		}
		event = object{{"jsonMessage", object{{"message", document}, context}}}
	} else if hasBlob {
		event = object{{"binaryMessage", object{{"message", binary}, context}}}
	}
	if err := c.mayUseTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	switch {
	case !hasPublish, isJSON && !hasDocument, isBinary && !hasBlob:
		return nil, nullPointer()
	case !hasTopic:
		return nil, errorf(invalidArguments, "Publish topic must not be null")
	case strings.ContainsAny(topic, "+#*"):
		return nil, errorf(invalidArguments, "Publish topic must not contain a wildcard.")
	}
	c.pubsub.publish(r.principal.name, topic, appendGson(nil, event))
	return emptyResponse, nil
}

// mayUseTopic authorises; the nucleus does so before it looks closer at the request.
func (c *Core) mayUseTopic(r *request, topic string, has bool) *opError {
	if !has {
		return nil
	}
	if err := c.authz.check(r.principal.name, pubsubService, r.operation, topic); err != nil {
		return errorf(unauthorized, "%s", err)
	}
	return nil
}

func (c *Core) subscribeToTopic(r *request) ([]byte, *opError) {
	topic, hasTopic := get[string](&r.decoder, r.fields, "topic")
	mode, _ := get[string](&r.decoder, r.fields, "receiveMode")
	if r.err != nil {
		return nil, r.err
	}
	if err := c.mayUseTopic(r, topic, hasTopic); err != nil {
		return nil, err
	}
	if !hasTopic {
		return nil, errorf(invalidArguments, "Subscribe topic must not be empty")
	}
	c.pubsub.subscribe(r.principal.name, topic, mode, r.stream)
	return emptyResponse, nil
}

// configurationKey reads which component's which key a request means: its own unless it says otherwise.
func configurationKey(r *request) (component string, path []string) {
	component, ok := get[string](&r.decoder, r.fields, "componentName")
	if !ok {
		component = r.principal.name
	}
	path, _ = get[[]string](&r.decoder, r.fields, "keyPath")
	return component, path
}

func (c *Core) getConfiguration(r *request) ([]byte, *opError) {
	component, path := configurationKey(r)
	if r.err != nil {
		return nil, r.err
	}
	value, ok := c.store.get(component, path)
	if !ok {
		return nil, errorf(resourceNotFound, "Key not found")
	}
	return appendGson(nil, object{{"componentName", component}, {"value", value}}), nil
}

func (c *Core) updateConfiguration(r *request) ([]byte, *opError) {
	path, _ := get[[]string](&r.decoder, r.fields, "keyPath")
	seconds, hasTime := get[float64](&r.decoder, r.fields, "timestamp")
	// Only an object is let in. Its numbers are float64, as the nucleus's are doubles.
	values, hasValue := get[map[string]any](&r.decoder, r.fields, "valueToMerge")
	top := path[:min(1, len(path))]
	if len(path) == 0 {
		top = slices.Collect(maps.Keys(values))
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case !hasTime:
		return nil, errorf(invalidArguments, "Timestamp is required")
	case !hasValue:
		return nil, errorf(invalidArguments, "ValueToMerge is required")
	case slices.ContainsFunc(top, isAccessControl):
		return nil, errorf(invalidArguments, "Config update is not allowed for following fields [accessControl]")
	}
	if err := c.store.set(r.principal.name, path, values, int64(seconds*1000)); err != nil {
		return nil, err
	}
	return emptyResponse, nil
}

func isAccessControl(key string) bool { return strings.EqualFold(key, "accessControl") }

func (c *Core) subscribeToConfigurationUpdate(r *request) ([]byte, *opError) {
	component, path := configurationKey(r)
	if r.err != nil {
		return nil, r.err
	}
	return c.watchConfiguration(r, component, component, path)
}

// watchConfiguration tells the stream what changes at or below path. name is what the component stored is called in events.
func (c *Core) watchConfiguration(r *request, name, stored string, path []string) ([]byte, *opError) {
	w := &watcher{component: stored, path: path, notify: func(changed []string) {
		r.stream.event("ConfigurationUpdateEvents", c.dialect.appendJSON(nil, object{{"configurationUpdateEvent",
			object{{"componentName", name}, {"keyPath", changed}}}}))
	}}
	if !c.store.watch(w) {
		return nil, errorf(resourceNotFound, "Key not found")
	}
	r.stream.onClose(func() { c.store.unwatch(w) })
	return emptyResponse, nil
}

func (c *Core) updateState(r *request) ([]byte, *opError) {
	state, _ := get[string](&r.decoder, r.fields, "state")
	switch {
	case r.err != nil:
		return nil, r.err
	case r.principal.comp == nil:
		err := errorf(resourceNotFound, "Component with given name not found")
		err.noArg = true
		err.details = object{{"resourceType", "Component"}, {"resourceName", r.principal.name}}
		return nil, err
	case state != string(StateRunning) && state != string(StateErrored): // the nucleus's enumeration has no such name
		return nil, nullPointer()
	}
	r.principal.comp.report(r.principal, State(state))
	return emptyResponse, nil
}
