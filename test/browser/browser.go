// Package browser opens pages in headless Chromium for tests.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

const patience = time.Minute // of an answer; a busy machine starts Chromium slowly

// View is how a page is looked at. The zero value is a desk's screen in daylight.
type View struct {
	Width, Height int64 // pixels; default 1100 by 900
	Dark          bool
	Calm          bool // the person prefers reduced motion
	Insecure      bool // certificates are not checked
	Languages     string
}

// Page is a page that Chromium shows.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// Open shows a page, or skips the test where there is no Chromium. The test's cleanup ends it.
func Open(t testing.TB, address string) *Page {
	t.Helper()
	return OpenAs(t, address, View{})
}

// OpenAs shows a page as somebody looks at it.
func OpenAs(t testing.TB, address string, v View) *Page {
	t.Helper()
	program := need.Tool(t, "chromium", "Debian: apt-get install chromium")
	profile, err := os.MkdirTemp("", "chromium") // which Chromium still writes to for a moment when it was ended
	must.OK(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.ExecPath(program), chromedp.UserDataDir(profile),
		chromedp.WSURLReadTimeout(patience), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("ignore-certificate-errors", v.Insecure))
	if v.Languages != "" {
		options = append(options, chromedp.Flag("accept-lang", v.Languages))
	}
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, closePage := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // of events that it does not know
	t.Cleanup(closePage)
	p := &Page{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, p.happened)
	if v.Width == 0 {
		v.Width, v.Height = 1100, 900
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}
	if v.Dark {
		features[0].Value = "dark"
	}
	if v.Calm {
		features = append(features, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
	}
	// The first run starts Chromium, and must not be the one that ends with a time limit.
	must.OK(t, chromedp.Run(ctx, log.Enable(), network.Enable(), runtime.Enable()))
	p.run(emulation.SetDeviceMetricsOverride(v.Width, v.Height, 1, false), emulation.SetEmulatedMedia().WithFeatures(features), chromedp.Navigate(address))
	return p
}

func (p *Page) run(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	must.OK(p.t, chromedp.Run(ctx, actions...))
}

// Evaluate runs JavaScript, and waits for what it promises. into may be nil.
func (p *Page) Evaluate(script string, into any) {
	p.t.Helper()
	var value json.RawMessage
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.Evaluate("(async () => JSON.stringify(await ("+script+") ?? null))()", &value, func(q *runtime.EvaluateParams) *runtime.EvaluateParams {
		return q.WithAwaitPromise(true)
	}))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	if into == nil {
		return
	}
	var text string
	must.OK(p.t, json.Unmarshal(value, &text))
	must.OK(p.t, json.Unmarshal([]byte(text), into))
}

// Until waits until a JavaScript expression is true.
func (p *Page) Until(what, expression string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var is bool
		p.Evaluate("new Promise(done => setTimeout(() => done(Boolean("+expression+")), 20))", &is)
		if is {
			return
		}
		if time.Now().After(deadline) {
			var text string
			p.Evaluate("document.body.innerText", &text)
			p.t.Fatalf("%s: does not come to be; the page says\n%s", what, text)
		}
	}
}

// Click clicks an element as a mouse does. The selector is one of CSS.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.run(chromedp.ScrollIntoView(selector, chromedp.ByQuery), chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// Type types a text, or keys such as kb.Enter, into an element.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.run(chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// Press presses keys, such as kb.Tab, wherever the focus is.
func (p *Page) Press(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys))
}

// Picture is what an element looks like. The selector is one of CSS.
func (p *Page) Picture(selector string) image.Image {
	p.t.Helper()
	var box struct{ X, Y, Width, Height float64 }
	p.Evaluate(fmt.Sprintf("(() => { const b = document.querySelector(%q).getBoundingClientRect();"+
		" return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height} })()", selector), &box)
	var data []byte
	p.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		data, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).
			WithClip(&page.Viewport{X: box.X, Y: box.Y, Width: box.Width, Height: box.Height, Scale: 1}).Do(ctx)
		return err
	}))
	picture, err := png.Decode(bytes.NewReader(data))
	must.OK(p.t, err)
	return picture
}

// Screenshot is the whole page as a PNG.
func (p *Page) Screenshot() (data []byte) {
	p.t.Helper()
	p.run(chromedp.FullScreenshot(&data, 100))
	return data
}

// Complaints are those of the console, and of scripts.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.complaints)
}

// Requests are the addresses that the page asked for.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

func (p *Page) happened(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.complaints = append(p.complaints, text)
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			p.complaints = append(p.complaints, string(a.Value))
		}
	case *log.EventEntryAdded:
		p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
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
