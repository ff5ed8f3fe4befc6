package forwarder_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// Why nothing gets on is told by a code, so that an alarm can say what to do: the network, the set-up, or the service.
func TestTheCauseHasACode(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*rig)
		code   event.Code
		uplink event.Uplink
		detail string
	}{
		{"no network", func(r *rig) { r.cloud.SetUplink(false) }, event.CodeDelivery, event.UplinkDown, ""},
		{"no such host", func(r *rig) {
			r.configure(map[string]any{"endpoints": map[string]any{"iotData": "http://127.0.0.1:1"}})
		}, event.CodeDelivery, event.UplinkDown, "connection refused"},
		{"no credentials", func(r *rig) { exchange(r, http.StatusOK, "null") }, event.CodeCloudAccess, event.UplinkDown, "no credentials"},
		{"no role", func(r *rig) { exchange(r, http.StatusForbidden, "Access Denied") }, event.CodeCloudAccess, event.UplinkDown, "403 Access Denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.spoil(r)
			r.start()
			r.alert("a-1")
			r.await("attempts", func(h event.Health) bool { return h.Counters["stream.alerts-iot.retried"] > 3 })
			r.ahead.Add(int64(time.Minute))
			h := r.awaitState(event.StateDegraded, "alerts-iot deliver")
			if h.Conditions[0].Code != c.code || h.Uplink != c.uplink || !strings.Contains(h.Detail, c.detail) {
				t.Errorf("%+v", h)
			}
		})
	}
}

// exchange makes the token exchange service give one answer.
func exchange(r *rig, status int, body string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	r.t.Cleanup(server.Close)
	r.vars[envURL] = server.URL
}

// Root certificates of the nucleus that cannot be read are told, and no reason to deliver nothing; those that can be are
// trusted without a word in the configuration.
func TestRootCertificatesOfTheNucleus(t *testing.T) {
	r := newRig(t)
	r.vars["GG_ROOT_CA_PATH"] = r.path("nowhere.pem")
	r.start()
	h := r.awaitState(event.StateDegraded, "root certificates: GG_ROOT_CA_PATH: open")
	if h.Conditions[0].Code != event.CodeConfiguration {
		t.Errorf("%+v", h)
	}
	r.alert("a-1")
	r.iot.await(t, "alert", has("a-1"))
	r.stop()
	r.vars["GG_ROOT_CA_PATH"] = r.cloud.Endpoints().CAFile
	r.configure(map[string]any{"endpoints": map[string]any{"caFile": ""}})
	r.start()
	r.alert("a-2")
	r.iot.await(t, "alert", has("a-2"))
	r.awaitState(event.StateOK, "")
}
