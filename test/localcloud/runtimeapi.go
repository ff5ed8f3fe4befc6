package localcloud

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	runtimeAPI = "/2018-06-01/runtime/"
	// maxResponse bounds a function's answer, as Lambda does.
	maxResponse = 6 << 20
)

// runtimeHandler is the Lambda Runtime API, which the bootstrap calls.
func (f *function) runtimeHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimeAPI+"invocation/next", f.serveNext)
	mux.HandleFunc("POST "+runtimeAPI+"invocation/{id}/response", f.serveResponse)
	mux.HandleFunc("POST "+runtimeAPI+"invocation/{id}/error", f.serveError)
	mux.HandleFunc("POST "+runtimeAPI+"init/error", f.serveInitError)
	return mux
}

// serveNext waits for an invocation and hands it over.
func (f *function) serveNext(w http.ResponseWriter, r *http.Request) {
	p := f.process()
	if p == nil {
		failRuntime(w, http.StatusForbidden, "InvalidState", "the function was not started")
		return
	}
	var inv *invocation
	select {
	case inv = <-p.pending:
	case <-r.Context().Done():
		return
	}
	p.mu.Lock()
	p.current = inv
	p.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", f.arn)
	trace := strings.ReplaceAll(inv.id, "-", "")
	h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%s-%s;Sampled=0", trace[:8], trace[8:]))
	w.Write(inv.event) //nolint:errcheck // when the process has died, its exit fails the invocation
}

func (f *function) serveResponse(w http.ResponseWriter, r *http.Request) {
	f.complete(w, r, func(inv *invocation, body []byte) error {
		inv.response = body
		return nil
	})
}

func (f *function) serveError(w http.ResponseWriter, r *http.Request) {
	f.complete(w, r, func(_ *invocation, body []byte) error { return decodeError(body) })
}

// complete ends the current invocation with what result makes of the body.
func (f *function) complete(w http.ResponseWriter, r *http.Request, result func(*invocation, []byte) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	if err != nil {
		failRuntime(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the response cannot be read: "+err.Error())
		return
	}
	inv := f.process().take(r.PathValue("id"))
	if inv == nil {
		failRuntime(w, http.StatusBadRequest, "InvalidRequestID", "there is no such invocation")
		return
	}
	inv.done <- result(inv, body)
	respondJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// take returns the invocation that the process has, if it is the one of that id: it can be completed once.
func (p *run) take(id string) *invocation {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	inv := p.current
	if inv == nil || inv.id != id {
		return nil
	}
	p.current = nil
	return inv
}

func (f *function) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	p := f.process()
	if err != nil || p == nil {
		failRuntime(w, http.StatusForbidden, "InvalidState", "the error cannot be taken")
		return
	}
	p.mu.Lock()
	p.initError = decodeError(body)
	p.mu.Unlock()
	respondJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func decodeError(body []byte) error {
	e := &functionError{}
	if json.Unmarshal(body, e) != nil || e.Type == "" {
		e.Type, e.Message = "Unknown", string(body)
	}
	return e
}

func failRuntime(w http.ResponseWriter, status int, code, message string) {
	respondJSON(w, status, functionError{Message: message, Type: code})
}
