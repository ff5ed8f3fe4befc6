package envelope_test

import (
	"fmt"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
)

func TestReaches(t *testing.T) {
	const cores = 10_000
	m := modeltest.Tiny(t)
	in := func(percent int, core string) bool {
		m.Rollout = &envelope.Rollout{Percent: percent}
		return m.Reaches(core)
	}
	for _, percent := range []int{1, 10, 50, 99} {
		n := 0
		for i := range cores {
			core := fmt.Sprintf("core-%d", i)
			if in(percent, core) {
				if n++; !in(percent+1, core) {
					t.Fatalf("%s takes it at %d %%, and not at %d", core, percent, percent+1)
				}
			}
		}
		// Four standard deviations of a fair choice.
		if want := cores * percent / 100; n < want-200 || n > want+200 {
			t.Errorf("%d of %d cores take it at %d %%", n, cores, percent)
		}
		if in(percent, "") {
			t.Errorf("a core without a name takes it at %d %%", percent)
		}
	}
	for _, percent := range []int{0, 100} {
		if !in(percent, "") || !in(percent, "core-1") {
			t.Errorf("not every core takes it at %d %%", percent)
		}
	}
	// What was built once must stay: cores keep their place between releases.
	m.Name, m.Version = "compressor", "1.1.0"
	if !in(66, "core-1") || in(65, "core-1") {
		t.Error("core-1 has another place")
	}
	m.Rollout = nil
	if !m.Reaches("") {
		t.Error("a model without a rollout is not for every core")
	}
	// Another version begins with other cores.
	first := 0
	for i := range 1000 {
		core := fmt.Sprintf("core-%d", i)
		m.Version = "1.1.0"
		a := in(10, core)
		m.Version = "1.2.0"
		if a && in(10, core) {
			first++
		}
	}
	if first > 30 {
		t.Errorf("%d of 1000 cores are first twice", first)
	}
}

// How many cores take a model is no matter of the model; whether it proves itself first is one.
func TestContentOfRollout(t *testing.T) {
	m := modeltest.Tiny(t)
	with := func(format int, r *envelope.Rollout) string {
		m.Format, m.Rollout = format, r
		return m.Content()
	}
	plain := with(1, nil)
	for _, r := range []*envelope.Rollout{{}, {Percent: 10}, {Mode: envelope.ModeDirect, Percent: 100}} {
		if with(3, r) != plain {
			t.Errorf("%+v makes another model of it", *r)
		}
	}
	shadow := with(3, &envelope.Rollout{Mode: envelope.ModeShadow})
	if shadow == plain || with(3, &envelope.Rollout{Mode: envelope.ModeShadow, Percent: 50}) != shadow {
		t.Error("the mode is not part of the content, or the share is")
	}
	if m.Rollout == nil || m.Rollout.Percent != 50 {
		t.Error("the manifest was changed")
	}
}
