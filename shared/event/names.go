package event

// Names of the components.
const (
	AlarmManager    = "com.edgepdm.AlarmManager"
	CloudForwarder  = "com.edgepdm.CloudForwarder"
	InferenceEngine = "com.edgepdm.InferenceEngine"
	Ingest          = "com.edgepdm.Ingest"
	ModelFetcher    = "com.edgepdm.ModelFetcher"
	OperatorConsole = "com.edgepdm.OperatorConsole"
	SensorSimulator = "com.edgepdm.SensorSimulator"
	Suite           = "com.edgepdm.Suite" // runs nothing: it depends on the others
)

// Names of the counters that others than their component read in its health messages. docs/messages.md lists them.
const (
	CounterTelemetryInvalid = "telemetry.invalid."  // + Reason, of InferenceEngine
	CounterTelemetryMissed  = "telemetry.missed"    // of InferenceEngine: rows that never arrived, by their sequence numbers
	CounterTelemetryUnheard = "telemetry.unheard"   // of InferenceEngine: rows that a thing numbered before the first one that was heard of it
	CounterAlertPending     = "alert.pending"       // of AlarmManager: alerts that wait for the forwarder now
	CounterPredictions      = "prediction.received" // of AlarmManager
	CounterInputUnreadable  = "input.unreadable"    // of SensorSimulator: rows of its source that it could not read
	CounterDeaf             = "pubsub.deaf"         // of each: subscriptions made again because the nucleus delivered nothing
	CounterStreams          = "streams"             // of CloudForwarder: how many there are
	CounterStream           = "stream."             // of CloudForwarder: + the stream's name + what is counted
	CounterStreamDepth      = ".depth"              // records that wait now
)
