package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/browser"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The tests that use this package see blank pictures, complaints and requests, or they would prove nothing.
func TestSeesWhatIsWrong(t *testing.T) {
	need.Long(t)
	path := filepath.Join(t.TempDir(), "page.html")
	must.OK(t, os.WriteFile(path, []byte(`<!DOCTYPE html><link rel="icon" href="data:,"><img src="http://127.0.0.1:9/x.png"><script>console.error("oh"); nothing.here</script>
<div id="blank" style="width:50px;height:50px"></div><div id="full" style="width:50px;height:50px;background:linear-gradient(red, blue)"></div>`), 0o600))
	page := browser.Open(t, "file://"+path)
	var title string
	page.Evaluate("document.compatMode", &title)
	if title != "CSS1Compat" {
		t.Errorf("it evaluates to %q", title)
	}
	if n := browser.Colors(page.Picture("#blank")); n != 1 {
		t.Errorf("%d colors of nothing", n)
	}
	if n := browser.Colors(page.Picture("#full")); n < 20 {
		t.Errorf("%d colors", n)
	}
	if all := strings.Join(page.Complaints(), "\n"); !strings.Contains(all, "oh") || !strings.Contains(all, "nothing is not defined") {
		t.Errorf("complaints %q", all)
	}
	if all := strings.Join(page.Requests(), "\n"); !strings.Contains(all, "http://127.0.0.1:9/x.png") {
		t.Errorf("requests %q", all)
	}
}
