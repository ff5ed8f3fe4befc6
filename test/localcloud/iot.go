package localcloud

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxIoTPayload = 128 << 10
	maxTopic      = 256
	maxSlashes    = 7
)

// iotData is IoT Core's data plane, of which it has Publish. Retained messages and MQTT 5 properties are not passed on.
type iotData struct {
	kind    Kind
	publish func(topic string, payload []byte) error
	journal *recorder
	log     *slog.Logger
}

func (d *iotData) service() service {
	const forbidden = "ForbiddenException"
	return service{
		name: serviceIoT, maxBody: maxIoTPayload, serve: d.serve, fail: failREST,
		tooLarge: refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The payload exceeds 131072 bytes"),
		denials:  denialsAs(forbidden, forbidden, forbidden, forbidden),
		throttle: refuse(http.StatusTooManyRequests, "ThrottlingException", "Rate exceeded"),
	}
}

func (d *iotData) serve(w http.ResponseWriter, r *http.Request, payload []byte) *apiError {
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), "/topics/")
	if !ok {
		return refuse(http.StatusNotFound, "ResourceNotFoundException", "Only /topics/{topic} is served")
	}
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "MethodNotAllowedException", "Only POST is served")
	}
	topic, err := url.PathUnescape(escaped)
	if err == nil && !validTopic(topic) {
		err = &apiError{message: "invalid topic"}
	}
	if qos := r.URL.Query().Get("qos"); err != nil || (qos != "" && qos != "0" && qos != "1") {
		return refuse(http.StatusBadRequest, "InvalidRequestException", "The topic or the QoS is invalid")
	}
	if d.publish != nil {
		if err := d.publish(topic, payload); err != nil {
			d.log.Error("publish to the broker", "topic", topic, "err", err)
			return refuse(http.StatusInternalServerError, "InternalFailureException", "Internal failure")
		}
	}
	d.journal.add(d.kind, topic, payload)
	respondJSON(w, http.StatusOK, struct {
		Message string `json:"message"`
		TraceID string `json:"traceId"`
	}{"OK", newID()})
	return nil
}

func validTopic(topic string) bool {
	effective := topic
	if rest, ok := strings.CutPrefix(topic, "$aws/rules/"); ok { // Basic Ingest: the rule does not count
		_, effective, _ = strings.Cut(rest, "/")
	}
	return effective != "" && len(effective) <= maxTopic && !strings.ContainsAny(topic, "+#\x00") &&
		(strings.HasPrefix(effective, "$") || strings.Count(effective, "/") <= maxSlashes)
}
