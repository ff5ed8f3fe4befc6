package fetcher_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// line lies between the fetcher and S3. It notes the requests, and can drop or hold an answer in its middle.
type line struct {
	server *httptest.Server
	open   atomic.Int64  // connections
	idle   chan struct{} // gets one when the last is closed

	mu       sync.Mutex
	target   *url.URL
	requests []request
	limit    func(q request) int64 // bytes of an answer before it is dropped; -1 = all
	hold     func(q request)       // called when the limit is reached, before the line drops
	spoil    func(q request, r *http.Response)
}

// request is one that came over the line.
type request struct {
	name    string // the key without the prefix's folders, such as model.tar.gz
	rng     string
	ifMatch string
	ifNone  string
	version string
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	l := &line{idle: make(chan struct{}, 1)}
	l.to(target)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			l.mu.Lock()
			defer l.mu.Unlock()
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = l.target.Scheme, l.target.Host, p.In.Host // the host is signed
		},
		ModifyResponse: func(r *http.Response) error {
			q := requestOf(r.Request)
			l.mu.Lock()
			limit, hold, spoil := l.limit, l.hold, l.spoil
			l.mu.Unlock()
			if spoil != nil && r.StatusCode < http.StatusMultipleChoices {
				spoil(q, r)
			}
			if limit == nil || r.StatusCode >= http.StatusMultipleChoices {
				return nil
			}
			if n := limit(q); n >= 0 {
				r.Body = &dropping{ReadCloser: r.Body, left: n, hold: func() {
					if hold != nil {
						hold(q)
					}
				}}
			}
			return nil
		},
		FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // every drop would be one
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // as if it were no proxy
	}
	l.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.requests = append(l.requests, requestOf(r))
		l.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	l.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			l.open.Add(1)
		case http.StateClosed:
			if l.open.Add(-1) == 0 {
				select {
				case l.idle <- struct{}{}:
				default:
				}
			}
		}
	}
	l.server.Start()
	t.Cleanup(func() {
		l.server.CloseClientConnections()
		l.server.Close()
	})
	return l
}

func requestOf(r *http.Request) request {
	h := r.Header
	return request{path.Base(r.URL.Path), h.Get("Range"), h.Get("If-Match"), h.Get("If-None-Match"), r.URL.Query().Get("versionId")}
}

func (l *line) url() string { return l.server.URL }

// to says where the line leads.
func (l *line) to(target string) {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = u
}

// drop drops archives after n bytes of each answer, and calls hold before.
func (l *line) drop(n int64, hold func(request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = hold
	l.limit = func(q request) int64 {
		if q.name != "model.tar.gz" {
			return -1
		}
		return n
	}
}

// mend lets everything through.
func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.hold = nil, nil
}

// asked returns the requests for an object, and forgets them.
func (l *line) asked(name string) []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found, others []request
	for _, q := range l.requests {
		if q.name == name {
			found = append(found, q)
		} else {
			others = append(others, q)
		}
	}
	l.requests = others
	return found
}

var errLine = errors.New("the line drops")

// dropping is a body that ends early.
type dropping struct {
	io.ReadCloser
	left int64
	hold func()
}

func (d *dropping) Read(p []byte) (int, error) {
	if d.left <= 0 {
		d.hold()
		return 0, errLine
	}
	n, err := d.ReadCloser.Read(p[:min(int64(len(p)), d.left)])
	d.left -= int64(n)
	return n, err
}

// badLine passes TCP on to an address, and cuts every connection after some bytes or some time.
func badLine(t *testing.T, target string, bytes int64, after time.Duration) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	working.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			working.Go(func() { pass(in, target, bytes, after) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		working.Wait()
	})
	return listener.Addr().String()
}

func pass(in net.Conn, target string, bytes int64, after time.Duration) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	deadline := time.Now().Add(after)
	_, _ = in.SetDeadline(deadline), out.SetDeadline(deadline)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, in)
	}()
	_, _ = io.CopyN(in, out, bytes)
	_ = in.(*net.TCPConn).SetLinger(0) // a reset, as a line that drops gives
	_ = in.Close()
	_ = out.Close()
	<-done
}
