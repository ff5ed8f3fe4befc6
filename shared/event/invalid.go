package event

// Reason is why a message is not accepted; invalid messages are counted by it.
type Reason string

// The reasons.
const (
	ReasonOversized Reason = "oversized" // longer than the transport carries
	ReasonMalformed Reason = "malformed" // not the JSON of such a message
	ReasonVersion   Reason = "version"   // another version of the message format
	ReasonName      Reason = "name"      // a thing, line or epoch that is none, or not the one of the topic
	ReasonSequence  Reason = "sequence"  // seq or ts is missing, or ts is no time that can be
	ReasonInfinity  Reason = "infinity"  // a value that is infinite, or too large for float32
	ReasonLength    Reason = "length"    // not as many values as the model has features
	ReasonSchema    Reason = "schema"    // made for other sensors than the model's
	ReasonSensor    Reason = "sensor"    // a reading of a sensor that the model does not know
)

// InvalidError says why a message was not accepted.
type InvalidError struct {
	Reason Reason
	Detail string
}

func (e *InvalidError) Error() string { return string(e.Reason) + ": " + e.Detail }
