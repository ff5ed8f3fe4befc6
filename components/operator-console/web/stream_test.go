package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"edgepdm/components/operator-console/picture"
	"edgepdm/test/must"
)

// reader is a page that reads its stream.
type reader struct {
	t    *testing.T
	news *bufio.Reader
}

// follow opens the stream of a page that has had the event with the id last.
func (p *plant) follow(id string) *reader {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"api/stream", nil)
	must.OK(p.t, err)
	req.Header.Set("Last-Event-ID", id)
	resp, err := http.DefaultClient.Do(req)
	must.OK(p.t, err)
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return &reader{p.t, bufio.NewReader(resp.Body)}
}

// next returns the next news and its id.
func (r *reader) next() (d picture.Delta, id string) {
	r.t.Helper()
	for {
		line, err := r.news.ReadString('\n')
		must.OK(r.t, err)
		if text, is := strings.CutPrefix(line, "id: "); is {
			id = strings.TrimSpace(text)
		}
		if text, is := strings.CutPrefix(line, "data: "); is {
			must.OK(r.t, json.Unmarshal([]byte(text), &d))
			return d, id
		}
	}
}

// A page that lost its connection gets what has changed since; where the component was started again meanwhile, all.
func TestAPageGoesOnWhereItWas(t *testing.T) {
	p := newPlant(t)
	p.machine("press-1", "line-1", 0.1)
	p.machine("press-2", "line-1", 0.1)
	_, id := p.follow("").next()
	p.machine("press-2", "line-1", 0.7)
	p.store.Delete(picture.Things, "press-1")
	d, next := p.follow(id).next()
	if things := d.Set[picture.Things]; d.Reset || len(things) != 1 || things["press-2"] == nil || fmt.Sprint(d.Gone[picture.Things]) != "[press-1]" || next == id {
		t.Errorf("%+v", d)
	}
	for _, unknown := range []string{"another-3", "x", "", "a-18446744073709551615", strings.Repeat("9", 100)} {
		if d, _ := p.follow(unknown).next(); !d.Reset || len(d.Set[picture.Things]) != 1 {
			t.Errorf("%q: %+v", unknown, d)
		}
	}
}

// A browser that reads nothing keeps nobody waiting: neither what tells the picture, nor another browser.
func TestAStalledBrowserKeepsNobodyWaiting(t *testing.T) {
	p := newPlant(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/"))
	must.OK(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	must.OK(t, err)
	begun, err := bufio.NewReaderSize(conn, 16).ReadString('\n') // the stream is open; from here on nothing is read
	must.OK(t, err)
	if !strings.Contains(begun, "200 OK") {
		t.Fatal(begun)
	}
	page := p.follow("")
	large := strings.Repeat("x", 64<<10)
	for round := range 6 { // of 12 MB each: more than the sockets between hold
		for i := range 200 {
			p.set(picture.Things, fmt.Sprint("m-", i), map[string]any{"p": round, "l": large})
		}
		for seen := 0; seen < 200; {
			d, _ := page.next()
			for _, record := range d.Set[picture.Things] {
				if strings.Contains(string(record), fmt.Sprintf(`"p":%d}`, round)) {
					seen++
				}
			}
		}
	}
	if n := p.server.Streams.Load(); n != 2 {
		t.Errorf("%d pages listen, want the stalled one, too", n)
	}
}
