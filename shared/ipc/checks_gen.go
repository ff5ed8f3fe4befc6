// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

import (
	"maps"
	"math"
	"slices"
	"strings"
)

func (s *PublishToTopicRequest) check() error {
	if s.Topic == "" {
		return &fieldError{"topic", "required"}
	}
	if err := within("publishMessage", s.PublishMessage.check()); err != nil {
		return err
	}
	return nil
}

func (s *SubscribeToTopicRequest) check() error {
	if s.Topic == "" {
		return &fieldError{"topic", "required"}
	}
	return nil
}

func (s *PublishToIoTCoreRequest) check() error {
	if s.TopicName == "" {
		return &fieldError{"topicName", "required"}
	}
	if s.QoS == "" {
		return &fieldError{"qos", "required"}
	}
	return nil
}

func (s *SubscribeToIoTCoreRequest) check() error {
	if s.TopicName == "" {
		return &fieldError{"topicName", "required"}
	}
	if s.QoS == "" {
		return &fieldError{"qos", "required"}
	}
	return nil
}

func (s *UpdateConfigurationRequest) check() error {
	if s.Timestamp.IsZero() {
		return &fieldError{"timestamp", "required"}
	}
	if s.ValueToMerge.missing() {
		return &fieldError{"valueToMerge", "required"}
	}
	return nil
}

func (s *SendConfigurationValidityReportRequest) check() error {
	if err := within("configurationValidityReport", s.ConfigurationValidityReport.check()); err != nil {
		return err
	}
	return nil
}

func (s *UpdateStateRequest) check() error {
	if s.State == "" {
		return &fieldError{"state", "required"}
	}
	return nil
}

func (s *DeferComponentUpdateRequest) check() error {
	if s.DeploymentID == "" {
		return &fieldError{"deploymentId", "required"}
	}
	if s.RecheckAfterMs < 0 {
		return &fieldError{"recheckAfterMs", "must be at least 0"}
	}
	return nil
}

func (s *PauseComponentRequest) check() error {
	if s.ComponentName == "" {
		return &fieldError{"componentName", "required"}
	}
	return nil
}

func (s *ResumeComponentRequest) check() error {
	if s.ComponentName == "" {
		return &fieldError{"componentName", "required"}
	}
	return nil
}

func (s *GetComponentDetailsRequest) check() error {
	if s.ComponentName == "" {
		return &fieldError{"componentName", "required"}
	}
	return nil
}

func (s *RestartComponentRequest) check() error {
	if s.ComponentName == "" {
		return &fieldError{"componentName", "required"}
	}
	return nil
}

func (s *StopComponentRequest) check() error {
	if s.ComponentName == "" {
		return &fieldError{"componentName", "required"}
	}
	return nil
}

func (s *CreateLocalDeploymentRequest) check() error {
	for _, key := range slices.Sorted(maps.Keys(s.ComponentToRunWithInfo)) {
		value := s.ComponentToRunWithInfo[key]
		if err := within("componentToRunWithInfo."+key, value.check()); err != nil {
			return err
		}
	}
	return nil
}

func (s *GetLocalDeploymentStatusRequest) check() error {
	if s.DeploymentID == "" {
		return &fieldError{"deploymentId", "required"}
	}
	return nil
}

func (s *GetSecretValueRequest) check() error {
	if s.SecretID == "" {
		return &fieldError{"secretId", "required"}
	}
	return nil
}

func (s *GetThingShadowRequest) check() error {
	if s.ThingName == "" {
		return &fieldError{"thingName", "required"}
	}
	if len(s.ThingName) > 128 {
		return &fieldError{"thingName", "longer than 128 bytes"}
	}
	if strings.Trim(s.ThingName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"thingName", "has other characters than a-zA-Z0-9:_-"}
	}
	if len(s.ShadowName) > 64 {
		return &fieldError{"shadowName", "longer than 64 bytes"}
	}
	if strings.Trim(s.ShadowName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"shadowName", "has other characters than a-zA-Z0-9:_-"}
	}
	return nil
}

func (s *UpdateThingShadowRequest) check() error {
	if s.ThingName == "" {
		return &fieldError{"thingName", "required"}
	}
	if len(s.ThingName) > 128 {
		return &fieldError{"thingName", "longer than 128 bytes"}
	}
	if strings.Trim(s.ThingName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"thingName", "has other characters than a-zA-Z0-9:_-"}
	}
	if len(s.ShadowName) > 64 {
		return &fieldError{"shadowName", "longer than 64 bytes"}
	}
	if strings.Trim(s.ShadowName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"shadowName", "has other characters than a-zA-Z0-9:_-"}
	}
	return nil
}

func (s *DeleteThingShadowRequest) check() error {
	if s.ThingName == "" {
		return &fieldError{"thingName", "required"}
	}
	if len(s.ThingName) > 128 {
		return &fieldError{"thingName", "longer than 128 bytes"}
	}
	if strings.Trim(s.ThingName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"thingName", "has other characters than a-zA-Z0-9:_-"}
	}
	if len(s.ShadowName) > 64 {
		return &fieldError{"shadowName", "longer than 64 bytes"}
	}
	if strings.Trim(s.ShadowName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"shadowName", "has other characters than a-zA-Z0-9:_-"}
	}
	return nil
}

func (s *ListNamedShadowsForThingRequest) check() error {
	if s.ThingName == "" {
		return &fieldError{"thingName", "required"}
	}
	if len(s.ThingName) > 128 {
		return &fieldError{"thingName", "longer than 128 bytes"}
	}
	if strings.Trim(s.ThingName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-") != "" {
		return &fieldError{"thingName", "has other characters than a-zA-Z0-9:_-"}
	}
	if s.PageSize != 0 && (s.PageSize < 1 || s.PageSize > 100) {
		return &fieldError{"pageSize", "must be 1 to 100"}
	}
	return nil
}

func (s *SubscribeToCertificateUpdatesRequest) check() error {
	if err := within("certificateOptions", s.CertificateOptions.check()); err != nil {
		return err
	}
	return nil
}

func (s *VerifyClientDeviceIdentityRequest) check() error {
	if err := within("credential", s.Credential.check()); err != nil {
		return err
	}
	return nil
}

func (s *GetClientDeviceAuthTokenRequest) check() error {
	if err := within("credential", s.Credential.check()); err != nil {
		return err
	}
	return nil
}

func (s *AuthorizeClientDeviceActionRequest) check() error {
	if s.ClientDeviceAuthToken == "" {
		return &fieldError{"clientDeviceAuthToken", "required"}
	}
	if s.Operation == "" {
		return &fieldError{"operation", "required"}
	}
	if s.Resource == "" {
		return &fieldError{"resource", "required"}
	}
	return nil
}

func (s *ValidateAuthorizationTokenRequest) check() error {
	if s.Token == "" {
		return &fieldError{"token", "required"}
	}
	return nil
}

func (s *PutComponentMetricRequest) check() error {
	for i := range s.Metrics {
		if err := within(element("metrics", i), s.Metrics[i].check()); err != nil {
			return err
		}
	}
	return nil
}

func (s *JSONMessage) check() error {
	if s.Message.missing() {
		return &fieldError{"message", "required"}
	}
	return nil
}

func (s *ConfigurationValidityReport) check() error {
	if s.Status == "" {
		return &fieldError{"status", "required"}
	}
	if s.DeploymentID == "" {
		return &fieldError{"deploymentId", "required"}
	}
	return nil
}

func (s *RunWithInfo) check() error {
	if s.SystemResourceLimits != nil {
		if err := within("systemResourceLimits", s.SystemResourceLimits.check()); err != nil {
			return err
		}
	}
	return nil
}

func (s *SystemResourceLimits) check() error {
	if s.Memory < 0 {
		return &fieldError{"memory", "must be at least 0"}
	}
	if !(s.CPUs >= 0) || math.IsInf(s.CPUs, 0) {
		return &fieldError{"cpus", "must be a number of at least 0"}
	}
	return nil
}

func (s *CertificateOptions) check() error {
	if s.CertificateType == "" {
		return &fieldError{"certificateType", "required"}
	}
	return nil
}

func (s *Metric) check() error {
	if s.Name == "" {
		return &fieldError{"name", "required"}
	}
	if len(s.Name) > 32 {
		return &fieldError{"name", "longer than 32 bytes"}
	}
	if s.Unit == "" {
		return &fieldError{"unit", "required"}
	}
	if !(s.Value >= 0) || math.IsInf(s.Value, 0) {
		return &fieldError{"value", "must be a number of at least 0"}
	}
	return nil
}

func (s *PublishMessage) check() error {
	if err := s.one(); err != nil {
		return err
	}
	if s.JSONMessage != nil {
		if err := within("jsonMessage", s.JSONMessage.check()); err != nil {
			return err
		}
	}
	return nil
}

func (s *CredentialDocument) check() error {
	if err := s.one(); err != nil {
		return err
	}
	return nil
}

func (s *ClientDeviceCredential) check() error {
	if err := s.one(); err != nil {
		return err
	}
	return nil
}
