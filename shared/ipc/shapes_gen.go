// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

// MessageContext tells where a message came from. A nucleus ignores it in requests.
type MessageContext struct {
	// Topic that the message was published on.
	Topic string `json:"topic,omitempty"`
}

// JSONMessage is a message of JSON. See Document for what happens to its numbers.
type JSONMessage struct {
	// The text. A classic nucleus takes objects only.
	Message Document `json:"message"`
	// Set in events.
	Context *MessageContext `json:"context,omitempty"`
}

// BinaryMessage is a message of bytes.
type BinaryMessage struct {
	// The bytes.
	Message Blob `json:"message"`
	// Set in events.
	Context *MessageContext `json:"context,omitempty"`
}

// UserProperty is an MQTT 5 user property.
type UserProperty struct {
	// Its name.
	Key string `json:"key,omitempty"`
	// Its value.
	Value string `json:"value,omitempty"`
}

// MQTTMessage is a message from AWS IoT Core. Nucleus lite gives topic and payload only.
type MQTTMessage struct {
	// Topic that it was published on.
	TopicName string `json:"topicName"`
	// The bytes.
	Payload Blob `json:"payload,omitzero"`
	// Whether the broker had kept it.
	Retain bool `json:"retain,omitempty"`
	// MQTT 5 user properties.
	UserProperties []UserProperty `json:"userProperties,omitempty"`
	// Rest of its life in seconds; nil for no end.
	MessageExpiryIntervalSeconds *int64 `json:"messageExpiryIntervalSeconds,omitempty"`
	// To send back in an answer.
	CorrelationData Blob `json:"correlationData,omitzero"`
	// Where an answer is expected.
	ResponseTopic string `json:"responseTopic,omitempty"`
	// Whether the payload is text.
	PayloadFormat PayloadFormat `json:"payloadFormat,omitempty"`
	// MIME type of the payload.
	ContentType string `json:"contentType,omitempty"`
}

// ConfigurationUpdateEvent names a value that changed.
type ConfigurationUpdateEvent struct {
	// Whose.
	ComponentName string `json:"componentName"`
	// Its whole path below the component's configuration.
	KeyPath []string `json:"keyPath"`
}

// ValidateConfigurationUpdateEvent is a configuration that a deployment is about to apply.
type ValidateConfigurationUpdateEvent struct {
	// All of the component's new configuration.
	Configuration Document `json:"configuration,omitempty"`
	// For the answer.
	DeploymentID string `json:"deploymentId"`
}

// ConfigurationValidityReport is the answer to a ValidateConfigurationUpdateEvent.
type ConfigurationValidityReport struct {
	// Whether the configuration is valid.
	Status ConfigurationValidityStatus `json:"status"`
	// That of the event.
	DeploymentID string `json:"deploymentId"`
	// Why it is not.
	Message string `json:"message,omitempty"`
}

// PreComponentUpdateEvent comes before a deployment updates components.
type PreComponentUpdateEvent struct {
	// For DeferComponentUpdate.
	DeploymentID string `json:"deploymentId"`
	// Whether the nucleus itself will restart.
	IsGGCRestarting bool `json:"isGgcRestarting"`
}

// PostComponentUpdateEvent comes after a deployment has updated components.
type PostComponentUpdateEvent struct {
	// That of the PreComponentUpdateEvent.
	DeploymentID string `json:"deploymentId"`
}

// ComponentDetails describes a component on the core.
type ComponentDetails struct {
	// Its name.
	ComponentName string `json:"componentName"`
	// Its version.
	Version string `json:"version"`
	// Its state.
	State LifecycleState `json:"state"`
	// Its configuration, an object.
	Configuration Document `json:"configuration,omitempty"`
}

// RunWithInfo says as whom, and with how much of the machine, a component runs.
type RunWithInfo struct {
	// Linux user, or user:group.
	PosixUser string `json:"posixUser,omitempty"`
	// Windows user.
	WindowsUser string `json:"windowsUser,omitempty"`
	// Limits of its processes.
	SystemResourceLimits *SystemResourceLimits `json:"systemResourceLimits,omitempty"`
}

// SystemResourceLimits bounds what the processes of a component use.
type SystemResourceLimits struct {
	// Memory in kB; no limit when 0.
	Memory int64 `json:"memory,omitempty"`
	// Processors, such as 0.5; no limit when 0.
	CPUs float64 `json:"cpus,omitempty"`
}

// LocalDeployment describes a local deployment.
type LocalDeployment struct {
	// Its id.
	DeploymentID string `json:"deploymentId"`
	// How far it is.
	Status DeploymentStatus `json:"status"`
	// When it was made, as MM/dd/yyyy hh:mm:ss.
	CreatedOn string `json:"createdOn,omitempty"`
	// How it ended.
	DeploymentStatusDetails *DeploymentStatusDetails `json:"deploymentStatusDetails,omitempty"`
}

// DeploymentStatusDetails tells how a deployment ended.
type DeploymentStatusDetails struct {
	// The end.
	DetailedDeploymentStatus DetailedDeploymentStatus `json:"detailedDeploymentStatus"`
	// Codes of what failed, from the general to the special.
	DeploymentErrorStack []string `json:"deploymentErrorStack,omitempty"`
	// Kinds of what failed.
	DeploymentErrorTypes []string `json:"deploymentErrorTypes,omitempty"`
	// Text.
	DeploymentFailureCause string `json:"deploymentFailureCause,omitempty"`
}

// CertificateOptions says which certificates are wanted.
type CertificateOptions struct {
	// What they are for.
	CertificateType CertificateType `json:"certificateType"`
}

// ConnectionStatusEvent says whether the nucleus is connected to AWS IoT Core.
type ConnectionStatusEvent struct {
	// Its state.
	Status ConnectionStatus `json:"status"`
}

// CertificateUpdate is a certificate with its keys. It is secret.
type CertificateUpdate struct {
	// PEM.
	PrivateKey string `json:"privateKey,omitempty"`
	// PEM.
	PublicKey string `json:"publicKey,omitempty"`
	// PEM.
	Certificate string `json:"certificate,omitempty"`
	// PEM.
	CACertificates []string `json:"caCertificates,omitempty"`
}

// MQTTCredential is what a client device connects to an MQTT broker with.
type MQTTCredential struct {
	// MQTT client id.
	ClientID string `json:"clientId,omitempty"`
	// Its certificate.
	CertificatePEM string `json:"certificatePem,omitempty"`
	// Unused.
	Username string `json:"username,omitempty"`
	// Unused.
	Password string `json:"password,omitempty"`
}

// Metric is a measurement.
type Metric struct {
	// At most 32 bytes.
	Name string `json:"name"`
	// Its unit.
	Unit MetricUnitType `json:"unit"`
	// 0 or more.
	Value float64 `json:"value"`
}

// PublishMessage is a message to publish. Exactly one member is set.
type PublishMessage struct {
	// JSON.
	JSONMessage *JSONMessage `json:"jsonMessage,omitzero"`
	// Bytes.
	BinaryMessage *BinaryMessage `json:"binaryMessage,omitzero"`
}

// SubscriptionResponseMessage is an event of SubscribeToTopic. Exactly one member is set.
type SubscriptionResponseMessage struct {
	// JSON.
	JSONMessage *JSONMessage `json:"jsonMessage,omitzero"`
	// Bytes.
	BinaryMessage *BinaryMessage `json:"binaryMessage,omitzero"`
}

// IoTCoreMessage is an event of SubscribeToIoTCore. Exactly one member is set.
type IoTCoreMessage struct {
	// A message.
	Message *MQTTMessage `json:"message,omitzero"`
}

// IoTCoreConnectionStatusEvent is an event of SubscribeToIoTCoreConnectionStatus. Exactly one member is set.
type IoTCoreConnectionStatusEvent struct {
	// The state.
	ConnectionStatusEvent *ConnectionStatusEvent `json:"connectionStatusEvent,omitzero"`
}

// ConfigurationUpdateEvents is an event of SubscribeToConfigurationUpdate. Exactly one member is set.
type ConfigurationUpdateEvents struct {
	// A value changed.
	ConfigurationUpdateEvent *ConfigurationUpdateEvent `json:"configurationUpdateEvent,omitzero"`
}

// ValidateConfigurationUpdateEvents is an event of SubscribeToValidateConfigurationUpdates. Exactly one member is set.
type ValidateConfigurationUpdateEvents struct {
	// A configuration is to be judged.
	ValidateConfigurationUpdateEvent *ValidateConfigurationUpdateEvent `json:"validateConfigurationUpdateEvent,omitzero"`
}

// ComponentUpdatePolicyEvents is an event of SubscribeToComponentUpdates. Exactly one member is set.
type ComponentUpdatePolicyEvents struct {
	// A deployment is about to update components.
	PreUpdateEvent *PreComponentUpdateEvent `json:"preUpdateEvent,omitzero"`
	// A deployment has updated components.
	PostUpdateEvent *PostComponentUpdateEvent `json:"postUpdateEvent,omitzero"`
}

// CertificateUpdateEvent is an event of SubscribeToCertificateUpdates. Exactly one member is set.
type CertificateUpdateEvent struct {
	// A certificate.
	CertificateUpdate *CertificateUpdate `json:"certificateUpdate,omitzero"`
}

// SecretValue is a secret. Exactly one member is set.
type SecretValue struct {
	// Text.
	SecretString *string `json:"secretString,omitzero"`
	// Bytes.
	SecretBinary Blob `json:"secretBinary,omitzero"`
}

// CredentialDocument is what a client device connected with. Exactly one member is set.
type CredentialDocument struct {
	// Over MQTT.
	MQTTCredential *MQTTCredential `json:"mqttCredential,omitzero"`
}

// ClientDeviceCredential is how a client device shows who it is. Exactly one member is set.
type ClientDeviceCredential struct {
	// X.509 certificate in PEM.
	ClientDeviceCertificate *string `json:"clientDeviceCertificate,omitzero"`
}
