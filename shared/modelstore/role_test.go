package modelstore

import (
	"errors"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
)

// lifeBench is a bench whose store has the life models.
func lifeBench(t *testing.T) *bench {
	b := newBench(t)
	b.options.Role = event.RoleLife
	b.open()
	return b
}

// deliverLife delivers a version of the life model.
func (b *bench) deliverLife(version string, spoil func(*envelope.Manifest)) (d Candidate, err error) {
	b.t.Helper()
	m, archive := lifemodel.Publish(b.t, version, modeltest.Time)
	if spoil != nil {
		spoil(&m)
	}
	return b.store.Take(b.deliver(&m, archive))
}

// A store takes models of its role only, and says so.
func TestAnotherRoleIsRefused(t *testing.T) {
	b := newBench(t)
	b.install("1.2.0")
	m, archive := lifemodel.Publish(t, "9.0.0", modeltest.Time)
	b.refused(b.deliver(&m, archive), ReasonRole, ErrRole, "role: it is life, this store has models of the role fault")
	b.active("1.2.0", "")

	b = lifeBench(t)
	b.options.AllowUnsigned = true
	b.open()
	p := modeltest.Publish(t, modeltest.TinyModel, "9.0.0")
	b.refused(b.deliver(&p.Manifest, p.Archive), ReasonRole, ErrRole, "role: it is fault, this store has models of the role life")
	b.refused(b.deliver(nil, p.Archive), ReasonRole, ErrRole, "role: it is fault")
	b.active("", "")
}

// A life model lives as a fault model does, but can be sent back without one before it. A rollback that the process did not
// survive is completed.
func TestLifeModelsAreSentBackAlone(t *testing.T) {
	b := lifeBench(t)
	install := func(version string) {
		t.Helper()
		c, err := b.deliverLife(version, nil)
		must.OK(t, err)
		must.OK(t, b.store.Activate(c))
	}
	install("1.0.0")
	install("1.1.0")
	b.active("1.1.0", "1.0.0")
	_, err := b.store.Rollback("too slow")
	must.OK(t, err)
	b.active("1.0.0", "")
	if current, err := b.store.Rollback("too slow, too"); err != nil || current.ID != "" {
		t.Fatalf("%+v, %v", current, err)
	}
	b.active("", "")
	if lost := b.store.Lost(); lost != "" {
		t.Error(lost)
	}
	if _, err := b.store.Rollback("nothing"); !errors.Is(err, ErrNoPrevious) {
		t.Error(err)
	}
	if _, err := b.deliverLife("1.0.0", nil); !errors.Is(err, ErrRolledBack) {
		t.Error(err)
	}
	install("1.2.0")
	current, _ := b.store.Current()
	must.OK(t, b.store.note(Entry{Source: current.Source, Content: current.content(), Name: lifemodel.Name, Version: "1.2.0", Reason: ReasonRolledBack, Final: true}))
	b.open() // as after a process that was killed in the middle
	b.active("", "")
}

// The same version read in another way is not the active model delivered again.
func TestAnotherScaleIsNoRepetition(t *testing.T) {
	b := lifeBench(t)
	c, err := b.deliverLife("1.0.0", nil)
	must.OK(t, err)
	must.OK(t, b.store.Activate(c))
	if _, err := b.deliverLife("1.0.0", func(m *envelope.Manifest) { m.Expires = m.Expires.Add(1) }); !errors.Is(err, ErrActive) {
		t.Error(err)
	}
	if _, err := b.deliverLife("1.0.0", func(m *envelope.Manifest) { m.Life.Margin = 3 }); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// A life model that lacks what it is made of is refused with the field's name.
func TestIncompleteLifeModels(t *testing.T) {
	b := lifeBench(t)
	for says, spoil := range map[string]func(*envelope.Manifest){
		"features: 0":               func(m *envelope.Manifest) { m.Features = nil },
		"features":                  func(m *envelope.Manifest) { m.Features = m.Features[:2] },
		"inputs: inputs[2].sensor":  func(m *envelope.Manifest) { m.Inputs.Inputs[2].Sensor = "pressure" },
		"inputs: inputs[1].rows":    func(m *envelope.Manifest) { m.Inputs.Inputs[1].Rows = 1_000_000_000 },
		"schema":                    func(m *envelope.Manifest) { m.Inputs = nil },
		"life: missing":             func(m *envelope.Manifest) { m.Life = nil },
		"golden: row 1 has 1":       func(m *envelope.Manifest) { m.Golden[0].Margins = nil },
		"role: \"wear\" is neither": func(m *envelope.Manifest) { m.Role = "wear" },
	} {
		m, archive := lifemodel.Publish(t, "1.0.0", modeltest.Time)
		spoil(&m)
		b.refused(b.deliver(&m, archive), ReasonManifest, envelope.ErrManifest, says)
	}
	b.active("", "")
}
