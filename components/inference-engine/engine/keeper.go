package engine

import (
	"context"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/request"
)

// lookEvery is the time between two looks into the inbox, and at the commands.
const lookEvery = time.Second

// keeper has the models of both roles. What happens to those of one does not concern the other: each has a store, a quarantine
// and a probation of its own. One goroutine serves both, as they share the inbox and the commands.
type keeper struct {
	rt          *component.Runtime
	now         func() time.Time
	news        *modelevents.Outbox
	fault, life *models
	desk        *request.Server // where commands given on the device wait
	orders      *orders         // commands over IPC
	waiting     []order         // that change which model is active, and wait for the end of a test
	asks        *asks
	drifts      *drifts // nil: drift is not looked for
}

func (k *keeper) roles() [2]*models { return [2]*models{k.fault, k.life} }

// begin chooses the first fault model.
func (k *keeper) begin() {
	k.fault.activate()
	k.fault.ready()
	k.commands()
}

// run works until ctx ends.
func (k *keeper) run(ctx context.Context) {
	defer k.refuseCommands()
	k.life.openStore() // no row waits for this
	k.life.activate()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.commands()
			k.tick()
			k.asks.tick(k.now())
		case one := <-k.asks.answers:
			k.asks.answer(one)
		case result := <-k.fault.tested():
			k.fault.settle(result)
		case result := <-k.life.tested():
			k.life.settle(result)
		case v := <-k.fault.verdicts:
			k.fault.decided(v)
		case p := <-k.fault.loaded:
			k.fault.parsedCandidate(p)
		case m, open := <-k.orders.messages:
			k.orders.take(m, open, k)
		case f := <-k.fault.faults:
			k.fault.sentBack(f)
		case f := <-k.life.faults:
			k.life.sentBack(f)
		}
	}
}

// tick looks for what no message announces. One delivery is tested at a time: two would need memory for both, and a process
// that ended for it would count against both.
func (k *keeper) tick() {
	k.rt.Conditions().Set(event.CodeStateOnDisk, newsFile, k.news.Problem())
	for _, m := range k.roles() {
		m.tick()
	}
	for _, m := range k.roles() {
		if m.registry != nil && !k.fault.testing() && !k.life.testing() {
			m.registry.look()
		}
	}
}

// close waits for a test under way and closes the stores.
func (k *keeper) close() {
	k.fault.close()
	k.life.close()
}

// refuseCommands answers those that wait when the work ends.
func (k *keeper) refuseCommands() {
	k.asks.refuse()
	for _, o := range k.waiting {
		o.answer("", fmt.Errorf("%s failed: the engine stops, or has a new configuration", o.do))
	}
}
