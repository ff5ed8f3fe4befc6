package fetcher_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func TestACutUplinkCostsNoByteTwice(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, 8*mega)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.line.drop(3*mega, func(request) { r.cloud.SetUplink(false) })
	r.start()
	r.next(event.ModelAvailable)
	r.next(event.ModelDownloading)
	r.state(event.StateDegraded, "")
	r.line.mend()
	r.cloud.SetUplink(true)
	r.next(event.ModelDelivered)
	r.take(envelope, archive)
	h := r.state(event.StateOK, "")
	if h.Counters[fetcher.CounterBytes] != 8*mega || h.Counters[fetcher.CounterRestarted] > 0 {
		t.Errorf("counters %v", h.Counters)
	}
	for i, q := range r.line.asked(inbox.ArchiveFile) {
		if i > 0 && (q.rng != "bytes=3145728-" || q.ifMatch == "" || q.version == "") {
			t.Errorf("request %d was %+v", i, q)
		}
	}
}

func TestOfflineItGoesOn(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, 1000)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.cloud.SetUplink(false)
	r.start()
	h := r.state(event.StateDegraded, "")
	r.await("further tries", func(h2 event.Health) bool {
		return h2.Counters[fetcher.CounterFailed] > h.Counters[fetcher.CounterFailed]+2
	})
	r.cloud.SetUplink(true)
	r.delivered()
	r.take(envelope, archive)
	r.state(event.StateOK, "")
	must.OK(t, r.cloud.Throttle("s3", 3))
	before := r.await("health", func(event.Health) bool { return true }).Counters[fetcher.CounterFailed]
	r.command(fetchNow)
	r.await("three failures", func(h event.Health) bool {
		return h.Counters[fetcher.CounterFailed] == before+3 && h.State == event.StateOK
	})
}

// A process that is stopped goes on with every byte, one that is killed with what was on disk: the copy of its work directory
// is what it leaves.
func TestANewProcessGoesOnWithTheDownload(t *testing.T) {
	for _, how := range []string{"stopped", "killed"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			archive := noise(t, 1, 12*mega)
			envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
			held, release := make(chan struct{}, 1), make(chan struct{})
			r.line.drop(9*mega, func(request) {
				held <- struct{}{}
				<-release
			})
			r.start()
			<-held
			// The last bytes may still be on their way.
			r.await("what was sent", func(h event.Health) bool {
				return h.Counters[fetcher.CounterBytes] == 9*mega && h.State == event.StateOK && strings.HasPrefix(h.Detail, "downloading: ")
			})
			left := r.env.WorkDir
			if how == "killed" {
				left = t.TempDir()
				must.OK(t, os.CopyFS(left, os.DirFS(r.env.WorkDir)))
			}
			r.stop()
			close(release)
			r.line.mend()
			r.line.asked(inbox.ArchiveFile)
			r.env.WorkDir = left
			at := r.underWay()
			if how == "stopped" && at.Bytes != 9*mega || at.Bytes < 5*mega || at.Total != 12*mega {
				t.Errorf("on disk are %+v", at)
			}
			r.next(event.ModelAvailable)
			r.next(event.ModelDownloading)
			r.start()
			r.delivered()
			r.take(envelope, archive)
			asked := r.line.asked(inbox.ArchiveFile)
			if len(asked) != 1 || asked[0].rng != fmt.Sprintf("bytes=%d-", at.Bytes) || asked[0].ifMatch == "" {
				t.Errorf("requests %+v, %d bytes were on disk", asked, at.Bytes)
			}
			h := r.state(event.StateOK, "")
			if h.Counters[fetcher.CounterBytes] != uint64(12*mega-at.Bytes) || h.Counters[fetcher.CounterResumed] != 1 {
				t.Errorf("counters %v", h.Counters)
			}
		})
	}
}

// underWay returns how far the one download under way is, on disk.
func (r *rig) underWay() download.Status {
	r.t.Helper()
	begun, err := r.inbox().Incoming()
	if err != nil || len(begun) != 1 {
		r.t.Fatalf("begun are %v, %v", begun, err)
	}
	at, err := download.ReadStatus(filepath.Join(r.inbox().Dir, "incoming", begun[0], inbox.ArchiveFile))
	must.OK(r.t, err)
	return at
}

// The bucket keeps versions: an archive that is replaced in the middle is still there, and is what the manifest names.
func TestAnArchiveThatIsReplacedInTheMiddle(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, 4*mega)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	replaced := false
	r.line.drop(mega, func(request) {
		if !replaced {
			replaced = true
			r.put("1.0.0/"+inbox.ArchiveFile, noise(t, 2, 4*mega))
		}
	})
	r.start()
	r.delivered()
	r.take(envelope, archive)
}

// A manifest that is replaced in the middle: what was begun is given up, and nothing of it stays.
func TestAManifestThatIsReplacedInTheMiddle(t *testing.T) {
	r := newRig(t)
	archive, next := noise(t, 1, 4*mega), noise(t, 2, 4*mega)
	r.publish(manifest("1.0.0", archive), archive, r.key)
	r.line.drop(mega, func(request) { r.cloud.SetUplink(false) })
	r.start()
	r.next(event.ModelAvailable)
	r.next(event.ModelDownloading)
	r.state(event.StateDegraded, "")
	envelope := r.publish(manifest("1.1.0", next), next, r.key)
	r.line.mend()
	r.cloud.SetUplink(true)
	if e := r.delivered(); e.Version != "1.1.0" {
		t.Errorf("event %+v", e)
	}
	r.take(envelope, next)
}

// 50 MB over a line that drops every 3 MB, and every 2 seconds.
func TestALargeModelOverABadLine(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	archive := noise(t, 1, 50*mega)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	address := badLine(t, strings.TrimPrefix(r.line.url(), "http://"), 3*mega, 2*time.Second)
	r.configure(map[string]any{"endpoints": map[string]any{"s3": "http://" + address}})
	r.start()
	r.delivered()
	r.take(envelope, archive)
	h := r.state(event.StateOK, "")
	if h.Counters[fetcher.CounterBytes] != 50*mega {
		t.Errorf("counters %v", h.Counters)
	}
	asked := r.line.asked(inbox.ArchiveFile)
	if len(asked) < 16 {
		t.Errorf("%d requests", len(asked))
	}
	for _, q := range asked[1:] {
		if q.rng == "" || q.ifMatch == "" {
			t.Errorf("request %+v", q)
		}
	}
}

// The page of a guest network, for people, is neither a model that is refused nor word that there is none, also where the
// page has an ETag: the fetcher waits for S3's own answer.
func TestAPageIsNoAnswerOfS3(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusForbidden} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			r := newRig(t)
			archive := noise(t, 1, 1000)
			envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
			portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"page"`)
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "<html>Please log in</html>")
			}))
			t.Cleanup(portal.Close)
			r.line.to(portal.URL)
			r.start()
			h := r.state(event.StateDegraded, "not the service's own answer")
			if h.Counters[fetcher.CounterRefused] > 0 || h.Conditions[0].Code != event.CodeModelStore {
				t.Errorf("%+v", h)
			}
			r.line.to(r.cloud.Endpoints().S3)
			r.delivered() // and nothing was told of the page
			r.take(envelope, archive)
			r.state(event.StateOK, "")
		})
	}
}

// The end of a run, as by a new configuration, closes the connections that it kept.
func TestTheEndOfARunLeavesNoConnection(t *testing.T) {
	r := newRig(t)
	r.start()
	r.state(event.StateOK, "no model is published")
	r.stop()
	for r.line.open.Load() > 0 {
		select {
		case <-r.line.idle:
		case <-time.After(patience):
			t.Fatalf("%d connections are open", r.line.open.Load())
		}
	}
}
