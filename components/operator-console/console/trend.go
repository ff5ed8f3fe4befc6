package console

import (
	"path/filepath"
	"time"

	"edgepdm/components/operator-console/web"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
)

// trend returns how a machine went, and what its sensors are called and usually show.
func (l *listener) trend(thing string, length time.Duration) web.Trend {
	sensors, _ := l.describe()
	return web.Trend{Trend: l.trends.Of(thing, length, l.now()), Sensors: sensors}
}

// describe returns the sensors of the active model of faults, as its manifest has them, and which model that is; nil where it cannot be
// read. It is read when somebody looks.
func (l *listener) describe() (sensors []web.Sensor, model string) {
	models := modelstore.LastActive(filepath.Join(l.inWorkDir(l.config.Engine), modelsDir), modelstore.Options{Log: l.rt.Log})
	if len(models) == 0 {
		return nil, ""
	}
	m := &models[0].Manifest
	return sensorsOf(m), m.Name + " " + m.Version
}

// modelsDir is the engine's store of models of faults, in its work directory.
const modelsDir = "models"

func sensorsOf(m *envelope.Manifest) []web.Sensor {
	usual := make(map[string]envelope.Histogram)
	if m.Baseline != nil {
		for i, name := range m.Features {
			usual[name] = m.Baseline.Features[i]
		}
	}
	var sensors []web.Sensor
	for _, name := range m.Sensors() {
		if event.CheckSensor(name) != nil {
			continue
		}
		d, h := m.Display[name], usual[name]
		sensors = append(sensors, web.Sensor{Sensor: name, Name: d.Name, Names: d.Names, Unit: d.Unit, Low: h.P5, High: h.P95})
	}
	return sensors
}
