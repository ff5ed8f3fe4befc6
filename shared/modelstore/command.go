package modelstore

// Commands that an operator gives inference-engine on the device, with package request.
const (
	CommandRollback = "rollback" // go back to the model before; the arguments are Rollback
	CommandStatus   = "status"   // which model is active, and what happened last
)

// Rollback are the arguments of CommandRollback.
type Rollback struct {
	Reason string `json:"reason,omitempty"`
}
