// Package web serves the console's pages: static files, one stream of news for each page, and commands. A page that is slow, or stalled,
// keeps nobody waiting: it is sent what has changed once it takes it.
package web

import (
	"context"
	"crypto/tls"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"edgepdm/components/operator-console/metrics"
	"edgepdm/components/operator-console/picture"
)

//go:embed static
var static embed.FS

// Destination is who gets a command.
type Destination string

// The destinations.
const (
	ToAlarms Destination = "alarm"
	ToModels Destination = "model"
	ToTest   Destination = "test-alarm"
	ToFetch  Destination = "model-fetch"
	ToReplay Destination = "replay" // of dead letters, by the cloud forwarder
	ToPlant  Destination = "plant"  // of the demo: its simulated machines
	ToDemo   Destination = "demo"   // the demo itself
)

// Destinations lists them.
func Destinations() []Destination {
	return []Destination{ToAlarms, ToModels, ToTest, ToFetch, ToReplay, ToPlant, ToDemo}
}

// Command is what a page asks for.
type Command struct {
	To      Destination                `json:"to"`
	Message map[string]json.RawMessage `json:"message"` // the message as docs/commands.md has it, without v, id and by
	By      string                     `json:"by"`      // in whose name; a login's counts in its place
	Role    Role                       `json:"-"`
	From    string                     `json:"-"` // address
}

// Server serves the pages.
type Server struct {
	Store   *picture.Store
	Now     func() time.Time
	Log     *slog.Logger
	Streams *atomic.Uint64 // pages that listen now
	Command func(ctx context.Context, c Command) (text string, err error)
	Trend   func(thing string, length time.Duration) Trend
	Live    func(thing, model string) Live // the last row of a machine, for a page that knows the sensors of the model
	Metrics func(w io.Writer) error        // nil: there are none
	Sounds  string                         // of the demo: folder of sounds; empty: there is none
	Guard   Guard                          // nil: everybody is let in, as an engineer
	TLS     *tls.Certificate               // nil: none, for loopback addresses
}

const (
	tickTime     = 500 * time.Millisecond // between two events of what changes all the time
	gatherTime   = 20 * time.Millisecond  // between a change that a person waits for and its event
	pingEvery    = 15 * time.Second
	writeWithin  = 30 * time.Second // a page that takes nothing for so long is left
	maxStreams   = 64
	maxCommand   = 16 << 10 // bytes
	readWithin   = 10 * time.Second
	headerWithin = 5 * time.Second
	closeWithin  = 2 * time.Second
)

// Serve serves at an address until ctx ends.
func (s *Server) Serve(ctx context.Context, address string) error {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", address, err)
	}
	scheme := "http"
	if s.TLS != nil {
		scheme = "https"
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*s.TLS}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	s.Log.Info("the console is served", "url", scheme+"://"+listener.Addr().String()+"/")
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, MaxHeaderBytes: 16 << 10,
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended:
		return fmt.Errorf("serve pages: %w", err)
	case <-ctx.Done():
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	if server.Shutdown(within) != nil { // streams never end by themselves
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve pages: %w", err)
	}
	return nil
}

// Handler is what serves: also for tests.
func (s *Server) Handler() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil { // the folder is built in
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/session", s.session)
	mux.HandleFunc("POST /api/login", s.login)
	mux.HandleFunc("POST /api/logout", s.logout)
	mux.HandleFunc("GET /api/stream", s.known(s.stream))
	mux.HandleFunc("GET /api/trend", s.known(s.trend))
	mux.HandleFunc("GET /api/live", s.known(s.live))
	mux.HandleFunc("GET /api/trend.csv", s.known(s.trendCSV))
	mux.HandleFunc("POST /api/command", s.command)
	if s.Sounds != "" {
		mux.HandleFunc("GET /api/sound", s.known(s.sound))
	}
	if s.Metrics != nil {
		mux.HandleFunc("GET /metrics", s.metrics)
	}
	handler := http.NewCrossOriginProtection().Handler(mux)
	if s.Guard == nil {
		handler = ownHost(handler)
	}
	return secured(handler)
}

// metrics answers Prometheus, which says name and password with each request where there are logins.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.Guard != nil && !s.Guard.Scrapes(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="edgepdm"`)
		http.Error(w, "name and password of a login are needed", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	if err := s.Metrics(w); err != nil {
		s.Log.Debug("an answer was not taken", "error", err)
	}
}

// secured adds what browsers enforce: nothing but the page's own origin.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// stream sends news until the page goes. The id of an event is the version of the picture, so that a page that lost its connection goes on
// where it was.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	if s.Streams.Add(1) > maxStreams {
		s.Streams.Add(^uint64(0))
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.Streams.Add(^uint64(0))
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Time{}); err != nil { // the limit for requests would end the stream
		s.Log.Debug("a stream has a time limit", "error", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	epoch, version := parseID(r.Header.Get("Last-Event-ID"))
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	last := time.Now()
	for {
		urgent := s.Store.Urgent()
		d := s.Store.Since(epoch, version)
		var err error
		switch {
		case !d.Empty():
			err = send(w, control, d)
			epoch, version, last = d.Epoch, d.Version, time.Now()
		case time.Since(last) >= pingEvery:
			err = write(w, control, ": ping\n\n")
			last = time.Now()
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		case <-urgent:
			select { // a flood of alarms is few events
			case <-r.Context().Done():
				return
			case <-time.After(gatherTime):
			}
		}
	}
}

func send(w http.ResponseWriter, control *http.ResponseController, d picture.Delta) error {
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode news: %w", err)
	}
	return write(w, control, fmt.Sprintf("id: %s-%d\ndata: %s\n\n", d.Epoch, d.Version, data))
}

func write(w http.ResponseWriter, control *http.ResponseController, text string) error {
	err := control.SetWriteDeadline(time.Now().Add(writeWithin))
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	return errors.Join(err, control.Flush())
}

// parseID reads the id of an event.
func parseID(id string) (epoch string, version uint64) {
	epoch, text, found := strings.Cut(id, "-")
	version, err := strconv.ParseUint(text, 10, 64)
	if !found || err != nil {
		return "", 0
	}
	return epoch, version
}

// outcome is what came of a command, for the page.
type outcome struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// command gives a command.
func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	who, ok := s.who(r)
	if !ok {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	var c Command
	if !readJSON(w, r, maxCommand, &c) {
		return
	}
	if !slices.Contains(Destinations(), c.To) {
		http.Error(w, fmt.Sprintf("to: %.40q is none of %v", c.To, Destinations()), http.StatusBadRequest)
		return
	}
	if who.Role == Viewer {
		http.Error(w, "a viewer gives no commands", http.StatusForbidden)
		return
	}
	c.Role, c.By, c.From = who.Role, nameOf(who, c.By), r.RemoteAddr
	text, err := s.Command(r.Context(), c)
	a := outcome{OK: err == nil, Text: text}
	if err != nil {
		a.Text = err.Error()
	}
	s.answer(w, a)
}
