// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

// ReceiveMode says whether a subscriber gets its own messages. When empty a classic nucleus delivers them unless the
// filter has a wildcard. Nucleus lite always delivers them.
type ReceiveMode string

// The values of ReceiveMode.
const (
	ReceiveAll        ReceiveMode = "RECEIVE_ALL_MESSAGES"
	ReceiveFromOthers ReceiveMode = "RECEIVE_MESSAGES_FROM_OTHERS"
)

// QoS is an MQTT quality of service; on the wire it is a string.
type QoS string

// The values of QoS.
const (
	AtMostOnce  QoS = "0"
	AtLeastOnce QoS = "1"
)

// ConnectionStatus is the state of a connection.
type ConnectionStatus string

// The values of ConnectionStatus.
const (
	Connected    ConnectionStatus = "CONNECTED"
	Disconnected ConnectionStatus = "DISCONNECTED"
)

// PayloadFormat is MQTT 5's payload format indicator.
type PayloadFormat string

// The values of PayloadFormat.
const (
	PayloadBytes PayloadFormat = "0"
	PayloadUTF8  PayloadFormat = "1"
)

// ReportedLifecycleState is a state that a component may report of itself.
type ReportedLifecycleState string

// The values of ReportedLifecycleState.
const (
	StateRunning ReportedLifecycleState = "RUNNING"
	StateErrored ReportedLifecycleState = "ERRORED"
)

// LifecycleState is the state of a component.
type LifecycleState string

// The values of LifecycleState.
const (
	LifecycleNew       LifecycleState = "NEW"
	LifecycleInstalled LifecycleState = "INSTALLED"
	LifecycleStarting  LifecycleState = "STARTING"
	LifecycleRunning   LifecycleState = "RUNNING"
	LifecycleStopping  LifecycleState = "STOPPING"
	LifecycleErrored   LifecycleState = "ERRORED"
	LifecycleBroken    LifecycleState = "BROKEN"
	LifecycleFinished  LifecycleState = "FINISHED"
)

// ConfigurationValidityStatus is a component's judgement of a configuration.
type ConfigurationValidityStatus string

// The values of ConfigurationValidityStatus.
const (
	ConfigurationAccepted ConfigurationValidityStatus = "ACCEPTED"
	ConfigurationRejected ConfigurationValidityStatus = "REJECTED"
)

// RequestStatus tells whether a request to restart or stop a component was carried out.
type RequestStatus string

// The values of RequestStatus.
const (
	RequestSucceeded RequestStatus = "SUCCEEDED"
	RequestFailed    RequestStatus = "FAILED"
)

// DeploymentStatus tells how far a local deployment is.
type DeploymentStatus string

// The values of DeploymentStatus.
const (
	DeploymentQueued     DeploymentStatus = "QUEUED"
	DeploymentInProgress DeploymentStatus = "IN_PROGRESS"
	DeploymentSucceeded  DeploymentStatus = "SUCCEEDED"
	DeploymentFailed     DeploymentStatus = "FAILED"
	DeploymentCanceled   DeploymentStatus = "CANCELED"
)

// DetailedDeploymentStatus tells how a deployment ended.
type DetailedDeploymentStatus string

// The values of DetailedDeploymentStatus.
const (
	DetailSuccessful                 DetailedDeploymentStatus = "SUCCESSFUL"
	DetailFailedNoStateChange        DetailedDeploymentStatus = "FAILED_NO_STATE_CHANGE"
	DetailFailedRollbackNotRequested DetailedDeploymentStatus = "FAILED_ROLLBACK_NOT_REQUESTED"
	DetailFailedRollbackComplete     DetailedDeploymentStatus = "FAILED_ROLLBACK_COMPLETE"
	DetailRejected                   DetailedDeploymentStatus = "REJECTED"
)

// FailureHandlingPolicy says what a deployment that fails leaves behind.
type FailureHandlingPolicy string

// The values of FailureHandlingPolicy.
const (
	OnFailureRollback  FailureHandlingPolicy = "ROLLBACK"
	OnFailureDoNothing FailureHandlingPolicy = "DO_NOTHING"
)

// CertificateType says what a certificate is for.
type CertificateType string

// The values of CertificateType.
const (
	CertificateServer CertificateType = "SERVER"
)

// MetricUnitType is the unit of a Metric.
type MetricUnitType string

// The values of MetricUnitType.
const (
	UnitBytes          MetricUnitType = "BYTES"
	UnitBytesPerSecond MetricUnitType = "BYTES_PER_SECOND"
	UnitCount          MetricUnitType = "COUNT"
	UnitCountPerSecond MetricUnitType = "COUNT_PER_SECOND"
	UnitMegabytes      MetricUnitType = "MEGABYTES"
	UnitSeconds        MetricUnitType = "SECONDS"
)
