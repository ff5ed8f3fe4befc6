package localcloud

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
)

// apiError is a service's answer to a request that it refuses.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func refuse(status int, code, message string) *apiError { return &apiError{status, code, message} }

// respondJSON answers as services with the REST-JSON protocol do.
func respondJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // not possible with the types used here
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	respond(w, status, "application/json", body)
}

func respondXML(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil { // not possible with the types used here
		status, body = http.StatusInternalServerError, nil
	}
	respond(w, status, "text/xml", append([]byte(xml.Header), body...))
}

func respond(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the gatekeeper counts clients that have gone away
}

// failREST answers with an error of IoT's data plane and of Polly.
func failREST(w http.ResponseWriter, e *apiError) {
	w.Header().Set("X-Amzn-ErrorType", e.code)
	respondJSON(w, e.status, struct {
		Message string `json:"message"`
		TraceID string `json:"traceId"`
	}{e.message, newID()})
}

// failQuery answers with an error of SNS.
func failQuery(w http.ResponseWriter, e *apiError) {
	type detail struct {
		Type, Code, Message string
	}
	who := "Sender"
	if e.status >= http.StatusInternalServerError {
		who = "Receiver"
	}
	respondXML(w, e.status, struct {
		XMLName   xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ ErrorResponse"`
		Error     detail
		RequestID string `xml:"RequestId"`
	}{Error: detail{who, e.code, e.message}, RequestID: newID()})
}

// failS3 answers with an error of S3.
func failS3(w http.ResponseWriter, e *apiError) {
	respondXML(w, e.status, struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, RequestID: newID()})
}
