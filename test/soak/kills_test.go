package soak

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/plant"
)

const (
	modelsEvery = 10 // rounds
	roundTime   = time.Second
)

// kill -9 of random components at random moments, under load and cuts of the uplink: what was acknowledged arrives in the
// cloud, so does every alert, what arrives again is marked, and the engine tells of at least as many rows as it missed.
// `make soak-kills` sets the number of rounds.
func TestKills(t *testing.T) {
	rounds, seed := number(t, "SOAK_KILLS", 3), number(t, "SOAK_SEED", 1)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	begun := time.Now()
	w := newWitness()
	p := plant.Start(t, plant.Options{
		Stage: stage(t),
		Core: func(o *localcore.Options) {
			o.ErrorReset = 1 // a component may be killed as often as one likes
			o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		},
		Cloud: func(o *localcloud.Options) { o.Publish = w.delivered },
	})
	w.watch(t, p)
	p.Deploy(quick(p), names...)
	if !plant.Until(time.Minute, func() bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			h, known := w.state(name, begun)
			return !known || h.State != event.StateOK
		})
	}) {
		t.Fatalf("the plant does not come to work: %+v", w.newest)
	}
	l := startLoad(t, p, w)

	kills, cuts, models, up := 0, 0, 0, true
	timer := time.NewTimer(0)
	<-timer.C
	for round := range rounds {
		if late(t) {
			t.Logf("%d of %d rounds: the time is over", round, rounds)
			break
		}
		if round%modelsEvery == 0 {
			models++
			p.PublishModel(fmt.Sprintf("1.%d.0", models))
			p.Command("model-fetch", `{"v":1}`)
		}
		if round == 0 || random.IntN(3) == 0 {
			p.Command("test-alarm", `{"v":1,"thing":"press-1"}`)
		}
		if random.IntN(4) == 0 {
			up = !up
			p.Cloud.SetUplink(up)
			cuts++
		}
		timer.Reset(time.Duration(random.Int64N(int64(roundTime))))
		<-timer.C
		victims := slices.Clone(names)
		random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		victims = victims[:1+random.IntN(2)]
		for _, c := range p.Core.Components() {
			if slices.Contains(victims, c.Name) && c.PID > 0 && syscall.Kill(c.PID, syscall.SIGKILL) == nil {
				kills++
			}
		}
	}
	p.Cloud.SetUplink(true)
	l.finish(t)
	newest := fmt.Sprintf("1.%d.0", models)
	if !plant.Until(2*time.Minute, func() bool {
		p.Command("model-fetch", `{"v":1}`)
		h, _ := w.state(event.InferenceEngine, begun)
		return h.Model != nil && h.Model.Version == newest
	}) {
		t.Errorf("model %s is not active in the end: %+v", newest, w.newest[event.InferenceEngine])
	}
	ended := time.Now()
	drained := plant.Until(5*time.Minute, func() bool {
		f := w.figures()
		return w.drained(ended) && len(f.lost)+len(f.undelivered) == 0 && f.missed+f.invalid >= uint64(f.unscored)
	})

	f := w.figures()
	t.Logf("seed %d: %d rounds, %d kills, %d cuts of the uplink or their ends, %d models, in %v\n%s", seed, rounds, kills, cuts, models,
		time.Since(begun).Round(time.Second), f)
	if !drained {
		t.Errorf("not all is settled: %+v", w.newest)
	}
	f.judge(t)
	if w.sub.Dropped() > 0 {
		t.Errorf("the test itself dropped %d messages", w.sub.Dropped())
	}
}

// quick is the plant's configuration with shorter times.
func quick(p *plant.Plant) map[string]map[string]any {
	c := p.Configuration()
	for _, merge := range c {
		merge["healthInterval"] = "100ms"
	}
	c[event.AlarmManager]["republish"] = "500ms"
	c[event.AlarmManager]["silence"] = "3s"
	c[event.CloudForwarder]["retryMax"] = "1s"
	return c
}

func (f figures) String() string {
	var b strings.Builder
	for _, line := range []struct {
		what string
		n    any
	}{
		{"rows published", f.sent}, {"rows scored", f.scored}, {"rows without a prediction", f.unscored},
		{"missed, as told over all runs of the engine", f.missed}, {"invalid, as told", f.invalid},
		{"alerts published", f.alerts}, {"alerts that did not arrive", len(f.undelivered)},
		{"records acknowledged", f.accepted}, {"acknowledged and lost", len(f.lost)},
		{"records that arrived", f.arrived}, {"arrivals after the first", f.again}, {"of them without the mark", len(f.unmarked)},
		{"runs", f.runs},
	} {
		fmt.Fprintf(&b, "%-46s%v\n", line.what, line.n)
	}
	return b.String()
}

// judge fails the test for what must not be.
func (f figures) judge(t *testing.T) {
	t.Helper()
	if len(f.lost) > 0 || len(f.undelivered) > 0 || len(f.unmarked) > 0 {
		t.Errorf("acknowledged and lost: %.20q; alerts that did not arrive: %.20q; twice without the mark: %.20q", f.lost, f.undelivered, f.unmarked)
	}
	if f.missed+f.invalid < uint64(f.unscored) {
		t.Errorf("%d rows have no prediction, and only %d are told as missed and %d as invalid", f.unscored, f.missed, f.invalid)
	}
	if f.scored == 0 || f.alerts == 0 || f.accepted == 0 {
		t.Error("there was nothing to lose")
	}
}
