package alarms

import (
	"fmt"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// watch is what is watched for: the things and the way to the cloud. It is on disk as far as a restart must not make it
// start over: which things there are, and what is absent.
type watch struct {
	file   durable.State[watchFile]
	alone  bool // a newer version wrote the file, or nobody can read it: it is left alone
	damage *durable.Damage
	saved  watchFile
	at     time.Time // when saved was written
	stale  bool      // the file could not be written

	renamed uint64 // the last change by which a thing was renamed here

	things    map[string]*thing
	engine    absence       // of work of the inference engine
	worked    time.Time     // when it was heard at work; zero: not by this process
	every     time.Duration // between its health messages
	engineRun string        // which of its processes sent the last one
	idle      string        // why it does not work, as it says; "" if it does
	forwarder absence       // of the cloud forwarder's health messages
	down      absence       // of the cloud, by what the forwarder says
	held      event.Code    // why nothing reaches the cloud, where the network is not the reason; "" where it may be
}

// thing is what is known of a machine.
type thing struct {
	line      string
	simulated bool
	absence   absence // of predictions
	epoch     string  // of the last prediction that voted
	insight   insight
}

const watchFormat = 1

// watchFile is the file.
type watchFile struct {
	Format    int                     `json:"format"`
	Damage    *durable.Damage         `json:"damage,omitempty"`
	Things    map[string]watchedThing `json:"things"`
	Renamed   uint64                  `json:"renamed,omitempty"`
	Engine    record                  `json:"engine,omitzero"`
	Forwarder record                  `json:"forwarder,omitzero"`
	Down      record                  `json:"down,omitzero"`
}

type watchedThing struct {
	Line      string `json:"line,omitempty"`
	Simulated bool   `json:"simulated,omitempty"`
	Absence   record `json:"absence,omitzero"`
}

// openWatch reads the file, or starts over. The problem, if there is one, says what is not known for it.
func openWatch(path string, now time.Time) (w *watch, problem error) {
	w = &watch{file: durable.State[watchFile]{Path: path, Format: watchFormat, Limit: maxFile}, things: make(map[string]*thing)}
	file, damage, problem := w.file.Open()
	w.saved, w.damage, w.alone, w.renamed = file, file.Damage, problem != nil, file.Renamed
	if damage != nil {
		w.damage = durable.NewDamage(now, fmt.Sprintf("the list of things could not be read; they are watched once they are heard again; %v", damage))
		w.stale = true
	}
	for name, t := range file.Things {
		if event.CheckName(name) == nil {
			w.things[name] = &thing{line: t.Line, simulated: t.Simulated, absence: t.Absence.orHeard(now)}
		}
	}
	w.engine = file.Engine.orHeard(now)
	w.forwarder, w.down = file.Forwarder.orHeard(now), file.Down.absence(now)
	return w, problem
}

// orHeard is absence for what was not absent: it begins to be so now.
func (r record) orHeard(now time.Time) absence {
	if a := r.absence(now); !a.since.IsZero() {
		return a
	}
	return heard(now)
}

// skip leaves out time in which the manager did not listen of all that is absent.
func (w *watch) skip(d time.Duration, now time.Time) {
	w.skipThings(d, now)
	w.engine.skip(d, now)
	w.forwarder.skip(d, now)
	w.down.skip(d, now)
}

// engineLimit is how long the engine may not work until that is an alarm: as long as machines, but not before one of its health
// messages is overdue, unless one says that it does not work.
func (w *watch) engineLimit(silence time.Duration) time.Duration {
	if w.idle != "" {
		return silence
	}
	every := w.every
	if every <= 0 {
		every = usualInterval
	}
	return max(silence, every+max(time.Second, every/10))
}

// skipThings leaves it out of the absence of things.
func (w *watch) skipThings(d time.Duration, now time.Time) {
	for _, t := range w.things {
		t.absence.skip(d, now)
	}
}

// save writes the file when it has to say something else; for the things' absence once in a step of it. With exactly it is
// at once, and has the whole length of what is absent.
func (w *watch) save(now time.Time, c Config, exactly bool) error {
	if w.alone {
		return nil
	}
	file := watchFile{
		Format: watchFormat, Damage: w.damage, Renamed: w.renamed, Engine: w.engine.kept(now, w.engineLimit(c.Silence), exactly), Forwarder: w.forwarder.kept(now, c.UplinkDown, exactly), Down: w.down.kept(now, c.UplinkDown, exactly),
	}
	changed := w.stale || w.renamed != w.saved.Renamed || len(w.things) != len(w.saved.Things) || file.Engine != w.saved.Engine ||
		file.Forwarder != w.saved.Forwarder || file.Down != w.saved.Down
	early := !exactly && now.Sub(w.at) < c.Silence/stepsKept
	for name, t := range w.things {
		if changed {
			break
		}
		before, known := w.saved.Things[name]
		changed = !known || !early && before != t.kept(now, c.Silence, exactly)
	}
	if !changed {
		return nil
	}
	file.Things = make(map[string]watchedThing, len(w.things))
	for name, t := range w.things {
		file.Things[name] = t.kept(now, c.Silence, exactly)
	}
	w.stale = true
	if err := w.file.Save(file); err != nil {
		return err
	}
	w.saved, w.at, w.stale = file, now, false
	return nil
}

func (t *thing) kept(now time.Time, silence time.Duration, exactly bool) watchedThing {
	return watchedThing{t.line, t.simulated, t.absence.kept(now, silence, exactly)}
}

// forget removes the thing that has been silent the longest, of those for which gone holds, and reports whether there was one.
func (w *watch) forget(gone func(name string) bool) bool {
	oldest := ""
	for name, t := range w.things {
		if (oldest == "" || t.absence.from.Before(w.things[oldest].absence.from)) && gone(name) {
			oldest = name
		}
	}
	delete(w.things, oldest)
	return oldest != ""
}
