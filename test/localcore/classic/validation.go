package classic

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/test/localcore/nucleus"
)

// validationTimeout is how long a classic nucleus waits for the components' verdicts
// (DynamicComponentConfigurationValidator.java).
const validationTimeout = 20 * time.Second

// validation asks components, before a deployment changes their configuration, whether it is valid.
type validation struct {
	mu         sync.Mutex
	validators map[string]*nucleus.Stream // by component; of several the first
	pending    map[string]chan verdict    // by component
}

type verdict struct {
	rejected bool
	message  string
}

func newValidation() *validation {
	return &validation{validators: make(map[string]*nucleus.Stream), pending: make(map[string]chan verdict)}
}

func (d *dialect) subscribeToValidateConfigurationUpdates(r *request) ([]byte, *nucleus.Error) {
	v, name := d.asks, r.Name
	v.mu.Lock()
	first := v.validators[name] == nil
	if first {
		v.validators[name] = r.Stream
	}
	v.mu.Unlock()
	if first {
		r.Stream.OnClose(func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			delete(v.validators, name)
			v.report(name, verdict{}) // a nucleus would wait for the verdict until the time is over
		})
	}
	return nucleus.Empty, nil
}

func (d *dialect) sendConfigurationValidityReport(r *request) ([]byte, *nucleus.Error) {
	report, hasReport := get[members](r, r.fields, "configurationValidityReport")
	status, _ := r.text(report, "status")
	message, _ := r.text(report, "message")
	if r.err != nil {
		return nil, r.err
	}
	if !hasReport {
		return nil, nullPointer()
	}
	v := d.asks
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.report(r.Name, verdict{status == "REJECTED", message}) {
		return nil, errorf(nucleus.InvalidArguments, "Validation request either timed out or was never made")
	}
	return nucleus.Empty, nil
}

// report hands a component's verdict to the deployment that waits for it, if one does. It is called with mu held.
func (v *validation) report(name string, answer verdict) bool {
	pending := v.pending[name]
	delete(v.pending, name)
	if pending == nil {
		return false
	}
	pending <- answer
	return true
}

// Validate asks those of the components that want to be asked. The error names every component that rejects its
// configuration, or says that one has not answered.
func (d *dialect) Validate(ctx context.Context, configs map[string]map[string]any) error {
	v := d.asks
	deployment := rand.Text()
	answers := make(map[string]chan verdict)
	v.mu.Lock()
	for name, config := range configs {
		validator := v.validators[name]
		if validator == nil {
			continue
		}
		answers[name] = make(chan verdict, 1)
		v.pending[name] = answers[name]
		validator.Event("ValidateConfigurationUpdateEvents", appendGson(nil, object{"validateConfigurationUpdateEvent",
			object{"configuration", config, "deploymentId", deployment}}))
	}
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for name := range answers {
			delete(v.pending, name)
		}
	}()

	timeout := time.NewTimer(validationTimeout)
	defer timeout.Stop()
	var rejected []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		select {
		case answer := <-answers[name]:
			if answer.rejected {
				rejected = append(rejected, fmt.Sprintf("{ name = %s, message = %s }", name, answer.message))
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("%s has not said within %v whether its to-be-deployed configuration is valid", name, validationTimeout)
		}
	}
	if len(rejected) > 0 {
		return fmt.Errorf("components reported that their to-be-deployed configuration is invalid %s", strings.Join(rejected, " "))
	}
	return nil
}
