package ipc_test

import (
	"time"

	"edgepdm/shared/ipc"
)

func cloudCases() []operationCase {
	text := "secret"
	certificate := "PEM"
	at := ipc.Timestamp{Time: time.Date(2026, 11, 23, 15, 35, 55, 500_000_000, time.UTC)}
	return []operationCase{
		unary((*ipc.Client).CreateDebugPassword, ipc.CreateDebugPasswordRequest{}, `{}`,
			`{"password":"p","username":"u","passwordExpiration":1.7954481555E9,"certificateSHA256Hash":"2","certificateSHA1Hash":"1"}`,
			ipc.CreateDebugPasswordResponse{Password: "p", Username: "u", PasswordExpiration: at, CertificateSHA256Hash: "2", CertificateSHA1Hash: "1"}),
		unary((*ipc.Client).GetSecretValue, ipc.GetSecretValueRequest{SecretID: "s"}, `{"secretId":"s"}`,
			`{"secretId":"arn","versionId":"v","versionStage":["AWSCURRENT"],"secretValue":{"secretString":"secret"}}`,
			ipc.GetSecretValueResponse{SecretID: "arn", VersionID: "v", VersionStage: []string{"AWSCURRENT"}, SecretValue: ipc.SecretValue{SecretString: &text}}),
		unary((*ipc.Client).GetSecretValue, ipc.GetSecretValueRequest{SecretID: "s", VersionID: "v", VersionStage: "st", Refresh: true},
			`{"secretId":"s","versionId":"v","versionStage":"st","refresh":true}`,
			`{"secretId":"arn","versionId":"v","versionStage":[],"secretValue":{"secretString":null,"secretBinary":""}}`,
			ipc.GetSecretValueResponse{SecretID: "arn", VersionID: "v", VersionStage: []string{}, SecretValue: ipc.SecretValue{SecretBinary: ipc.Blob{}}}),

		unary((*ipc.Client).GetThingShadow, ipc.GetThingShadowRequest{ThingName: "t"}, `{"thingName":"t"}`, `{"payload":"e30="}`,
			ipc.GetThingShadowResponse{Payload: ipc.Blob("{}")}),
		unary((*ipc.Client).GetThingShadow, ipc.GetThingShadowRequest{ThingName: "a-Z_0:9", ShadowName: "s"},
			`{"thingName":"a-Z_0:9","shadowName":"s"}`, `{"payload":"e30="}`, ipc.GetThingShadowResponse{Payload: ipc.Blob("{}")}),
		unary((*ipc.Client).UpdateThingShadow, ipc.UpdateThingShadowRequest{ThingName: "t"}, `{"thingName":"t","payload":""}`, `{"payload":"e30="}`,
			ipc.UpdateThingShadowResponse{Payload: ipc.Blob("{}")}),
		unary((*ipc.Client).UpdateThingShadow, ipc.UpdateThingShadowRequest{ThingName: "t", ShadowName: "s", Payload: ipc.Blob("{}")},
			`{"thingName":"t","shadowName":"s","payload":"e30="}`, `{"payload":"e30="}`, ipc.UpdateThingShadowResponse{Payload: ipc.Blob("{}")}),
		unary((*ipc.Client).DeleteThingShadow, ipc.DeleteThingShadowRequest{ThingName: "t"}, `{"thingName":"t"}`, `{"payload":""}`,
			ipc.DeleteThingShadowResponse{Payload: ipc.Blob{}}),
		unary((*ipc.Client).DeleteThingShadow, ipc.DeleteThingShadowRequest{ThingName: "t", ShadowName: "s"}, `{"thingName":"t","shadowName":"s"}`,
			`{"payload":""}`, ipc.DeleteThingShadowResponse{Payload: ipc.Blob{}}),
		unary((*ipc.Client).ListNamedShadowsForThing, ipc.ListNamedShadowsForThingRequest{ThingName: "t"}, `{"thingName":"t"}`,
			`{"results":[],"timestamp":1795448155.5}`, ipc.ListNamedShadowsForThingResponse{Results: []string{}, Timestamp: at}),
		unary((*ipc.Client).ListNamedShadowsForThing, ipc.ListNamedShadowsForThingRequest{ThingName: "t", NextToken: "n", PageSize: 100},
			`{"thingName":"t","nextToken":"n","pageSize":100}`, `{"results":["a"],"timestamp":1795448155.5,"nextToken":"m"}`,
			ipc.ListNamedShadowsForThingResponse{Results: []string{"a"}, Timestamp: at, NextToken: "m"}),

		stream((*ipc.Client).SubscribeToCertificateUpdates, ipc.SubscribeToCertificateUpdatesRequest{
			CertificateOptions: ipc.CertificateOptions{CertificateType: ipc.CertificateServer}}, `{"certificateOptions":{"certificateType":"SERVER"}}`,
			`{"certificateUpdate":{"privateKey":"a","publicKey":"b","certificate":"c","caCertificates":["d","e"]}}`,
			ipc.CertificateUpdateEvent{CertificateUpdate: &ipc.CertificateUpdate{
				PrivateKey: "a", PublicKey: "b", Certificate: "c", CACertificates: []string{"d", "e"}}}),
		stream((*ipc.Client).SubscribeToCertificateUpdates, ipc.SubscribeToCertificateUpdatesRequest{
			CertificateOptions: ipc.CertificateOptions{CertificateType: "CLIENT"}}, `{"certificateOptions":{"certificateType":"CLIENT"}}`,
			`{"certificateUpdate":{}}`, ipc.CertificateUpdateEvent{CertificateUpdate: &ipc.CertificateUpdate{}}),
		unary((*ipc.Client).VerifyClientDeviceIdentity, ipc.VerifyClientDeviceIdentityRequest{
			Credential: ipc.ClientDeviceCredential{ClientDeviceCertificate: &certificate}}, `{"credential":{"clientDeviceCertificate":"PEM"}}`,
			`{"isValidClientDevice":true}`, ipc.VerifyClientDeviceIdentityResponse{IsValidClientDevice: true}),
		unary((*ipc.Client).VerifyClientDeviceIdentity, ipc.VerifyClientDeviceIdentityRequest{
			Credential: ipc.ClientDeviceCredential{ClientDeviceCertificate: new(string)}}, `{"credential":{"clientDeviceCertificate":""}}`,
			`{"isValidClientDevice":false}`, ipc.VerifyClientDeviceIdentityResponse{}),
		unary((*ipc.Client).GetClientDeviceAuthToken, ipc.GetClientDeviceAuthTokenRequest{
			Credential: ipc.CredentialDocument{MQTTCredential: &ipc.MQTTCredential{}}}, `{"credential":{"mqttCredential":{}}}`,
			`{"clientDeviceAuthToken":"t"}`, ipc.GetClientDeviceAuthTokenResponse{ClientDeviceAuthToken: "t"}),
		unary((*ipc.Client).GetClientDeviceAuthToken, ipc.GetClientDeviceAuthTokenRequest{Credential: ipc.CredentialDocument{
			MQTTCredential: &ipc.MQTTCredential{ClientID: "i", CertificatePEM: "c", Username: "u", Password: "p"}}},
			`{"credential":{"mqttCredential":{"clientId":"i","certificatePem":"c","username":"u","password":"p"}}}`,
			`{"clientDeviceAuthToken":"t"}`, ipc.GetClientDeviceAuthTokenResponse{ClientDeviceAuthToken: "t"}),
		unary((*ipc.Client).AuthorizeClientDeviceAction, ipc.AuthorizeClientDeviceActionRequest{ClientDeviceAuthToken: "t", Operation: "o", Resource: "r"},
			`{"clientDeviceAuthToken":"t","operation":"o","resource":"r"}`, `{"isAuthorized":true}`,
			ipc.AuthorizeClientDeviceActionResponse{IsAuthorized: true}),
		unary((*ipc.Client).AuthorizeClientDeviceAction, ipc.AuthorizeClientDeviceActionRequest{
			ClientDeviceAuthToken: "t", Operation: "mqtt:publish", Resource: "mqtt:topic:a/b"},
			`{"clientDeviceAuthToken":"t","operation":"mqtt:publish","resource":"mqtt:topic:a/b"}`, `{"isAuthorized":false}`,
			ipc.AuthorizeClientDeviceActionResponse{}),

		unary((*ipc.Client).ValidateAuthorizationToken, ipc.ValidateAuthorizationTokenRequest{Token: "t"}, `{"token":"t"}`, `{"isValid":true}`,
			ipc.ValidateAuthorizationTokenResponse{IsValid: true}),
		unary((*ipc.Client).ValidateAuthorizationToken, ipc.ValidateAuthorizationTokenRequest{Token: "a/b+c=="}, `{"token":"a/b+c=="}`, `{}`,
			ipc.ValidateAuthorizationTokenResponse{}),
		done((*ipc.Client).PutComponentMetric, ipc.PutComponentMetricRequest{}, `{"metrics":[]}`, `{}`),
		done((*ipc.Client).PutComponentMetric, ipc.PutComponentMetricRequest{Metrics: []ipc.Metric{
			{Name: "m", Unit: ipc.UnitBytesPerSecond, Value: 0}, {Name: "n", Unit: ipc.UnitCount, Value: 1.5}}},
			`{"metrics":[{"name":"m","unit":"BYTES_PER_SECOND","value":0},{"name":"n","unit":"COUNT","value":1.5}]}`, `{}`),
	}
}
