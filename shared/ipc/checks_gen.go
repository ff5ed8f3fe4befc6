// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

import "math"

func (s PublishToTopicRequest) check() error {
	return first(
		demand("topic", s.Topic != "", "required"),
		within("publishMessage", s.PublishMessage.check()),
	)
}

func (s SubscribeToTopicRequest) check() error {
	return demand("topic", s.Topic != "", "required")
}

func (s PublishToIoTCoreRequest) check() error {
	return first(
		demand("topicName", s.TopicName != "", "required"),
		demand("qos", s.QoS != "", "required"),
	)
}

func (s SubscribeToIoTCoreRequest) check() error {
	return first(
		demand("topicName", s.TopicName != "", "required"),
		demand("qos", s.QoS != "", "required"),
	)
}

func (s UpdateConfigurationRequest) check() error {
	return first(
		demand("timestamp", !s.Timestamp.IsZero(), "required"),
		demand("valueToMerge", !s.ValueToMerge.missing(), "required"),
	)
}

func (s SendConfigurationValidityReportRequest) check() error {
	return within("configurationValidityReport", s.ConfigurationValidityReport.check())
}

func (s UpdateStateRequest) check() error {
	return demand("state", s.State != "", "required")
}

func (s DeferComponentUpdateRequest) check() error {
	return first(
		demand("deploymentId", s.DeploymentID != "", "required"),
		demand("recheckAfterMs", s.RecheckAfterMs >= 0, "must be at least 0"),
	)
}

func (s PauseComponentRequest) check() error {
	return demand("componentName", s.ComponentName != "", "required")
}

func (s ResumeComponentRequest) check() error {
	return demand("componentName", s.ComponentName != "", "required")
}

func (s GetComponentDetailsRequest) check() error {
	return demand("componentName", s.ComponentName != "", "required")
}

func (s RestartComponentRequest) check() error {
	return demand("componentName", s.ComponentName != "", "required")
}

func (s StopComponentRequest) check() error {
	return demand("componentName", s.ComponentName != "", "required")
}

func (s CreateLocalDeploymentRequest) check() error {
	return values("componentToRunWithInfo", s.ComponentToRunWithInfo)
}

func (s GetLocalDeploymentStatusRequest) check() error {
	return demand("deploymentId", s.DeploymentID != "", "required")
}

func (s GetSecretValueRequest) check() error {
	return demand("secretId", s.SecretID != "", "required")
}

func (s GetThingShadowRequest) check() error {
	return first(
		demand("thingName", s.ThingName != "", "required"),
		demandName("thingName", s.ThingName, 128),
		demandName("shadowName", s.ShadowName, 64),
	)
}

func (s UpdateThingShadowRequest) check() error {
	return first(
		demand("thingName", s.ThingName != "", "required"),
		demandName("thingName", s.ThingName, 128),
		demandName("shadowName", s.ShadowName, 64),
	)
}

func (s DeleteThingShadowRequest) check() error {
	return first(
		demand("thingName", s.ThingName != "", "required"),
		demandName("thingName", s.ThingName, 128),
		demandName("shadowName", s.ShadowName, 64),
	)
}

func (s ListNamedShadowsForThingRequest) check() error {
	return first(
		demand("thingName", s.ThingName != "", "required"),
		demandName("thingName", s.ThingName, 128),
		demand("pageSize", s.PageSize == 0 || s.PageSize >= 1 && s.PageSize <= 100, "must be 1 to 100"),
	)
}

func (s SubscribeToCertificateUpdatesRequest) check() error {
	return within("certificateOptions", s.CertificateOptions.check())
}

func (s VerifyClientDeviceIdentityRequest) check() error {
	return within("credential", s.Credential.check())
}

func (s GetClientDeviceAuthTokenRequest) check() error {
	return within("credential", s.Credential.check())
}

func (s AuthorizeClientDeviceActionRequest) check() error {
	return first(
		demand("clientDeviceAuthToken", s.ClientDeviceAuthToken != "", "required"),
		demand("operation", s.Operation != "", "required"),
		demand("resource", s.Resource != "", "required"),
	)
}

func (s ValidateAuthorizationTokenRequest) check() error {
	return demand("token", s.Token != "", "required")
}

func (s PutComponentMetricRequest) check() error {
	return elements("metrics", s.Metrics)
}

func (s JSONMessage) check() error {
	return demand("message", !s.Message.missing(), "required")
}

func (s ConfigurationValidityReport) check() error {
	return first(
		demand("status", s.Status != "", "required"),
		demand("deploymentId", s.DeploymentID != "", "required"),
	)
}

func (s RunWithInfo) check() error {
	return optional("systemResourceLimits", s.SystemResourceLimits)
}

func (s SystemResourceLimits) check() error {
	return first(
		demand("memory", s.Memory >= 0, "must be at least 0"),
		demand("cpus", s.CPUs >= 0 && !math.IsInf(s.CPUs, 0), "must be a number of at least 0"),
	)
}

func (s CertificateOptions) check() error {
	return demand("certificateType", s.CertificateType != "", "required")
}

func (s Metric) check() error {
	return first(
		demand("name", s.Name != "", "required"),
		demand("name", len(s.Name) <= 32, "longer than 32 bytes"),
		demand("unit", s.Unit != "", "required"),
		demand("value", s.Value >= 0 && !math.IsInf(s.Value, 0), "must be a number of at least 0"),
	)
}

func (s PublishMessage) check() error {
	return first(
		exactlyOne(s),
		optional("jsonMessage", s.JSONMessage),
	)
}

func (s CredentialDocument) check() error {
	return exactlyOne(s)
}

func (s ClientDeviceCredential) check() error {
	return exactlyOne(s)
}
