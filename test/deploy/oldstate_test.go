package deploy

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// oldState is a file of testdata: what the programs of version 0.1.0 left in their work directories when they were killed with
// the uplink cut, and what they had promised by then.
const oldState = "state-0.1.0.tar.gz"

// oldFacts is what was true when the old programs were killed.
type oldFacts struct {
	PublicKey string   `json:"publicKey"` // of the models
	Model     string   `json:"model"`     // version in use
	Previous  string   `json:"previous"`  // folder of the version before it
	Threshold float64  `json:"threshold"` // of the last good configuration
	Raised    []string `json:"raised"`    // ids of alerts whose alarms are raised
	Waiting   []string `json:"waiting"`   // ids of messages that are on disk and not in the cloud
}

// takeOldState unpacks the old work directories into a root.
func takeOldState(t *testing.T, root string) (facts oldFacts) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", oldState))
	must.OK(t, err)
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	must.OK(t, err)
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must.OK(t, err)
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(archive)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(root, h.Name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, h.Name), data, 0o600)
		}
		must.OK(t, err)
	}
	must.OK(t, json.Unmarshal(read(t, filepath.Join(root, "facts.json")), &facts))
	return facts
}

// What version 0.1.0 left on disk is taken over: the model in use and the one before it, the messages that wait, the alarms that
// are raised, the alerts that nobody acknowledged, the rows that were seen and the last good configuration.
func TestStateOfTheOldVersion(t *testing.T) {
	tree := stage(t, "-version", "1.0.0")
	var facts oldFacts
	p := newPlant(t, tree, localcore.Lite, func(o *localcore.Options) { facts = takeOldState(t, o.Root) })
	c := p.configuration()
	c[event.AlarmManager]["silence"] = "1h"
	c[event.InferenceEngine] = map[string]any{"publicKeys": []any{facts.PublicKey}, "threshold": 7, "healthInterval": "300ms"}
	c[event.ModelFetcher]["publicKeys"] = []any{facts.PublicKey}
	must.OK(t, p.deploy(all("1.0.0"), c))
	p.await("the old model scores with the threshold of the last good configuration", func() bool {
		return p.prediction.Model.Version == facts.Model && p.prediction.Threshold == facts.Threshold
	})
	p.await("what waited is in the cloud", func() bool {
		arrived := p.Cloud.Journal().IDs(localcloud.KindIoT)
		return !slices.ContainsFunc(facts.Waiting, func(id string) bool { return arrived[id] == 0 })
	})
	p.await("enough rows were seen to raise the alarms again", func() bool {
		return p.health[event.AlarmManager].Counters[event.CounterPredictions] > 100
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if again := p.alarms(); len(again) > 0 {
		t.Errorf("alarms that were raised before are raised again: %q", again)
	}
	for name, h := range p.health {
		if want := event.StateOK; name != event.InferenceEngine && h.State != want {
			t.Errorf("%s is %s: %s", name, h.State, h.Detail)
		}
		for counter, n := range h.Counters {
			if n > 0 && (strings.HasSuffix(counter, ".lost") || strings.HasSuffix(counter, ".dropped")) {
				t.Errorf("%s: %s is %d", name, counter, n)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(p.Root, "work", event.InferenceEngine, "models", "versions", facts.Previous)); err != nil {
		t.Errorf("the model before the one in use: %v", err)
	}
	err := filepath.WalkDir(filepath.Join(p.Root, "work"), func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), ".damaged-") {
			t.Errorf("%s was set aside", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
