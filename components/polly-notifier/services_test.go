package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// services speaks as much of the wire protocols of Polly, S3 and the IoT data plane as the function needs, and checks
// that its requests are what the services want.
type services struct {
	t  testing.TB
	mu sync.Mutex // guards what follows

	faults    map[string][]fault // what goes wrong next, by method and first level of the path
	objects   map[string]stored  // by path
	speeches  []speech
	breaks    int // so many audio streams break off next
	published []published
}

type fault struct {
	status int
	code   string
}

type stored struct {
	header http.Header
	body   string
}

type speech struct{ Engine, OutputFormat, SampleRate, Text, TextType, VoiceId string }

type published struct{ path, query, body string }

func newServices(t testing.TB) *services {
	return &services{t: t, faults: make(map[string][]fault), objects: make(map[string]stored)}
}

// listen returns the URL of an endpoint that offers these services by their signing names.
func (s *services) listen(names ...string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := "s3"
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			name = "polly"
		case strings.HasPrefix(r.URL.Path, "/topics/"):
			name = "iotdata"
		}
		if !strings.Contains(strings.Join(names, " "), name) {
			s.t.Errorf("%s %s arrived at the endpoint of %v", r.Method, r.URL, names)
		}
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/") ||
			!strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/"+name) {
			s.t.Errorf("%s %s: Authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		s.serve(name, w, r)
	}))
	s.t.Cleanup(server.Close)
	return server.URL
}

func (s *services) serve(name string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	what := r.Method + " " + name
	if list := s.faults[what]; len(list) > 0 {
		s.faults[what] = list[1:]
		refuse(w, name, list[0])
		return
	}
	switch what {
	case "GET polly":
		voices := `{"Id":"Joanna","SupportedEngines":["neural","standard"]},{"Id":"Matthew","SupportedEngines":["neural"]}`
		if engine := r.URL.Query().Get("Engine"); engine == "generative" {
			voices = `{"Id":"Matthew","SupportedEngines":["generative"]}`
		}
		_, _ = io.WriteString(w, `{"Voices":[`+voices+`]}`)
	case "POST polly":
		var in speech
		if err := json.Unmarshal(body, &in); err != nil || r.URL.Path != "/v1/speech" {
			s.t.Errorf("%s %s: %v", r.URL, body, err)
		}
		s.speeches = append(s.speeches, in)
		audio := "ID3 " + in.Text
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header().Set("Content-Length", strconv.Itoa(len(audio)))
		if s.breaks > 0 {
			s.breaks--
			_, _ = io.WriteString(w, audio[:len(audio)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) // the connection ends in the middle of the body
		}
		_, _ = io.WriteString(w, audio)
	case "HEAD s3":
		if _, ok := s.objects[r.URL.Path]; !ok {
			refuse(w, name, fault{http.StatusNotFound, ""})
		}
	case "PUT s3":
		s.put(w, r, string(body))
	case "POST iotdata":
		s.published = append(s.published, published{r.URL.Path, r.URL.RawQuery, string(body)})
		_, _ = io.WriteString(w, `{"message":"OK","traceId":"x"}`)
	default:
		s.t.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
}

// put stores an object as S3 does, damaged ones excepted.
func (s *services) put(w http.ResponseWriter, r *http.Request, body string) {
	sum := sha256.Sum256([]byte(body))
	if got := r.Header.Get("X-Amz-Checksum-Sha256"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		s.t.Errorf("checksum %q of the body %q", got, body)
	}
	if r.Header.Get("If-None-Match") != "*" {
		s.t.Errorf("PUT %s without If-None-Match", r.URL)
	}
	if _, ok := s.objects[r.URL.Path]; ok {
		refuse(w, "s3", fault{http.StatusPreconditionFailed, "PreconditionFailed"})
		return
	}
	s.objects[r.URL.Path] = stored{r.Header, body}
}

// refuse writes an error as the service does.
func refuse(w http.ResponseWriter, service string, f fault) {
	if service == "s3" {
		w.WriteHeader(f.status)
		if f.code != "" {
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+f.code+`</Code><Message>m</Message></Error>`)
		}
		return
	}
	w.Header().Set("X-Amzn-ErrorType", f.code)
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, `{"message":"m"}`)
}

// fail makes the next requests of that kind fail.
func (s *services) fail(what string, faults ...fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[what] = append(s.faults[what], faults...)
}

// breakAudio makes the next n audio streams break off in the middle.
func (s *services) breakAudio(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks = n
}

// seen returns copies of what has arrived so far.
func (s *services) seen() (objects map[string]stored, speeches []speech, messages []published) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects = make(map[string]stored, len(s.objects))
	for path, o := range s.objects {
		objects[path] = o
	}
	return objects, append(speeches, s.speeches...), append(messages, s.published...)
}
