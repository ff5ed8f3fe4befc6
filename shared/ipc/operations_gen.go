// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

import "context"

// PublishToTopic publishes a message on a local topic. Client.Publish is shorter and faster for binary messages.
//
// Success says that the nucleus has taken the message, not that anybody receives it. A classic nucleus refuses topics
// with + # or * (InvalidArgumentsError) and takes only JSON objects as a jsonMessage. Nucleus lite takes any JSON; it
// loses a jsonMessage of more than some 40 values and ends the receiver's subscription, so that such a one is
// ErrTooLarge. A binaryMessage has no such limit.
//
// Supported by classic and lite. Errors: *ServiceError, *UnauthorizedError.
func (c *Client) PublishToTopic(ctx context.Context, r PublishToTopicRequest) error {
	return c.perform(ctx, "PublishToTopic", r)
}

// SubscribeToTopic receives the messages of local topics. Client.Subscribe is shorter and faster.
//
// There is no queue and there are no retained messages, so what is published before the call returns is missed. Two
// subscriptions whose filters overlap receive a message twice. Nucleus lite ignores receiveMode and has room for 100
// subscriptions of all components together.
//
// Supported by classic and lite. Errors: *InvalidArgumentsError, *ServiceError, *UnauthorizedError.
func (c *Client) SubscribeToTopic(ctx context.Context, r SubscribeToTopicRequest) (*Subscription[SubscriptionResponseMessage], error) {
	return subscribe(ctx, c, "SubscribeToTopic", r, decodeEvent[SubscriptionResponseMessage])
}

// PublishToIoTCore hands a message for AWS IoT Core to the nucleus.
//
// Success is not delivery. A classic nucleus answers when the message is in its spooler (in memory, 2.5 MB by default),
// nucleus lite when the packet is out. Nucleus lite answers success for a packet over 5,000 bytes and loses it. It
// drops retain and all that follows it in the request. A classic nucleus refuses QoS 0 while it is offline
// (ServiceError).
//
// Supported by classic and lite. Errors: *ServiceError, *UnauthorizedError.
func (c *Client) PublishToIoTCore(ctx context.Context, r PublishToIoTCoreRequest) error {
	return c.perform(ctx, "PublishToIoTCore", r)
}

// SubscribeToIoTCore receives the messages of topics of AWS IoT Core.
//
// A ServiceError of a classic nucleus has the broker's reasonCode and reasonString in its Context where the broker
// refused.
//
// Supported by classic and lite. Errors: *ServiceError, *UnauthorizedError.
func (c *Client) SubscribeToIoTCore(ctx context.Context, r SubscribeToIoTCoreRequest) (*Subscription[IoTCoreMessage], error) {
	return subscribe(ctx, c, "SubscribeToIoTCore", r, decodeEvent[IoTCoreMessage])
}

// SubscribeToIoTCoreConnectionStatus tells whether the nucleus is connected to AWS IoT Core, at once and at each
// change.
//
// Nucleus lite has it from 2.7.0 on, classic nuclei from about the same time; earlier ones do not know it. It needs no
// grant.
//
// Supported by classic and lite. Errors: *ServiceError.
func (c *Client) SubscribeToIoTCoreConnectionStatus(ctx context.Context, r SubscribeToIoTCoreConnectionStatusRequest) (*Subscription[IoTCoreConnectionStatusEvent], error) {
	return subscribe(ctx, c, "SubscribeToIoTCoreConnectionStatus", r, decodeEvent[IoTCoreConnectionStatusEvent])
}

// GetConfiguration reads a component's configuration. Client.Configuration is shorter.
//
// Keys are case-insensitive on a classic nucleus, case-sensitive on lite. Nucleus lite gives the scalars of YAML
// recipes as strings. A key that is missing is a ResourceNotFoundError.
//
// Supported by classic and lite. Errors: *ServiceError, *ResourceNotFoundError.
func (c *Client) GetConfiguration(ctx context.Context, r GetConfigurationRequest) (*GetConfigurationResponse, error) {
	return answered[GetConfigurationResponse](ctx, c, "GetConfiguration", r)
}

// UpdateConfiguration merges values into the caller's own configuration.
//
// An older timestamp is a FailedUpdateConditionCheckError on a classic nucleus; nucleus lite answers success and
// changes nothing. accessControl cannot be changed.
//
// Supported by classic and lite. Errors: *ServiceError, *UnauthorizedError, *ConflictError,
// *FailedUpdateConditionCheckError, *InvalidArgumentsError.
func (c *Client) UpdateConfiguration(ctx context.Context, r UpdateConfigurationRequest) error {
	return c.perform(ctx, "UpdateConfiguration", r)
}

// SubscribeToConfigurationUpdate tells when values at and below a key change, one event for each value. It does not
// tell the values, so read them with GetConfiguration.
//
// The key must exist: watch its parent for a key that is still to come. A deployment that changes the configuration
// restarts the component on nucleus lite.
//
// Supported by classic and lite. Errors: *ServiceError, *ResourceNotFoundError.
func (c *Client) SubscribeToConfigurationUpdate(ctx context.Context, r SubscribeToConfigurationUpdateRequest) (*Subscription[ConfigurationUpdateEvents], error) {
	return subscribe(ctx, c, "SubscribeToConfigurationUpdate", r, decodeEvent[ConfigurationUpdateEvents])
}

// SubscribeToValidateConfigurationUpdates lets the component look at a new configuration before a deployment applies
// it. Answer each event with SendConfigurationValidityReport.
//
// The deployment fails unless the answer comes within 20 s. Of several subscriptions of a component the first is asked.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *ServiceError.
func (c *Client) SubscribeToValidateConfigurationUpdates(ctx context.Context, r SubscribeToValidateConfigurationUpdatesRequest) (*Subscription[ValidateConfigurationUpdateEvents], error) {
	return subscribe(ctx, c, "SubscribeToValidateConfigurationUpdates", r, decodeEvent[ValidateConfigurationUpdateEvents])
}

// SendConfigurationValidityReport answers an event of SubscribeToValidateConfigurationUpdates.
//
// An answer that comes too late is an InvalidArgumentsError.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *InvalidArgumentsError, *ServiceError.
func (c *Client) SendConfigurationValidityReport(ctx context.Context, r SendConfigurationValidityReportRequest) error {
	return c.perform(ctx, "SendConfigurationValidityReport", r)
}

// UpdateState reports the component's state.
//
// A classic nucleus restarts a component that reports StateErrored; nucleus lite answers success and does nothing.
// Nucleus lite wants the call from a process of the component's systemd unit (ServiceError otherwise).
//
// Supported by classic and lite. Errors: *ServiceError, *ResourceNotFoundError.
func (c *Client) UpdateState(ctx context.Context, r UpdateStateRequest) error {
	return c.perform(ctx, "UpdateState", r)
}

// SubscribeToComponentUpdates tells before and after a deployment that updates components.
//
// Answer a PreUpdateEvent with DeferComponentUpdate, or the deployment waits until its time limit (60 s by default).
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *ServiceError, *ResourceNotFoundError.
func (c *Client) SubscribeToComponentUpdates(ctx context.Context, r SubscribeToComponentUpdatesRequest) (*Subscription[ComponentUpdatePolicyEvents], error) {
	return subscribe(ctx, c, "SubscribeToComponentUpdates", r, decodeEvent[ComponentUpdatePolicyEvents])
}

// DeferComponentUpdate puts off a deployment, or lets it go on, as the answer to a PreUpdateEvent.
//
// Without a subscription to component updates it is an InvalidArgumentsError, after the deployment's time limit a
// ServiceError.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *ServiceError, *ResourceNotFoundError,
// *InvalidArgumentsError.
func (c *Client) DeferComponentUpdate(ctx context.Context, r DeferComponentUpdateRequest) error {
	return c.perform(ctx, "DeferComponentUpdate", r)
}

// PauseComponent stops the processes of a component from running until ResumeComponent, by Linux control groups.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *UnauthorizedError, *ServiceError,
// *ResourceNotFoundError.
func (c *Client) PauseComponent(ctx context.Context, r PauseComponentRequest) error {
	return c.perform(ctx, "PauseComponent", r)
}

// ResumeComponent lets the processes of a component go on after PauseComponent.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *UnauthorizedError, *ServiceError,
// *ResourceNotFoundError.
func (c *Client) ResumeComponent(ctx context.Context, r ResumeComponentRequest) error {
	return c.perform(ctx, "ResumeComponent", r)
}

// ListComponents lists the components on the core.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError.
func (c *Client) ListComponents(ctx context.Context, r ListComponentsRequest) (*ListComponentsResponse, error) {
	return answered[ListComponentsResponse](ctx, c, "ListComponents", r)
}

// GetComponentDetails tells version, state and configuration of a component.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError,
// *ResourceNotFoundError, *InvalidArgumentsError.
func (c *Client) GetComponentDetails(ctx context.Context, r GetComponentDetailsRequest) (*GetComponentDetailsResponse, error) {
	return answered[GetComponentDetailsResponse](ctx, c, "GetComponentDetails", r)
}

// RestartComponent restarts a component.
//
// A component that is missing is a ResourceNotFoundError on both kinds of nucleus, whatever the model says.
//
// Supported by lite, and by classic with the component aws.greengrass.Cli. Errors: *ServiceError,
// *ComponentNotFoundError, *InvalidArgumentsError.
func (c *Client) RestartComponent(ctx context.Context, r RestartComponentRequest) (*RestartComponentResponse, error) {
	return answered[RestartComponentResponse](ctx, c, "RestartComponent", r)
}

// StopComponent stops a component.
//
// A component that is missing is a ResourceNotFoundError, whatever the model says.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError,
// *ComponentNotFoundError, *InvalidArgumentsError.
func (c *Client) StopComponent(ctx context.Context, r StopComponentRequest) (*StopComponentResponse, error) {
	return answered[StopComponentResponse](ctx, c, "StopComponent", r)
}

// CreateLocalDeployment starts a deployment from files on the device. At least one member must be set.
//
// Nucleus lite answers a component that may not do so with a ServiceError, and its policy must name the resource *.
//
// Supported by lite, and by classic with the component aws.greengrass.Cli. Errors: *ServiceError,
// *InvalidRecipeDirectoryPathError, *InvalidArtifactsDirectoryPathError, *InvalidArgumentsError.
func (c *Client) CreateLocalDeployment(ctx context.Context, r CreateLocalDeploymentRequest) (*CreateLocalDeploymentResponse, error) {
	return answered[CreateLocalDeploymentResponse](ctx, c, "CreateLocalDeployment", r)
}

// CancelLocalDeployment ends a local deployment that is under way.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError,
// *ResourceNotFoundError, *InvalidArgumentsError.
func (c *Client) CancelLocalDeployment(ctx context.Context, r CancelLocalDeploymentRequest) (*CancelLocalDeploymentResponse, error) {
	return answered[CancelLocalDeploymentResponse](ctx, c, "CancelLocalDeployment", r)
}

// GetLocalDeploymentStatus tells how far a local deployment is.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError,
// *ResourceNotFoundError.
func (c *Client) GetLocalDeploymentStatus(ctx context.Context, r GetLocalDeploymentStatusRequest) (*GetLocalDeploymentStatusResponse, error) {
	return answered[GetLocalDeploymentStatusResponse](ctx, c, "GetLocalDeploymentStatus", r)
}

// ListLocalDeployments lists the last five local deployments.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors: *ServiceError.
func (c *Client) ListLocalDeployments(ctx context.Context, r ListLocalDeploymentsRequest) (*ListLocalDeploymentsResponse, error) {
	return answered[ListLocalDeploymentsResponse](ctx, c, "ListLocalDeployments", r)
}

// CreateDebugPassword makes a password for the local debug console.
//
// Supported by classic with the component aws.greengrass.Cli; elsewhere it is ErrNotSupported. Errors:
// *UnauthorizedError, *ServiceError.
func (c *Client) CreateDebugPassword(ctx context.Context, r CreateDebugPasswordRequest) (*CreateDebugPasswordResponse, error) {
	return answered[CreateDebugPasswordResponse](ctx, c, "CreateDebugPassword", r)
}

// GetSecretValue reads a secret of AWS Secrets Manager that was deployed to the core.
//
// Supported by classic with the component aws.greengrass.SecretManager; elsewhere it is ErrNotSupported. Errors:
// *UnauthorizedError, *ResourceNotFoundError, *ServiceError.
func (c *Client) GetSecretValue(ctx context.Context, r GetSecretValueRequest) (*GetSecretValueResponse, error) {
	return answered[GetSecretValueResponse](ctx, c, "GetSecretValue", r)
}

// GetThingShadow reads a device shadow.
//
// A thing has 20 requests a second, all things together 200; then it is a ServiceError.
//
// Supported by classic with the component aws.greengrass.ShadowManager; elsewhere it is ErrNotSupported. Errors:
// *InvalidArgumentsError, *ResourceNotFoundError, *ServiceError, *UnauthorizedError.
func (c *Client) GetThingShadow(ctx context.Context, r GetThingShadowRequest) (*GetThingShadowResponse, error) {
	return answered[GetThingShadowResponse](ctx, c, "GetThingShadow", r)
}

// UpdateThingShadow merges a state into a device shadow, which it makes when there is none.
//
// A version that is not the shadow's is a ConflictError. A thing has 20 requests a second, all things together 200;
// then it is a ServiceError.
//
// Supported by classic with the component aws.greengrass.ShadowManager; elsewhere it is ErrNotSupported. Errors:
// *InvalidArgumentsError, *ConflictError, *ServiceError, *UnauthorizedError.
func (c *Client) UpdateThingShadow(ctx context.Context, r UpdateThingShadowRequest) (*UpdateThingShadowResponse, error) {
	return answered[UpdateThingShadowResponse](ctx, c, "UpdateThingShadow", r)
}

// DeleteThingShadow deletes a device shadow.
//
// A thing has 20 requests a second, all things together 200; then it is a ServiceError.
//
// Supported by classic with the component aws.greengrass.ShadowManager; elsewhere it is ErrNotSupported. Errors:
// *InvalidArgumentsError, *ResourceNotFoundError, *ServiceError, *UnauthorizedError.
func (c *Client) DeleteThingShadow(ctx context.Context, r DeleteThingShadowRequest) (*DeleteThingShadowResponse, error) {
	return answered[DeleteThingShadowResponse](ctx, c, "DeleteThingShadow", r)
}

// ListNamedShadowsForThing lists a page of a thing's named shadows.
//
// A thing has 20 requests a second, all things together 200; then it is a ServiceError.
//
// Supported by classic with the component aws.greengrass.ShadowManager; elsewhere it is ErrNotSupported. Errors:
// *InvalidArgumentsError, *ResourceNotFoundError, *ServiceError, *UnauthorizedError.
func (c *Client) ListNamedShadowsForThing(ctx context.Context, r ListNamedShadowsForThingRequest) (*ListNamedShadowsForThingResponse, error) {
	return answered[ListNamedShadowsForThingResponse](ctx, c, "ListNamedShadowsForThing", r)
}

// SubscribeToCertificateUpdates receives the certificates of a server for client devices, the present one at once and
// each new one.
//
// Supported by classic with the component aws.greengrass.clientdevices.Auth; elsewhere it is ErrNotSupported. Errors:
// *ServiceError, *UnauthorizedError, *InvalidArgumentsError.
func (c *Client) SubscribeToCertificateUpdates(ctx context.Context, r SubscribeToCertificateUpdatesRequest) (*Subscription[CertificateUpdateEvent], error) {
	return subscribe(ctx, c, "SubscribeToCertificateUpdates", r, decodeEvent[CertificateUpdateEvent])
}

// VerifyClientDeviceIdentity tells whether a client device's certificate is known to the core.
//
// Supported by classic with the component aws.greengrass.clientdevices.Auth; elsewhere it is ErrNotSupported. Errors:
// *UnauthorizedError, *ServiceError, *InvalidArgumentsError.
func (c *Client) VerifyClientDeviceIdentity(ctx context.Context, r VerifyClientDeviceIdentityRequest) (*VerifyClientDeviceIdentityResponse, error) {
	return answered[VerifyClientDeviceIdentityResponse](ctx, c, "VerifyClientDeviceIdentity", r)
}

// GetClientDeviceAuthToken opens a session for a client device.
//
// Supported by classic with the component aws.greengrass.clientdevices.Auth; elsewhere it is ErrNotSupported. Errors:
// *UnauthorizedError, *ServiceError, *InvalidArgumentsError, *InvalidCredentialError.
func (c *Client) GetClientDeviceAuthToken(ctx context.Context, r GetClientDeviceAuthTokenRequest) (*GetClientDeviceAuthTokenResponse, error) {
	return answered[GetClientDeviceAuthTokenResponse](ctx, c, "GetClientDeviceAuthToken", r)
}

// AuthorizeClientDeviceAction tells whether a client device may do something.
//
// Supported by classic with the component aws.greengrass.clientdevices.Auth; elsewhere it is ErrNotSupported. Errors:
// *UnauthorizedError, *ServiceError, *InvalidArgumentsError, *InvalidClientDeviceAuthTokenError.
func (c *Client) AuthorizeClientDeviceAction(ctx context.Context, r AuthorizeClientDeviceActionRequest) (*AuthorizeClientDeviceActionResponse, error) {
	return answered[AuthorizeClientDeviceActionResponse](ctx, c, "AuthorizeClientDeviceAction", r)
}

// ValidateAuthorizationToken tells whether an authentication token is a component's.
//
// Only the stream manager may ask; any other component gets an UnauthorizedError.
//
// Supported by classic and lite. Errors: *InvalidTokenError, *UnauthorizedError, *ServiceError.
func (c *Client) ValidateAuthorizationToken(ctx context.Context, r ValidateAuthorizationTokenRequest) (*ValidateAuthorizationTokenResponse, error) {
	return answered[ValidateAuthorizationTokenResponse](ctx, c, "ValidateAuthorizationToken", r)
}

// PutComponentMetric adds to the telemetry of the nucleus.
//
// Only a component whose name begins with "aws." may; any other gets an UnauthorizedError.
//
// Supported by classic; on lite it is ErrNotSupported. Errors: *UnauthorizedError, *ServiceError,
// *InvalidArgumentsError.
func (c *Client) PutComponentMetric(ctx context.Context, r PutComponentMetricRequest) error {
	return c.perform(ctx, "PutComponentMetric", r)
}

// lacksOnLite reports whether nucleus lite does not have the operation.
func lacksOnLite(operation string) bool {
	switch operation {
	case "SubscribeToValidateConfigurationUpdates",
		"SendConfigurationValidityReport",
		"SubscribeToComponentUpdates",
		"DeferComponentUpdate",
		"PauseComponent",
		"ResumeComponent",
		"ListComponents",
		"GetComponentDetails",
		"StopComponent",
		"CancelLocalDeployment",
		"GetLocalDeploymentStatus",
		"ListLocalDeployments",
		"CreateDebugPassword",
		"GetSecretValue",
		"GetThingShadow",
		"UpdateThingShadow",
		"DeleteThingShadow",
		"ListNamedShadowsForThing",
		"SubscribeToCertificateUpdates",
		"VerifyClientDeviceIdentity",
		"GetClientDeviceAuthToken",
		"AuthorizeClientDeviceAction",
		"PutComponentMetric":
		return true
	default:
		return false
	}
}
