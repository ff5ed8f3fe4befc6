package conformance

import (
	"context"

	"edgepdm/shared/ipc"
)

const (
	noComponentName = "edgepdm.NoSuchComponent"
	noDeployment    = "3a1b7c52-0d5e-4a52-9f06-5e0c1c6f2a11"
)

// answered is a case of one call.
func answered[Request, Response any](operation func(*ipc.Client, context.Context, Request) (*Response, error), r Request) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		_, err := operation(s.client, ctx, r)
		return accepted, err
	}
}

// done is a case of one request whose response says nothing.
func done[Request any](operation func(*ipc.Client, context.Context, Request) error, r Request) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		return accepted, operation(s.client, ctx, r)
	}
}

// opened is a case of one subscription.
func opened[Request, Event any](operation func(*ipc.Client, context.Context, Request) (*ipc.Subscription[Event], error), r Request) func(context.Context, *session) (string, error) {
	return func(ctx context.Context, s *session) (string, error) {
		_, err := operation(s.client, ctx, r)
		return accepted, err
	}
}

// managementCases are about other components, deployments, and what most components never ask. What could do harm to a
// core in production is asked of nucleus lite only, which has none of it.
func managementCases() []testCase {
	const unauthorized, missing, invalid = "UnauthorizedError", "ResourceNotFoundError", "InvalidArgumentsError"
	report := ipc.ConfigurationValidityReport{Status: ipc.ConfigurationAccepted, DeploymentID: noDeployment}
	mqtt := ipc.CredentialDocument{MQTTCredential: &ipc.MQTTCredential{ClientID: "x"}}
	certificate := "x"
	return []testCase{
		{"UpdateState", "state that does not exist", "ServiceError | " + missing, "ServiceError", asked("UpdateState", `{"state":"EDGEPDM"}`)},
		{"UpdateState", "RUNNING", accepted + " | " + missing, accepted + " | ServiceError",
			done((*ipc.Client).UpdateState, ipc.UpdateStateRequest{State: ipc.StateRunning})},
		{"ListComponents", "all", accepted, notSupported, answered((*ipc.Client).ListComponents, ipc.ListComponentsRequest{})},
		{"GetComponentDetails", "component that is missing", missing, notSupported,
			answered((*ipc.Client).GetComponentDetails, ipc.GetComponentDetailsRequest{ComponentName: noComponentName})},
		{"RestartComponent", "component that is missing", missing, missing + " | ServiceError", // lite's UnauthorizedError of this operation
			answered((*ipc.Client).RestartComponent, ipc.RestartComponentRequest{ComponentName: noComponentName})},
		{"RestartComponent", "component that may be restarted", "SUCCEEDED", "SUCCEEDED", func(ctx context.Context, s *session) (string, error) {
			if s.options.Restart == "" {
				return "", skipf("no component may be restarted")
			}
			response, err := s.client.RestartComponent(ctx, ipc.RestartComponentRequest{ComponentName: s.options.Restart})
			if err != nil {
				return "", err
			}
			return string(response.RestartStatus), nil
		}},
		{"StopComponent", "component that is missing", missing, notSupported,
			answered((*ipc.Client).StopComponent, ipc.StopComponentRequest{ComponentName: noComponentName})},
		{"ListLocalDeployments", "all", accepted, notSupported, answered((*ipc.Client).ListLocalDeployments, ipc.ListLocalDeploymentsRequest{})},
		{"GetLocalDeploymentStatus", "deployment that is missing", missing, notSupported,
			answered((*ipc.Client).GetLocalDeploymentStatus, ipc.GetLocalDeploymentStatusRequest{DeploymentID: noDeployment})},
		{"GetLocalDeploymentStatus", "id that is no UUID", invalid, notSupported,
			answered((*ipc.Client).GetLocalDeploymentStatus, ipc.GetLocalDeploymentStatusRequest{DeploymentID: "x"})},
		{"CancelLocalDeployment", "deployment that is missing", missing, notSupported,
			answered((*ipc.Client).CancelLocalDeployment, ipc.CancelLocalDeploymentRequest{DeploymentID: noDeployment})},
		{"PauseComponent", "component that is missing", missing, notSupported,
			done((*ipc.Client).PauseComponent, ipc.PauseComponentRequest{ComponentName: noComponentName})},
		{"ResumeComponent", "component that is missing", missing, notSupported,
			done((*ipc.Client).ResumeComponent, ipc.ResumeComponentRequest{ComponentName: noComponentName})},
		{"DeferComponentUpdate", "without a subscription", invalid + " | " + missing, notSupported,
			done((*ipc.Client).DeferComponentUpdate, ipc.DeferComponentUpdateRequest{DeploymentID: noDeployment})},
		{"SendConfigurationValidityReport", "without a subscription", invalid, notSupported,
			done((*ipc.Client).SendConfigurationValidityReport, ipc.SendConfigurationValidityReportRequest{ConfigurationValidityReport: report})},
		{"ValidateAuthorizationToken", "by another than the stream manager", unauthorized, unauthorized,
			answered((*ipc.Client).ValidateAuthorizationToken, ipc.ValidateAuthorizationTokenRequest{Token: "x"})},
		{"GetSecretValue", "secret that is missing", missing, notSupported,
			answered((*ipc.Client).GetSecretValue, ipc.GetSecretValueRequest{SecretID: "edgepdm-no-such-secret"})},

		{"CreateDebugPassword", "a password", "", notSupported, answered((*ipc.Client).CreateDebugPassword, ipc.CreateDebugPasswordRequest{})},
		{"PutComponentMetric", "a count", "", notSupported, done((*ipc.Client).PutComponentMetric,
			ipc.PutComponentMetricRequest{Metrics: []ipc.Metric{{Name: "x", Unit: ipc.UnitCount, Value: 1}}})},
		{"SubscribeToComponentUpdates", "all", "", notSupported,
			opened((*ipc.Client).SubscribeToComponentUpdates, ipc.SubscribeToComponentUpdatesRequest{})},
		{"SubscribeToValidateConfigurationUpdates", "all", "", notSupported,
			opened((*ipc.Client).SubscribeToValidateConfigurationUpdates, ipc.SubscribeToValidateConfigurationUpdatesRequest{})},
		{"SubscribeToCertificateUpdates", "server", "", notSupported, opened((*ipc.Client).SubscribeToCertificateUpdates,
			ipc.SubscribeToCertificateUpdatesRequest{CertificateOptions: ipc.CertificateOptions{CertificateType: ipc.CertificateServer}})},
		{"VerifyClientDeviceIdentity", "no certificate", "", notSupported, answered((*ipc.Client).VerifyClientDeviceIdentity,
			ipc.VerifyClientDeviceIdentityRequest{Credential: ipc.ClientDeviceCredential{ClientDeviceCertificate: &certificate}})},
		{"GetClientDeviceAuthToken", "client that is missing", "", notSupported,
			answered((*ipc.Client).GetClientDeviceAuthToken, ipc.GetClientDeviceAuthTokenRequest{Credential: mqtt})},
		{"AuthorizeClientDeviceAction", "no session", "", notSupported, answered((*ipc.Client).AuthorizeClientDeviceAction,
			ipc.AuthorizeClientDeviceActionRequest{ClientDeviceAuthToken: "x", Operation: "x", Resource: "x"})},
	}
}
