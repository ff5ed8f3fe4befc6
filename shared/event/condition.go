package event

import "time"

// Code names a kind of trouble. Codes are stable: alarms, dashboards and docs/states.md refer to them.
type Code string

// The codes.
const (
	CodeConfiguration  Code = "CONFIGURATION"   // a setting is missing or does not fit what is there
	CodeNotAuthorized  Code = "NOT_AUTHORIZED"  // the nucleus or AWS refuses an operation
	CodePubSubDeaf     Code = "PUBSUB_DEAF"     // the nucleus fails to take local messages, or takes them and delivers none
	CodeCloudAccess    Code = "CLOUD_ACCESS"    // no region, endpoint or credentials
	CodeDelivery       Code = "DELIVERY"        // a cloud service does not take what waits
	CodeDisk           Code = "DISK"            // a file cannot be read or written, or the disk is full
	CodeStateOnDisk    Code = "STATE_ON_DISK"   // a state file was damaged, or is of a newer version
	CodeModelStore     Code = "MODEL_STORE"     // models cannot be fetched, verified or activated
	CodeModelRefused   Code = "MODEL_REFUSED"   // the published model is refused
	CodeShadow         Code = "SHADOW"          // a device shadow cannot be read or written
	CodeOverload       Code = "OVERLOAD"        // more rows than can be scored
	CodeInput          Code = "INPUT"           // the source of rows cannot be read
	CodeVoice          Code = "VOICE"           // an alarm cannot be spoken; it is sent all the same
	CodeWaitsForOthers Code = "WAITS_FOR_OTHER" // another component is not at work
)

// PlaceLocal is the place of the condition that the nucleus delivers a component no local messages at all.
const PlaceLocal = "local messages"

// PlaceSubscribe is the place of what is wrong with a subscription: the operation, as a recipe's accessControl has it, and the filter.
func PlaceSubscribe(filter string) string { return "SubscribeToTopic " + filter }

// PlacePublish is likewise the place of what is wrong with messages on a topic, or on those that a filter stands for.
func PlacePublish(filter string) string { return "PublishToTopic " + filter }

// Condition is something that is wrong at the moment.
type Condition struct {
	Code   Code      `json:"code"`
	Place  string    `json:"place"`  // where, such as the name of a stream
	Detail string    `json:"detail"` // what, for a person
	Since  time.Time `json:"since"`
}
