package ipc_test

import "edgepdm/shared/ipc"

func componentCases() []operationCase {
	return []operationCase{
		done((*ipc.Client).UpdateState, ipc.UpdateStateRequest{State: ipc.StateRunning}, `{"state":"RUNNING"}`, `{}`),
		done((*ipc.Client).UpdateState, ipc.UpdateStateRequest{State: ipc.StateErrored}, `{"state":"ERRORED"}`, `{}`),
		stream((*ipc.Client).SubscribeToComponentUpdates, ipc.SubscribeToComponentUpdatesRequest{}, `{}`,
			`{"preUpdateEvent":{"deploymentId":"d","isGgcRestarting":true}}`,
			ipc.ComponentUpdatePolicyEvents{PreUpdateEvent: &ipc.PreComponentUpdateEvent{DeploymentID: "d", IsGGCRestarting: true}}),
		stream((*ipc.Client).SubscribeToComponentUpdates, ipc.SubscribeToComponentUpdatesRequest{}, `{}`, `{"postUpdateEvent":{"deploymentId":"d"}}`,
			ipc.ComponentUpdatePolicyEvents{PostUpdateEvent: &ipc.PostComponentUpdateEvent{DeploymentID: "d"}}),
		done((*ipc.Client).DeferComponentUpdate, ipc.DeferComponentUpdateRequest{DeploymentID: "d"}, `{"deploymentId":"d"}`, `{}`),
		done((*ipc.Client).DeferComponentUpdate, ipc.DeferComponentUpdateRequest{DeploymentID: "d", Message: "busy", RecheckAfterMs: 5_000_000_000},
			`{"deploymentId":"d","message":"busy","recheckAfterMs":5000000000}`, `{}`),
		done((*ipc.Client).PauseComponent, ipc.PauseComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`, `{}`),
		done((*ipc.Client).PauseComponent, ipc.PauseComponentRequest{ComponentName: "ü\""}, `{"componentName":"ü\""}`, ``),
		done((*ipc.Client).ResumeComponent, ipc.ResumeComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`, `{}`),
		done((*ipc.Client).ResumeComponent, ipc.ResumeComponentRequest{ComponentName: "D"}, `{"componentName":"D"}`, ``),

		unary((*ipc.Client).ListComponents, ipc.ListComponentsRequest{}, `{}`,
			`{"components":[{"componentName":"C","version":"1.0.0","state":"RUNNING","configuration":{"a":1.0}},{"componentName":"D","version":"2.0.0","state":"BROKEN"}]}`,
			ipc.ListComponentsResponse{Components: []ipc.ComponentDetails{
				{ComponentName: "C", Version: "1.0.0", State: ipc.LifecycleRunning, Configuration: ipc.Document(`{"a":1.0}`)},
				{ComponentName: "D", Version: "2.0.0", State: ipc.LifecycleBroken},
			}}),
		unary((*ipc.Client).GetComponentDetails, ipc.GetComponentDetailsRequest{ComponentName: "C"}, `{"componentName":"C"}`,
			`{"componentDetails":{"componentName":"C","version":"1.0.0","state":"FINISHED","configuration":{}}}`,
			ipc.GetComponentDetailsResponse{ComponentDetails: ipc.ComponentDetails{
				ComponentName: "C", Version: "1.0.0", State: ipc.LifecycleFinished, Configuration: ipc.Document(`{}`)}}),
		unary((*ipc.Client).GetComponentDetails, ipc.GetComponentDetailsRequest{ComponentName: "D"}, `{"componentName":"D"}`,
			`{"componentDetails":{"componentName":"D","state":"A_LATER_ONE"}}`,
			ipc.GetComponentDetailsResponse{ComponentDetails: ipc.ComponentDetails{ComponentName: "D", State: "A_LATER_ONE"}}),
		unary((*ipc.Client).RestartComponent, ipc.RestartComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`, `{"restartStatus":"SUCCEEDED"}`,
			ipc.RestartComponentResponse{RestartStatus: ipc.RequestSucceeded}),
		unary((*ipc.Client).RestartComponent, ipc.RestartComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`,
			`{"restartStatus":"FAILED","message":"m"}`, ipc.RestartComponentResponse{RestartStatus: ipc.RequestFailed, Message: "m"}),
		unary((*ipc.Client).StopComponent, ipc.StopComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`, `{"stopStatus":"SUCCEEDED"}`,
			ipc.StopComponentResponse{StopStatus: ipc.RequestSucceeded}),
		unary((*ipc.Client).StopComponent, ipc.StopComponentRequest{ComponentName: "C"}, `{"componentName":"C"}`,
			`{"stopStatus":"FAILED","message":"m"}`, ipc.StopComponentResponse{StopStatus: ipc.RequestFailed, Message: "m"}),

		unary((*ipc.Client).CreateLocalDeployment, ipc.CreateLocalDeploymentRequest{RootComponentVersionsToAdd: map[string]string{"C": "1.0.0"}},
			`{"rootComponentVersionsToAdd":{"C":"1.0.0"}}`, `{"deploymentId":"d"}`, ipc.CreateLocalDeploymentResponse{DeploymentID: "d"}),
		unary((*ipc.Client).CreateLocalDeployment, ipc.CreateLocalDeploymentRequest{
			GroupName: "g", RootComponentVersionsToAdd: map[string]string{"C": "1.0.0"}, RootComponentsToRemove: []string{"D"},
			ComponentToConfiguration: map[string]ipc.Document{"C": ipc.Document(`{"MERGE":{"a":1},"RESET":["/b"]}`)},
			ComponentToRunWithInfo: map[string]ipc.RunWithInfo{"C": {PosixUser: "u:g", WindowsUser: "w",
				SystemResourceLimits: &ipc.SystemResourceLimits{Memory: 1024, CPUs: 0.5}}},
			RecipeDirectoryPath: "/r", ArtifactsDirectoryPath: "/a", FailureHandlingPolicy: ipc.OnFailureDoNothing,
		}, `{"groupName":"g","rootComponentVersionsToAdd":{"C":"1.0.0"},"rootComponentsToRemove":["D"],`+
			`"componentToConfiguration":{"C":{"MERGE":{"a":1},"RESET":["/b"]}},`+
			`"componentToRunWithInfo":{"C":{"posixUser":"u:g","windowsUser":"w","systemResourceLimits":{"memory":1024,"cpus":0.5}}},`+
			`"recipeDirectoryPath":"/r","artifactsDirectoryPath":"/a","failureHandlingPolicy":"DO_NOTHING"}`,
			`{"deploymentId":"d"}`, ipc.CreateLocalDeploymentResponse{DeploymentID: "d"}),
		unary((*ipc.Client).CancelLocalDeployment, ipc.CancelLocalDeploymentRequest{}, `{}`, `{}`, ipc.CancelLocalDeploymentResponse{}),
		unary((*ipc.Client).CancelLocalDeployment, ipc.CancelLocalDeploymentRequest{DeploymentID: "d"}, `{"deploymentId":"d"}`, `{"message":"m"}`,
			ipc.CancelLocalDeploymentResponse{Message: "m"}),
		unary((*ipc.Client).GetLocalDeploymentStatus, ipc.GetLocalDeploymentStatusRequest{DeploymentID: "d"}, `{"deploymentId":"d"}`,
			`{"deployment":{"deploymentId":"d","status":"IN_PROGRESS"}}`,
			ipc.GetLocalDeploymentStatusResponse{Deployment: ipc.LocalDeployment{DeploymentID: "d", Status: ipc.DeploymentInProgress}}),
		unary((*ipc.Client).GetLocalDeploymentStatus, ipc.GetLocalDeploymentStatusRequest{DeploymentID: "d"}, `{"deploymentId":"d"}`,
			`{"deployment":{"deploymentId":"d","status":"FAILED","createdOn":"11/23/2026 10:00:00","deploymentStatusDetails":`+
				`{"detailedDeploymentStatus":"FAILED_ROLLBACK_COMPLETE","deploymentErrorStack":["A","B"],"deploymentErrorTypes":["T"],"deploymentFailureCause":"c"}}}`,
			ipc.GetLocalDeploymentStatusResponse{Deployment: ipc.LocalDeployment{
				DeploymentID: "d", Status: ipc.DeploymentFailed, CreatedOn: "11/23/2026 10:00:00",
				DeploymentStatusDetails: &ipc.DeploymentStatusDetails{DetailedDeploymentStatus: ipc.DetailFailedRollbackComplete,
					DeploymentErrorStack: []string{"A", "B"}, DeploymentErrorTypes: []string{"T"}, DeploymentFailureCause: "c"},
			}}),
		unary((*ipc.Client).ListLocalDeployments, ipc.ListLocalDeploymentsRequest{}, `{}`,
			`{"localDeployments":[{"deploymentId":"d","status":"QUEUED"}]}`,
			ipc.ListLocalDeploymentsResponse{LocalDeployments: []ipc.LocalDeployment{{DeploymentID: "d", Status: ipc.DeploymentQueued}}}),
	}
}
