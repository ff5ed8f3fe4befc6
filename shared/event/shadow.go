package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// ShadowEpoch is the epoch of rows that come from a device shadow; their Seq is the shadow's version.
const ShadowEpoch = "shadow"

// PropertyReading is the one reading of the workshop's shadow document, which does not name its sensor.
const PropertyReading = "property"

// SimulatedToken is the client token of shadow updates whose readings are simulated.
const SimulatedToken = "simulated"

// ShadowUpdateTopic is where a thing's classic shadow is updated over MQTT.
func ShadowUpdateTopic(thing string) string { return "$aws/things/" + thing + "/shadow/update" }

// SimulatedUpdate is an update of a shadow, {"state":{"reported":{…}}}, with each simulated value by its sensor's name. null is a
// missing value, which the shadow then does not have.
func SimulatedUpdate(sensors []string, values []float32) ([]byte, error) {
	readings := make(Readings, len(values))
	for i, x := range values {
		readings[sensors[i]] = x
	}
	type state struct {
		Reported Readings `json:"reported"`
	}
	return json.Marshal(struct {
		State state  `json:"state"`
		Token string `json:"clientToken"`
	}{state{readings}, SimulatedToken})
}

// maxShadowMessage bounds an update/accepted message, in bytes: a state at the service's default quota of 8 KiB, and its
// metadata, which has a time for each value and is several times as large.
const maxShadowMessage = 64 << 10

// DecodeShadow reads a shadow's update/accepted document as a partial row: sensors by name below state.reported, as numbers
// or, as the workshop's sensor sends them, as strings. state.desired has set points, which are no measurements; only the
// workshop's property counts there. now stands in where the document has no timestamp. The error is an *InvalidError.
func DecodeShadow(thing string, payload []byte, now time.Time) (Telemetry, error) {
	if len(payload) > maxShadowMessage {
		return Telemetry{}, &InvalidError{ReasonOversized, fmt.Sprintf("message of %d bytes about a shadow, may have %d", len(payload), maxShadowMessage)}
	}
	var doc struct {
		State struct {
			Desired  map[string]any `json:"desired"`
			Reported map[string]any `json:"reported"`
		} `json:"state"`
		Version   uint64 `json:"version"`
		Timestamp int64  `json:"timestamp"` // seconds
		Token     string `json:"clientToken"`
	}
	if err := Unmarshal(payload, &doc); err != nil {
		return Telemetry{}, jsonError(payload, err)
	}
	t := Telemetry{V: Version, Thing: thing, Epoch: ShadowEpoch, Seq: doc.Version, TS: now, Readings: Readings{},
		Simulated: doc.Token == SimulatedToken}
	if doc.Timestamp != 0 {
		t.TS = time.Unix(doc.Timestamp, 0).UTC()
	}
	for name, value := range doc.State.Desired {
		if name != PropertyReading {
			t.Unused++
			continue
		}
		x, err := shadowValue(value)
		t.read(name, x, err)
	}
	for name, value := range doc.State.Reported {
		x, err := shadowValue(value)
		t.read(name, x, err)
	}
	return t.checked()
}

func shadowValue(v any) (float32, *InvalidError) {
	switch x := v.(type) {
	case nil:
		return missing, nil
	case float64:
		return parseValue([]byte(strconv.FormatFloat(x, 'g', -1, 64)))
	case string:
		if f, err := ParseFloat(x); err == nil && f-f == 0 { // finite
			return f, nil
		}
	}
	return 0, &InvalidError{ReasonMalformed, fmt.Sprintf("is %.40q, not a finite number", fmt.Sprint(v))}
}
