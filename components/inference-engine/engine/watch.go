package engine

import (
	"fmt"
	"slices"
	"strings"

	"edgepdm/shared/event"
)

// placeWatch is where a condition names sensors of watch that the model does not have.
const placeWatch = "watch"

// unknownNamed is how many of them it names.
const unknownNamed = 5

// unwatched says which sensors of the configuration's watch the model does not have.
func (m *activeModel) unwatched(config Config) error {
	var unknown []string
	for _, name := range config.Watch {
		if _, known := m.sensors[name]; !known {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	rest := ""
	if n := len(unknown) - unknownNamed; n > 0 {
		unknown, rest = unknown[:unknownNamed], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("watch: model %s has no sensor %s%s: no values of theirs are told", m.ref.Version, strings.Join(unknown, ", "), rest)
}

// watched returns the values of the sensors that are watched, as far as the row has them.
func (s *scorer) watched(values []float32) event.Watched {
	var watched event.Watched
	for _, name := range s.config.Watch {
		i, known := s.model.sensors[name]
		if !known || values[i] != values[i] {
			continue
		}
		if watched == nil {
			watched = make(event.Watched, len(s.config.Watch))
		}
		watched[name] = values[i]
	}
	return watched
}

// maxPredictionMark is what a prediction may grow by on its way to the cloud.
const maxPredictionMark = 100

// encode returns a prediction as it is published, valid until the next call. It leaves out what does not fit on any part of the
// way to the cloud: the contributors' names in further languages, the last contributors, the remaining life, and what is watched,
// the last of the configuration first. The prediction itself must arrive.
func (s *scorer) encode(p *event.Prediction) (payload []byte, err error) {
	s.payload, err = event.AppendPrediction(s.payload[:0], p)
	for i := len(s.config.Watch) - 1; len(s.payload) > event.IoTCoreIPC.Limit()-maxPredictionMark; {
		switch {
		case slices.ContainsFunc(p.Contributors, func(c event.Contributor) bool { return c.Names != nil }):
			for j := range p.Contributors {
				p.Contributors[j].Names = nil
			}
		case len(p.Contributors) > 0:
			p.Contributors = p.Contributors[:len(p.Contributors)-1]
		case p.Life != nil:
			p.Life = nil
		case len(p.Watched) > 0:
			delete(p.Watched, s.config.Watch[i])
			i--
		default:
			return s.payload, err
		}
		s.payload, err = event.AppendPrediction(s.payload[:0], p)
	}
	return s.payload, err
}
