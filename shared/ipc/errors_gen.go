// Code generated from model/greengrass.yaml; DO NOT EDIT.

package ipc

import "encoding/json"

// UnauthorizedError means that the component's accessControl does not grant the operation on the resource.
type UnauthorizedError struct {
	OperationError
}

// ResourceNotFoundError means that what the request names does not exist: a configuration key, a component, a secret, a
// shadow.
type ResourceNotFoundError struct {
	OperationError
	// Such as Component; empty on nucleus lite.
	ResourceType string `json:"resourceType,omitempty"`
	// Its name; empty on nucleus lite.
	ResourceName string `json:"resourceName,omitempty"`
}

// InvalidArgumentsError means that the nucleus does not accept a value of the request.
type InvalidArgumentsError struct {
	OperationError
}

// ServiceError means that the nucleus failed: for lack of a connection, of a component, or by an error of its own.
type ServiceError struct {
	OperationError
	// What else the nucleus tells; mostly absent.
	Context Document `json:"context,omitempty"`
}

// ConflictError means that the shadow, or the configuration, has another version than the request names.
type ConflictError struct {
	OperationError
}

// FailedUpdateConditionCheckError means that the configuration has a younger value than the request.
type FailedUpdateConditionCheckError struct {
	OperationError
}

// ComponentNotFoundError means that there is no such component. The nuclei send ResourceNotFoundError instead.
type ComponentNotFoundError struct {
	OperationError
}

// InvalidRecipeDirectoryPathError means that the nucleus cannot use the folder of recipes.
type InvalidRecipeDirectoryPathError struct {
	OperationError
}

// InvalidArtifactsDirectoryPathError means that the nucleus cannot use the folder of artifacts.
type InvalidArtifactsDirectoryPathError struct {
	OperationError
}

// InvalidTokenError means that the token to validate has no valid form.
type InvalidTokenError struct {
	OperationError
}

// InvalidCredentialError means that the client device's credential is not accepted.
type InvalidCredentialError struct {
	OperationError
}

// InvalidClientDeviceAuthTokenError means that the client device's session does not exist or has ended.
type InvalidClientDeviceAuthTokenError struct {
	OperationError
}

// typedError gives an error the type that its code names. Members that cannot be decoded stay empty.
func typedError(base OperationError, payload []byte) error {
	switch base.Code {
	case "UnauthorizedError":
		return &UnauthorizedError{base}
	case "ResourceNotFoundError":
		e := &ResourceNotFoundError{OperationError: base}
		_ = json.Unmarshal(payload, e)
		return e
	case "InvalidArgumentsError":
		return &InvalidArgumentsError{base}
	case "ServiceError":
		e := &ServiceError{OperationError: base}
		_ = json.Unmarshal(payload, e)
		return e
	case "ConflictError":
		return &ConflictError{base}
	case "FailedUpdateConditionCheckError":
		return &FailedUpdateConditionCheckError{base}
	case "ComponentNotFoundError":
		return &ComponentNotFoundError{base}
	case "InvalidRecipeDirectoryPathError":
		return &InvalidRecipeDirectoryPathError{base}
	case "InvalidArtifactsDirectoryPathError":
		return &InvalidArtifactsDirectoryPathError{base}
	case "InvalidTokenError":
		return &InvalidTokenError{base}
	case "InvalidCredentialError":
		return &InvalidCredentialError{base}
	case "InvalidClientDeviceAuthTokenError":
		return &InvalidClientDeviceAuthTokenError{base}
	default:
		return &base
	}
}
