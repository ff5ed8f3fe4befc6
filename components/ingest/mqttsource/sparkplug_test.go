package mqttsource

import (
	"testing"

	"edgepdm/components/ingest/rows"
)

const (
	oil    = "plant/node1:Oil/Temp"
	speed  = "plant/node1:Speed"
	device = "plant/node1/press:Temp"
)

func TestSparkplugMessagesOfAnotherEncoder(t *testing.T) {
	tags := []string{oil, speed, device}
	for _, name := range []string{"i8", "i16", "i64", "u8", "u32", "float", "bool", "text"} {
		tags = append(tags, "plant/node1:"+name)
	}
	w := newWorld(t, tags...)
	d := newSparkplug(w.env)
	messages := sparkplugMessages(t)
	for _, step := range []struct {
		message string
		want    map[string]float64
		counts  map[string]int
	}{
		{"unknownAlias", nil, map[string]int{reasonAlias: 1}},
		{"birth", map[string]float64{
			oil: 70.5, speed: -1480, "plant/node1:i8": -8, "plant/node1:i16": -16, "plant/node1:i64": -64, "plant/node1:u8": 200,
			"plant/node1:u32": 4e9, "plant/node1:float": 0.25, "plant/node1:bool": 1, "plant/node1:text": missing,
		}, map[string]int{reasonType: 1}},
		{"deviceBirth", map[string]float64{device: 20.5}, nil},
		{"data", map[string]float64{oil: 71.5}, map[string]int{rows.ReasonNoTag: 1}},
		{"untyped", map[string]float64{speed: -5}, nil}, // its birth said int32
		{"deviceData", map[string]float64{device: 21.5}, nil},
		{"gap", map[string]float64{oil: 72.5}, map[string]int{reasonSequence: 1}},
		{"named", map[string]float64{oil: 73.5}, nil},
		{"historical", nil, map[string]int{rows.ReasonOlder: 1}},
		{"isNull", map[string]float64{oil: missing}, nil},
		{"stale", map[string]float64{oil: missing}, nil},
		{"good", map[string]float64{oil: 75.5}, nil},
		{"unknownAlias", nil, map[string]int{rows.ReasonNoTag: 1}}, // after a birth it is a metric that no sensor has
		{"deviceRebirth", map[string]float64{device: 22.5}, nil},
		{"deviceDataAfter", map[string]float64{device: 23.5}, map[string]int{rows.ReasonNoTag: 1}},
		{"deviceRebirthWithout", map[string]float64{device: missing}, nil},
		{"deviceDataReused", nil, map[string]int{rows.ReasonNoTag: 1}}, // its alias is another metric's now
		{"deviceDeath", map[string]float64{device: missing}, nil},
		{"lateDeath", nil, nil}, // of the session before
		{"death", map[string]float64{
			oil: missing, speed: missing, "plant/node1:i8": missing, "plant/node1:i16": missing, "plant/node1:i64": missing,
			"plant/node1:u8": missing, "plant/node1:u32": missing, "plant/node1:float": missing, "plant/node1:bool": missing, "plant/node1:text": missing,
		}, nil},
		{"data", nil, map[string]int{reasonAlias: 2}}, // the death ended what its aliases meant
		{"otherNode", nil, map[string]int{rows.ReasonNoTag: 1}},
	} {
		m, ok := messages[step.message]
		if !ok {
			t.Fatalf("no message %s", step.message)
		}
		got, err := w.decode(d, m.Topic, m.Payload)
		if err != nil || !equal(got, step.want) {
			t.Errorf("%s: %v, %v; want %v", step.message, got, err, step.want)
		}
		for reason, n := range step.counts {
			if got := w.counted(reason); got != n {
				t.Errorf("%s: %d counted for %s, want %d", step.message, got, reason, n)
			}
		}
		w.nothingElse()
	}
}

// A metric is told when it changes: until its device dies it stays what it was.
func TestSparkplugValuesLiveUntilADeath(t *testing.T) {
	w := newWorld(t, oil, device)
	d := newSparkplug(w.env)
	messages := sparkplugMessages(t)
	for _, step := range []struct {
		message string
		alive   int
	}{{"otherNode", 0}, {"named", 1}, {"death", 0}, {"birth", 1}, {"deviceBirth", 2}, {"deviceDeath", 1}, {"deviceBirth", 2}, {"lateDeath", 2}, {"birth", 1}, {"deviceBirth", 2}, {"death", 0}} {
		if _, err := w.decode(d, messages[step.message].Topic, messages[step.message].Payload); err != nil {
			t.Fatal(err)
		}
		if got := len(d.alive()); got != step.alive {
			t.Errorf("after %s %d tags live, want %d", step.message, got, step.alive)
		}
	}
}

// Whole numbers of a type that no birth told are taken where they cannot be negative ones.
func TestSparkplugIntegerOfUnknownType(t *testing.T) {
	w := newWorld(t, oil)
	d := newSparkplug(w.env)
	for payload, want := range map[string]float64{
		"\x12\x0c\x0a\x08Oil/Temp\x50\x05":                                             5,
		"\x12\x10\x0a\x08Oil/Temp\x50\xfb\xff\xff\xff\x0f":                             missing, // -5 as int32
		"\x12\x10\x0a\x08Oil/Temp\x20\x03\x50\xff\xff\x01":                             32767,
		"\x12\x12\x0a\x08Oil/Temp\x20\x03\x50\xfb\xff\xff\xff\x0f":                     -5,
		"\x12\x17\x0a\x08Oil/Temp\x20\x03\x50\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01": -5, // extended to 64 bits, as some write it
	} {
		got, err := w.decode(d, "spBv1.0/plant/NDATA/node1", payload)
		if err != nil || !equal(got, map[string]float64{oil: want}) {
			t.Errorf("%x: %v, %v; want %v", payload, got, err, want)
		}
	}
}

func TestSparkplugRefusesWhatItCannotRead(t *testing.T) {
	w := newWorld(t, oil)
	d := newSparkplug(w.env)
	for _, payload := range []string{"\xff", "\x12\x05\x0a", "\x12\x02\x0a\x09", "{}"} {
		if _, err := w.decode(d, "spBv1.0/plant/NDATA/node1", payload); err == nil {
			t.Errorf("%x is taken", payload)
		}
	}
	for _, topic := range []string{"spBv1.0/STATE/host", "spBv1.0/plant/NCMD/node1", "spBv1.0/plant", "x", "spBv1.0/a/NDATA/b/c/d"} {
		if got, err := w.decode(d, topic, "\xff"); err != nil || len(got) > 0 {
			t.Errorf("%s: %v, %v", topic, got, err)
		}
	}
}
