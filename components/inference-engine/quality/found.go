package quality

import "slices"

// Found is what is found of a thing, with all of its sensors.
type Found struct {
	Frozen  []string `json:"frozen,omitempty"`
	Outside []string `json:"outside,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// maxFound bounds the sensors that are kept.
const maxFound = 10_000

// News reports whether something was found, or is over, since the last call, and returns all that is found by thing.
func (j *Judge) News() (all map[string]Found, news bool) {
	if !j.news {
		return nil, false
	}
	j.news = false
	all = make(map[string]Found)
	left := maxFound
	for name, t := range j.things {
		if t.found == nil {
			continue
		}
		var f Found
		for i := range t.sensors {
			if list := f.list(t.sensors[i].verdict()); list != nil && left > 0 {
				*list = append(*list, j.names[i])
				left--
			}
		}
		all[name] = f
	}
	for name, f := range j.before {
		if len(all) < maxFound {
			all[name] = f
		}
	}
	return all, true
}

func (f *Found) list(v verdict) *[]string {
	switch v {
	case missing:
		return &f.Missing
	case frozen:
		return &f.Frozen
	case outside:
		return &f.Outside
	default:
		return nil
	}
}

// Resume goes on with what a process before had found: it holds until a value says otherwise, though nothing has been learned yet.
func (j *Judge) Resume(all map[string]Found) { j.before = all }

func (j *Judge) resume(t *thing, found Found) {
	for v := missing; v <= outside; v++ {
		for _, name := range *found.list(v) {
			if i := slices.Index(j.names, name); i >= 0 {
				t.sensors[i].resume(v)
			}
		}
	}
	j.tell(t)
}

// resume is as if a sensor had just been found.
func (s *sensor) resume(v verdict) {
	s.decide(v)
	s.came = span
	switch v {
	case missing:
		s.absent = span
	case frozen:
		s.moves, s.judged, s.still = learned, learned, span
	case outside:
		s.outside = span
	case well:
	}
}
