package localcloud

import (
	"encoding/json"
	"net/http"
)

const maxSecretRequest = 1 << 20

// secretStore is Secrets Manager, of which it has GetSecretValue by a secret's name.
type secretStore struct{ secrets map[string]string }

func (s *secretStore) service() service {
	return service{
		name: serviceSecrets, maxBody: maxSecretRequest, serve: s.serve, fail: failJSON,
		tooLarge: refuse(http.StatusBadRequest, "InvalidRequestException", "The request is too large"),
		denials:  denialsAs("MissingAuthenticationTokenException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"),
		throttle: refuse(http.StatusBadRequest, "ThrottlingException", "Rate exceeded"),
	}
}

func (s *secretStore) serve(w http.ResponseWriter, r *http.Request, body []byte) *apiError {
	if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" {
		return refuse(http.StatusBadRequest, "UnknownOperationException", "Only GetSecretValue is served")
	}
	var in struct{ SecretId string }
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(http.StatusBadRequest, "SerializationException", err.Error())
	}
	text, ok := s.secrets[in.SecretId]
	if !ok {
		return refuse(http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	respond(w, http.StatusOK, amzJSON, mustJSON(map[string]any{"Name": in.SecretId, "SecretString": text, "VersionStages": []string{"AWSCURRENT"}}))
	return nil
}

const amzJSON = "application/x-amz-json-1.1"

// failJSON answers with an error as services with the JSON protocol do.
func failJSON(w http.ResponseWriter, e *apiError) {
	respond(w, e.status, amzJSON, mustJSON(map[string]string{"__type": e.code, "message": e.message}))
}

// mustJSON encodes what can be encoded.
func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // not possible with the types used here
		return []byte("{}")
	}
	return body
}
