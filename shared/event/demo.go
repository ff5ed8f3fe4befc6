package event

import "fmt"

// DemoOrder is what the demo's page orders: of a simulated machine on TopicDemoFault, of the demo itself on TopicDemoAct.
type DemoOrder struct {
	V     int    `json:"v"`
	ID    string `json:"id,omitempty"` // is repeated in the reply
	Do    DemoDo `json:"do"`
	Thing string `json:"thing,omitempty"` // with DemoInject
	Fault string `json:"fault,omitempty"`
	ForS  int    `json:"for_s,omitempty"` // seconds until it is repaired
}

// DemoDo is what is done.
type DemoDo string

// What there is to do.
const (
	DemoInject  DemoDo = "inject"  // a fault
	DemoCut     DemoDo = "cut"     // the uplink
	DemoRestore DemoDo = "restore" // the uplink
	DemoPublish DemoDo = "publish" // a model
)

const maxDemoFault = 3600 // seconds

// DecodeDemoOrder reads a message of either topic. The error is an *InvalidError.
func DecodeDemoOrder(payload []byte) (o DemoOrder, err error) {
	if err := decode(payload, &o); err != nil {
		return o, err
	}
	if err := checkVersion(o.V); err != nil {
		return o, err
	}
	if o.Do == DemoInject && (o.ForS < 1 || o.ForS > maxDemoFault) {
		return o, &InvalidError{ReasonMalformed, fmt.Sprintf("for_s: %d is not between 1 and %d", o.ForS, maxDemoFault)}
	}
	return o, CheckCommandID(o.ID)
}
