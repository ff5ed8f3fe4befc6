package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// runtimeAPI is what Lambda offers to the program of a function, one invocation at a time.
type runtimeAPI struct {
	server  *httptest.Server
	events  chan string
	answers chan answer
	asked   chan struct{} // has one when the program asks for its first event
}

// answer is what the program posted: kind is response, error or init/error.
type answer struct {
	kind string
	body string
}

func startRuntimeAPI(t testing.TB) *runtimeAPI {
	t.Helper()
	api := &runtimeAPI{events: make(chan string), answers: make(chan answer, 1), asked: make(chan struct{}, 1)}
	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	number := 0
	mux.HandleFunc("GET "+base+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case api.asked <- struct{}{}:
		default:
		}
		select {
		case event := <-api.events:
			number++ // the program asks for one at a time
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "request-"+strconv.Itoa(number))
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(30*time.Second).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:polly-notifier")
			_, _ = io.WriteString(w, event)
		case <-r.Context().Done():
		}
	})
	post := func(kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("runtime API: %v", err)
			}
			w.WriteHeader(http.StatusAccepted)
			api.answers <- answer{kind, string(body)}
		}
	}
	mux.HandleFunc("POST "+base+"invocation/{id}/response", post("response"))
	mux.HandleFunc("POST "+base+"invocation/{id}/error", post("error"))
	mux.HandleFunc("POST "+base+"init/error", post("init/error"))
	api.server = httptest.NewServer(mux)
	t.Cleanup(api.server.Close)
	return api
}

// address is the value of AWS_LAMBDA_RUNTIME_API.
func (api *runtimeAPI) address() string { return strings.TrimPrefix(api.server.URL, "http://") }

// started waits until the program asks for an event.
func (api *runtimeAPI) started(t testing.TB, p *process) {
	t.Helper()
	select {
	case <-api.asked:
	case <-p.done:
		t.Fatalf("the program has ended: %s", p.output())
	}
}

// invoke hands an event to the program and returns its answer.
func (api *runtimeAPI) invoke(t testing.TB, p *process, event string) answer {
	t.Helper()
	select {
	case api.events <- event:
	case <-p.done:
		t.Fatalf("the program has ended: %s", p.output())
	case <-t.Context().Done():
		t.Fatal("the program does not ask for an event")
	}
	return api.answer(t, p)
}

// answer waits for what the program posts.
func (api *runtimeAPI) answer(t testing.TB, p *process) answer {
	t.Helper()
	select {
	case a := <-api.answers:
		return a
	case <-p.done:
	case <-t.Context().Done():
	}
	select { // it may have posted, and ended
	case a := <-api.answers:
		return a
	default:
		t.Fatalf("the program has ended without an answer: %s", p.output())
		return answer{}
	}
}

// failure is the body of an error answer.
func (a answer) failure(t testing.TB) (kind, message string) {
	t.Helper()
	var body struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return body.ErrorType, body.ErrorMessage
}
