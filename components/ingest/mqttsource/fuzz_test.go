package mqttsource

import (
	"path/filepath"
	"testing"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/test/must"
)

// fuzz has a decoder read two messages, and the table take what it gives.
func fuzz(t *testing.T, w *world, d decoder, topic string, payload []byte) {
	for range 2 {
		_ = d.decode(topic, payload, func(s rows.Sample) {
			if s.Tag < 0 || s.Tag >= len(w.tags) {
				t.Fatalf("tag %d", s.Tag)
			}
			w.table.Put(s)
		})
		if len(d.alive()) > len(w.tags) {
			t.Fatal("more live than there are")
		}
	}
}

func FuzzSparkplug(f *testing.F) {
	for _, m := range sparkplugMessages(f) {
		f.Add(m.Topic, []byte(m.Payload))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		w := newWorld(t, oil, speed, device)
		fuzz(t, w, newSparkplug(w.env), topic, payload)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add("oil.temp", `{"oil":{"temp":"70.5"},"t":1,"q":"Good"}`)
	f.Add("values.[id=a].v", `{"values":[{"id":"a","v":1,"t":2,"q":true}]}`)
	f.Fuzz(func(t *testing.T, path, payload string) {
		w := newWorld(t, "a#"+path)
		for _, beside := range []string{"", "."} {
			topic := mapping.Topic{TimePath: beside + "t", TimeFormat: "ms", QualityPath: beside + "q"}
			fuzz(t, w, newJSON(w.env, topic), "a", []byte(payload))
		}
	})
}

func FuzzSiteWise(f *testing.F) {
	for _, file := range []string{"sitewise-entry.json", "sitewise-batch.json"} {
		f.Add(must.Read(f, filepath.Join("testdata", file)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w := newWorld(t, windfarm+"temperature", windfarm+"rpm")
		fuzz(t, w, newSiteWise(w.env), "", payload)
	})
}
