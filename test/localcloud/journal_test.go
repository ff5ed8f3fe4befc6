package localcloud

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/test/must"
)

func TestRecordIDs(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("{\"id\":\"a\"}\n{\"id\":\"b\"}\n")); err != nil {
		t.Fatal(err)
	}
	must.OK(t, z.Close())
	for _, tc := range []struct {
		name, payload string
		want          []string
	}{
		{"object", `{"v":1,"id":"a","contributors":[{"id":"no"}]}`, []string{"a"}},
		{"alert's id", `{"alertId":"a"}`, []string{"a"}},
		{"array", `[{"id":"a"},{"id":"b"},{"other":1},3]`, []string{"a", "b"}},
		{"batch", `{"v":1,"records":[{"id":"a"},{"id":"b"}]}`, []string{"a", "b"}},
		{"lines", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n", []string{"a", "a"}},
		{"cut lines", "{\"id\":\"a\"}\n{\"id\":", []string{"a"}},
		{"packed", packed.String(), []string{"a", "b"}},
		{"not really packed", "\x1f\x8b", nil},
		{"number", `{"id":5}`, nil},
		{"empty id", `{"id":""}`, nil},
		{"text", "fault", nil},
		{"nothing", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := recordIDs([]byte(tc.payload)); !slices.Equal(got, tc.want) {
				t.Errorf("ids %q, want %q", got, tc.want)
			}
		})
	}
}

func TestJournalFile(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	for range 2 { // it is continued
		c := startCloud(t, Options{Dir: filepath.Dir(path)})
		c.journal.now = func() time.Time { return at }
		d := deviceClients(t, c)
		if _, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a"), Payload: []byte(`{"id":"r-1"}`)}); err != nil {
			t.Fatal(err)
		}
		copied := c.Journal()
		copied[0].Kind = "changed"
		if c.Journal().Count(KindIoT) != 1 {
			t.Error("a copy is the journal itself")
		}
		must.OK(t, c.Close(testContext(t)))
	}
	text := must.Read(t, path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	const want = `{"kind":"iot","ids":["r-1"],"name":"a","size":12,"time":"2026-03-01T12:00:00Z"}`
	if !slices.Equal(lines, []string{want, want}) || !json.Valid([]byte(lines[0])) {
		t.Errorf("lines %q", lines)
	}
}

func TestWait(t *testing.T) {
	c := startCloud(t, Options{})
	if err := c.Wait(testContext(t), func(j Journal) bool { return len(j) == 0 }); err != nil {
		t.Errorf("condition that is met: %v", err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	calls := 0
	err := c.Wait(ctx, func(Journal) bool { calls++; cancel(); return false })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
