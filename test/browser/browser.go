// Package browser opens pages in headless Chromium for tests, by its DevTools protocol over a pipe.
package browser

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

const patience = time.Minute // of an answer; a busy machine starts Chromium slowly

// Page is a page that Chromium shows.
type Page struct {
	t        testing.TB
	in       io.Writer
	messages chan message
	session  string
	last     int

	Complaints []string // of the console and of scripts
	Requests   []string // addresses that the page asked for
}

type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct{ Message string }
}

// Open shows a page, or skips the test where there is no Chromium. The test's cleanup ends it.
func Open(t testing.TB, address string) *Page {
	t.Helper()
	program := need.Tool(t, "chromium", "Debian: apt-get install chromium")
	childIn, in, err := os.Pipe()
	must.OK(t, err)
	out, childOut, err := os.Pipe()
	must.OK(t, err)
	cmd := exec.CommandContext(t.Context(), program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--window-size=1100,900", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{childIn, childOut} // 3 and 4, where Chromium looks for them
	must.OK(t, cmd.Start())
	must.OK(t, childIn.Close())
	must.OK(t, childOut.Close())
	p := &Page{t: t, in: in, messages: make(chan message, 1024)}
	ended := make(chan struct{})
	go func() { // ends when Chromium does
		defer close(ended)
		defer close(p.messages)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes(0)
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) == nil {
				p.messages <- m
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // which ends Chromium
		_ = cmd.Process.Kill()
		go func() { // so that the reader comes to its end
			for range p.messages {
			}
		}()
		<-ended
		_ = cmd.Wait() // it was killed
		_ = out.Close()
	})
	p.open(address)
	return p
}

func (p *Page) open(address string) {
	p.t.Helper()
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	p.session = session.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log"} {
		p.call(domain+".enable", map[string]any{}, nil)
	}
	p.call("Page.navigate", map[string]any{"url": address}, nil)
	for loaded := ""; loaded != "complete"; {
		p.Evaluate("new Promise(done => setTimeout(() => done(location.href === 'about:blank' ? '' : document.readyState), 20))", &loaded)
	}
}

// Evaluate runs JavaScript, and waits for what it promises.
func (p *Page) Evaluate(script string, into any) {
	p.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	p.call("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", script, answer.ExceptionDetails.Text)
	}
	must.OK(p.t, json.Unmarshal(answer.Result.Value, into))
}

// Picture is what an element looks like. The selector is one of CSS.
func (p *Page) Picture(selector string) image.Image {
	p.t.Helper()
	var box struct{ X, Y, Width, Height float64 }
	p.Evaluate(fmt.Sprintf("(() => { const b = document.querySelector(%q).getBoundingClientRect();"+
		" return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height} })()", selector), &box)
	var shot struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true,
		"clip": map[string]any{"x": box.X, "y": box.Y, "width": box.Width, "height": box.Height, "scale": 1}}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	must.OK(p.t, err)
	picture, err := png.Decode(bytes.NewReader(data))
	must.OK(p.t, err)
	return picture
}

// call asks for something, and takes what happens until the answer.
func (p *Page) call(method string, params, into any) {
	p.t.Helper()
	p.last++
	request := map[string]any{"id": p.last, "method": method, "params": params}
	if p.session != "" {
		request["sessionId"] = p.session
	}
	text, err := json.Marshal(request)
	must.OK(p.t, err)
	_, err = p.in.Write(append(text, 0))
	must.OK(p.t, err)
	deadline := time.After(patience)
	for {
		select {
		case m, ok := <-p.messages:
			switch {
			case !ok:
				p.t.Fatalf("%s: Chromium ended", method)
			case m.ID == p.last && m.Error != nil:
				p.t.Fatalf("%s: %s", method, m.Error.Message)
			case m.ID == p.last:
				if into != nil {
					must.OK(p.t, json.Unmarshal(m.Result, into))
				}
				return
			}
			p.happened(m)
		case <-deadline:
			p.t.Fatalf("%s: no answer from Chromium", method)
		}
	}
}

func (p *Page) happened(m message) {
	switch m.Method {
	case "Network.requestWillBeSent":
		var event struct{ Request struct{ URL string } }
		if json.Unmarshal(m.Params, &event) == nil {
			p.Requests = append(p.Requests, event.Request.URL)
		}
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
		p.Complaints = append(p.Complaints, string(m.Params))
	}
}

// Colors counts the colors of a picture: one of what is blank.
func Colors(picture image.Image) int {
	seen := map[[4]uint32]bool{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			r, g, b, a := picture.At(x, y).RGBA()
			seen[[4]uint32{r, g, b, a}] = true
		}
	}
	return len(seen)
}
