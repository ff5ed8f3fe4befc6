// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

// PublishToTopicRequest is the request of Client.PublishToTopic.
type PublishToTopicRequest struct {
	// Topic, without wildcards; at most 256 bytes on nucleus lite.
	Topic string `json:"topic"`
	// The message.
	PublishMessage PublishMessage `json:"publishMessage"`
}

// SubscribeToTopicRequest is the request of Client.SubscribeToTopic.
type SubscribeToTopicRequest struct {
	// Filter, with the MQTT wildcards + and #.
	Topic string `json:"topic"`
	// Whether the component receives its own messages.
	ReceiveMode ReceiveMode `json:"receiveMode,omitempty"`
}

// PublishToIoTCoreRequest is the request of Client.PublishToIoTCore.
type PublishToIoTCoreRequest struct {
	// Topic.
	TopicName string `json:"topicName"`
	// Quality of service.
	QoS QoS `json:"qos"`
	// At most 128 kB for AWS IoT Core, 5,000 bytes with the topic on nucleus lite.
	Payload Blob `json:"payload"`
	// Whether the broker keeps it for later subscribers.
	Retain bool `json:"retain,omitempty"`
	// MQTT 5 user properties.
	UserProperties []UserProperty `json:"userProperties,omitempty"`
	// Life of the message at the broker in seconds; nil for no end.
	MessageExpiryIntervalSeconds *int64 `json:"messageExpiryIntervalSeconds,omitempty"`
	// For an answer to the message.
	CorrelationData Blob `json:"correlationData,omitzero"`
	// Where an answer to the message is expected.
	ResponseTopic string `json:"responseTopic,omitempty"`
	// Whether the payload is text.
	PayloadFormat PayloadFormat `json:"payloadFormat,omitempty"`
	// MIME type of the payload. A classic nucleus does not forward it.
	ContentType string `json:"contentType,omitempty"`
}

// SubscribeToIoTCoreRequest is the request of Client.SubscribeToIoTCore.
type SubscribeToIoTCoreRequest struct {
	// Filter, with the MQTT wildcards + and #.
	TopicName string `json:"topicName"`
	// Quality of service.
	QoS QoS `json:"qos"`
}

// SubscribeToIoTCoreConnectionStatusRequest is the request of Client.SubscribeToIoTCoreConnectionStatus.
type SubscribeToIoTCoreConnectionStatusRequest struct {
}

// GetConfigurationRequest is the request of Client.GetConfiguration.
type GetConfigurationRequest struct {
	// Whose; the caller's own when empty. Any component may read any other's.
	ComponentName string `json:"componentName,omitempty"`
	// One key a level; empty for all of the configuration.
	KeyPath List[string] `json:"keyPath"`
}

// GetConfigurationResponse is the response of Client.GetConfiguration.
type GetConfigurationResponse struct {
	// Whose configuration it is.
	ComponentName string `json:"componentName,omitempty"`
	// A map as it is; any other value as {"<last key>": value}.
	Value Document `json:"value,omitempty"`
}

// UpdateConfigurationRequest is the request of Client.UpdateConfiguration.
type UpdateConfigurationRequest struct {
	// The map to merge into, one key a level; empty for the whole configuration.
	KeyPath []string `json:"keyPath,omitempty"`
	// When the values were made. A value in the configuration that is younger stays.
	Timestamp Timestamp `json:"timestamp"`
	// A JSON object.
	ValueToMerge Document `json:"valueToMerge"`
}

// SubscribeToConfigurationUpdateRequest is the request of Client.SubscribeToConfigurationUpdate.
type SubscribeToConfigurationUpdateRequest struct {
	// Whose; the caller's own when empty.
	ComponentName string `json:"componentName,omitempty"`
	// One key a level; empty for all of the configuration.
	KeyPath List[string] `json:"keyPath"`
}

// SubscribeToValidateConfigurationUpdatesRequest is the request of Client.SubscribeToValidateConfigurationUpdates.
type SubscribeToValidateConfigurationUpdatesRequest struct {
}

// SendConfigurationValidityReportRequest is the request of Client.SendConfigurationValidityReport.
type SendConfigurationValidityReportRequest struct {
	// The answer.
	ConfigurationValidityReport ConfigurationValidityReport `json:"configurationValidityReport"`
}

// UpdateStateRequest is the request of Client.UpdateState.
type UpdateStateRequest struct {
	// The state.
	State ReportedLifecycleState `json:"state"`
}

// SubscribeToComponentUpdatesRequest is the request of Client.SubscribeToComponentUpdates.
type SubscribeToComponentUpdatesRequest struct {
}

// DeferComponentUpdateRequest is the request of Client.DeferComponentUpdate.
type DeferComponentUpdateRequest struct {
	// The deployment of the event.
	DeploymentID string `json:"deploymentId"`
	// Why; it goes to the log.
	Message string `json:"message,omitempty"`
	// Milliseconds until the nucleus asks again; 0 lets the deployment go on.
	RecheckAfterMs int64 `json:"recheckAfterMs,omitempty"`
}

// PauseComponentRequest is the request of Client.PauseComponent.
type PauseComponentRequest struct {
	// Which; a generic component, not a plugin.
	ComponentName string `json:"componentName"`
}

// ResumeComponentRequest is the request of Client.ResumeComponent.
type ResumeComponentRequest struct {
	// Which.
	ComponentName string `json:"componentName"`
}

// ListComponentsRequest is the request of Client.ListComponents.
type ListComponentsRequest struct {
}

// ListComponentsResponse is the response of Client.ListComponents.
type ListComponentsResponse struct {
	// All of them.
	Components []ComponentDetails `json:"components,omitempty"`
}

// GetComponentDetailsRequest is the request of Client.GetComponentDetails.
type GetComponentDetailsRequest struct {
	// Which.
	ComponentName string `json:"componentName"`
}

// GetComponentDetailsResponse is the response of Client.GetComponentDetails.
type GetComponentDetailsResponse struct {
	// The component.
	ComponentDetails ComponentDetails `json:"componentDetails"`
}

// RestartComponentRequest is the request of Client.RestartComponent.
type RestartComponentRequest struct {
	// Which.
	ComponentName string `json:"componentName"`
}

// RestartComponentResponse is the response of Client.RestartComponent.
type RestartComponentResponse struct {
	// Whether it was done.
	RestartStatus RequestStatus `json:"restartStatus"`
	// Why it was not.
	Message string `json:"message,omitempty"`
}

// StopComponentRequest is the request of Client.StopComponent.
type StopComponentRequest struct {
	// Which.
	ComponentName string `json:"componentName"`
}

// StopComponentResponse is the response of Client.StopComponent.
type StopComponentResponse struct {
	// Whether it was done.
	StopStatus RequestStatus `json:"stopStatus"`
	// Why it was not.
	Message string `json:"message,omitempty"`
}

// CreateLocalDeploymentRequest is the request of Client.CreateLocalDeployment.
type CreateLocalDeploymentRequest struct {
	// Thing group that the deployment stands for; LOCAL_DEPLOYMENT when empty.
	GroupName string `json:"groupName,omitempty"`
	// Component → version; added to the group's components.
	RootComponentVersionsToAdd map[string]string `json:"rootComponentVersionsToAdd,omitempty"`
	// Components to remove from the group. Nucleus lite does not read it.
	RootComponentsToRemove []string `json:"rootComponentsToRemove,omitempty"`
	// Component → {"MERGE": object, "RESET": [JSON pointers]}.
	ComponentToConfiguration map[string]Document `json:"componentToConfiguration,omitempty"`
	// Component → user and limits.
	ComponentToRunWithInfo map[string]RunWithInfo `json:"componentToRunWithInfo,omitempty"`
	// Folder of recipe files that the nucleus copies.
	RecipeDirectoryPath string `json:"recipeDirectoryPath,omitempty"`
	// Folder of artifacts that the nucleus copies.
	ArtifactsDirectoryPath string `json:"artifactsDirectoryPath,omitempty"`
	// What a deployment that fails leaves behind.
	FailureHandlingPolicy FailureHandlingPolicy `json:"failureHandlingPolicy,omitempty"`
}

// CreateLocalDeploymentResponse is the response of Client.CreateLocalDeployment.
type CreateLocalDeploymentResponse struct {
	// For GetLocalDeploymentStatus.
	DeploymentID string `json:"deploymentId,omitempty"`
}

// CancelLocalDeploymentRequest is the request of Client.CancelLocalDeployment.
type CancelLocalDeploymentRequest struct {
	// Which.
	DeploymentID string `json:"deploymentId,omitempty"`
}

// CancelLocalDeploymentResponse is the response of Client.CancelLocalDeployment.
type CancelLocalDeploymentResponse struct {
	// What was done.
	Message string `json:"message,omitempty"`
}

// GetLocalDeploymentStatusRequest is the request of Client.GetLocalDeploymentStatus.
type GetLocalDeploymentStatusRequest struct {
	// Which.
	DeploymentID string `json:"deploymentId"`
}

// GetLocalDeploymentStatusResponse is the response of Client.GetLocalDeploymentStatus.
type GetLocalDeploymentStatusResponse struct {
	// The deployment.
	Deployment LocalDeployment `json:"deployment"`
}

// ListLocalDeploymentsRequest is the request of Client.ListLocalDeployments.
type ListLocalDeploymentsRequest struct {
}

// ListLocalDeploymentsResponse is the response of Client.ListLocalDeployments.
type ListLocalDeploymentsResponse struct {
	// The deployments.
	LocalDeployments []LocalDeployment `json:"localDeployments,omitempty"`
}

// CreateDebugPasswordRequest is the request of Client.CreateDebugPassword.
type CreateDebugPasswordRequest struct {
}

// CreateDebugPasswordResponse is the response of Client.CreateDebugPassword.
type CreateDebugPasswordResponse struct {
	// The password.
	Password string `json:"password"`
	// The user that it belongs to.
	Username string `json:"username"`
	// When it ends.
	PasswordExpiration Timestamp `json:"passwordExpiration"`
	// Fingerprint of the console's certificate.
	CertificateSHA256Hash string `json:"certificateSHA256Hash,omitempty"`
	// Fingerprint of the console's certificate.
	CertificateSHA1Hash string `json:"certificateSHA1Hash,omitempty"`
}

// GetSecretValueRequest is the request of Client.GetSecretValue.
type GetSecretValueRequest struct {
	// ARN or name of the secret.
	SecretID string `json:"secretId"`
	// Version; not together with VersionStage. The version AWSCURRENT without either.
	VersionID string `json:"versionId,omitempty"`
	// Staging label of the version; not together with VersionID.
	VersionStage string `json:"versionStage,omitempty"`
	// Ask the cloud first.
	Refresh bool `json:"refresh,omitempty"`
}

// GetSecretValueResponse is the response of Client.GetSecretValue.
type GetSecretValueResponse struct {
	// ARN of the secret.
	SecretID string `json:"secretId"`
	// The version that was read.
	VersionID string `json:"versionId"`
	// Its staging labels.
	VersionStage []string `json:"versionStage"`
	// The secret.
	SecretValue SecretValue `json:"secretValue"`
}

// GetThingShadowRequest is the request of Client.GetThingShadow.
type GetThingShadowRequest struct {
	// At most 128 of the characters a-z, A-Z, 0-9, colon, _ and -.
	ThingName string `json:"thingName"`
	// At most 64 of the same characters; empty for the classic shadow.
	ShadowName string `json:"shadowName,omitempty"`
}

// GetThingShadowResponse is the response of Client.GetThingShadow.
type GetThingShadowResponse struct {
	// JSON: state {desired, reported, delta}, metadata, version, timestamp.
	Payload Blob `json:"payload"`
}

// UpdateThingShadowRequest is the request of Client.UpdateThingShadow.
type UpdateThingShadowRequest struct {
	// At most 128 of the characters a-z, A-Z, 0-9, colon, _ and -.
	ThingName string `json:"thingName"`
	// At most 64 of the same characters; empty for the classic shadow.
	ShadowName string `json:"shadowName,omitempty"`
	// JSON: state, at most 6 deep; version, clientToken optional. At most 8 KiB by default.
	Payload Blob `json:"payload"`
}

// UpdateThingShadowResponse is the response of Client.UpdateThingShadow.
type UpdateThingShadowResponse struct {
	// JSON: the state that was sent, metadata, version, timestamp, clientToken.
	Payload Blob `json:"payload"`
}

// DeleteThingShadowRequest is the request of Client.DeleteThingShadow.
type DeleteThingShadowRequest struct {
	// At most 128 of the characters a-z, A-Z, 0-9, colon, _ and -.
	ThingName string `json:"thingName"`
	// At most 64 of the same characters; empty for the classic shadow.
	ShadowName string `json:"shadowName,omitempty"`
}

// DeleteThingShadowResponse is the response of Client.DeleteThingShadow.
type DeleteThingShadowResponse struct {
	// Empty.
	Payload Blob `json:"payload"`
}

// ListNamedShadowsForThingRequest is the request of Client.ListNamedShadowsForThing.
type ListNamedShadowsForThingRequest struct {
	// At most 128 of the characters a-z, A-Z, 0-9, colon, _ and -.
	ThingName string `json:"thingName"`
	// That of the page before; empty for the first.
	NextToken string `json:"nextToken,omitempty"`
	// Names a page, 1 to 100; 25 when 0.
	PageSize int32 `json:"pageSize,omitempty"`
}

// ListNamedShadowsForThingResponse is the response of Client.ListNamedShadowsForThing.
type ListNamedShadowsForThingResponse struct {
	// Names of shadows.
	Results []string `json:"results"`
	// When the answer was made.
	Timestamp Timestamp `json:"timestamp"`
	// For the next page; empty on the last.
	NextToken string `json:"nextToken,omitempty"`
}

// SubscribeToCertificateUpdatesRequest is the request of Client.SubscribeToCertificateUpdates.
type SubscribeToCertificateUpdatesRequest struct {
	// What kind of certificate.
	CertificateOptions CertificateOptions `json:"certificateOptions"`
}

// VerifyClientDeviceIdentityRequest is the request of Client.VerifyClientDeviceIdentity.
type VerifyClientDeviceIdentityRequest struct {
	// The certificate.
	Credential ClientDeviceCredential `json:"credential"`
}

// VerifyClientDeviceIdentityResponse is the response of Client.VerifyClientDeviceIdentity.
type VerifyClientDeviceIdentityResponse struct {
	// Whether it is.
	IsValidClientDevice bool `json:"isValidClientDevice"`
}

// GetClientDeviceAuthTokenRequest is the request of Client.GetClientDeviceAuthToken.
type GetClientDeviceAuthTokenRequest struct {
	// What the client device connected with.
	Credential CredentialDocument `json:"credential"`
}

// GetClientDeviceAuthTokenResponse is the response of Client.GetClientDeviceAuthToken.
type GetClientDeviceAuthTokenResponse struct {
	// For AuthorizeClientDeviceAction.
	ClientDeviceAuthToken string `json:"clientDeviceAuthToken"`
}

// AuthorizeClientDeviceActionRequest is the request of Client.AuthorizeClientDeviceAction.
type AuthorizeClientDeviceActionRequest struct {
	// Of GetClientDeviceAuthToken.
	ClientDeviceAuthToken string `json:"clientDeviceAuthToken"`
	// What, for example mqtt:publish.
	Operation string `json:"operation"`
	// On what, for example mqtt:topic:a/b.
	Resource string `json:"resource"`
}

// AuthorizeClientDeviceActionResponse is the response of Client.AuthorizeClientDeviceAction.
type AuthorizeClientDeviceActionResponse struct {
	// Whether it may.
	IsAuthorized bool `json:"isAuthorized"`
}

// ValidateAuthorizationTokenRequest is the request of Client.ValidateAuthorizationToken.
type ValidateAuthorizationTokenRequest struct {
	// The token.
	Token string `json:"token"`
}

// ValidateAuthorizationTokenResponse is the response of Client.ValidateAuthorizationToken.
type ValidateAuthorizationTokenResponse struct {
	// Whether it is.
	IsValid bool `json:"isValid"`
}

// PutComponentMetricRequest is the request of Client.PutComponentMetric.
type PutComponentMetricRequest struct {
	// The measurements.
	Metrics List[Metric] `json:"metrics"`
}
