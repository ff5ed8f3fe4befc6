package nucleus

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// The services that accessControl has policies of.
const (
	PubSubService    = "aws.greengrass.ipc.pubsub"
	MQTTProxyService = "aws.greengrass.ipc.mqttproxy"
	ShadowService    = "aws.greengrass.ShadowManager"
)

// Grant is one operation on one resource that a component's accessControl allows.
type Grant struct {
	Component, Service, Policy, Operation, Resource string

	Enforced bool // the core provides the service; the others are ignored, as a nucleus without their plugin does
	Used     bool // it allowed at least one request
}

// Denial is a request that no grant allowed.
type Denial struct {
	Component, Service, Operation, Resource string
	Count                                   int
}

// Authz holds the grants of all components.
type Authz struct {
	mu      sync.Mutex
	grants  map[string][]*Grant // by component
	denials map[Denial]int
	log     *slog.Logger
	dialect Dialect
	shadows bool // there is a shadow manager
}

func newAuthz(log *slog.Logger, d Dialect, shadows bool) *Authz {
	return &Authz{grants: make(map[string][]*Grant), denials: make(map[Denial]int), log: log, dialect: d, shadows: shadows}
}

// enforcedOperations are the operations that each service registers for authorisation.
func (a *Authz) enforcedOperations(service string) []string {
	var names string
	switch {
	case service == ShadowService && a.shadows:
		names = "GetThingShadow UpdateThingShadow DeleteThingShadow ListNamedShadowsForThing"
	case service == PubSubService:
		names = "PublishToTopic SubscribeToTopic"
	case service == MQTTProxyService:
		names = "PublishToIoTCore SubscribeToIoTCore"
	default:
		return nil
	}
	operations := []string{"*"}
	for name := range strings.FieldsSeq(names) {
		operations = append(operations, OperationPrefix+name)
	}
	return operations
}

// Load makes accessControl, from the component's configuration, its grants. What a nucleus would skip with an error in
// its log is skipped with an error in the log.
func (a *Authz) Load(component string, accessControl any) {
	var grants []*Grant
	services, _ := accessControl.(map[string]any)
	for _, service := range SortedKeys(services) {
		known := a.enforcedOperations(service)
		policies, _ := services[service].(map[string]any)
		if err := a.dialect.CheckPolicies(policies); err != nil {
			a.log.Error("policies are ignored", "component", component, "service", service, "err", err)
			continue
		}
		for _, id := range SortedKeys(policies) {
			policy, _ := policies[id].(map[string]any)
			operations, resources := stringList(policy["operations"]), stringList(policy["resources"])
			if len(operations) == 0 {
				a.log.Error("policy has no operations", "component", component, "service", service, "policy", id)
			}
			for _, op := range operations {
				if known != nil && !slices.Contains(known, op) {
					a.log.Error("operation not registered with the service", "component", component, "service", service,
						"policy", id, "operation", op)
				}
				for _, resource := range resources {
					resource, err := a.dialect.Resource(resource)
					if err == nil {
						err = ValidResource(resource)
					}
					if err != nil {
						a.log.Error("resource is not valid", "component", component, "policy", id, "resource", resource, "err", err)
						continue
					}
					grants = append(grants, &Grant{Component: component, Service: service, Policy: id, Operation: op,
						Resource: resource, Enforced: slices.Contains(known, op)})
				}
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range grants {
		unused := *g
		g.Used = slices.ContainsFunc(a.grants[component], func(old *Grant) bool {
			was := *old
			was.Used = false
			return old.Used && was == unused
		})
	}
	a.grants[component] = grants
}

func stringList(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Check allows the operation on the resource or returns the text of the error.
func (a *Authz) Check(component, service, operation, resource string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.grants[component] {
		if g.Service == service && g.Enforced && (g.Operation == operation || g.Operation == "*") &&
			matchResource(g.Resource, resource, service == MQTTProxyService) {
			g.Used = true
			return nil
		}
	}
	a.denials[Denial{Component: component, Service: service, Operation: operation, Resource: resource}]++
	return fmt.Errorf("Principal %s is not authorized to perform %s:%s on resource %s", component, service, operation, resource)
}

// Forget takes a component its grants.
func (a *Authz) Forget(component string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.grants, component)
}

// Report lists all grants, and all requests that none allowed.
func (a *Authz) Report() ([]Grant, []Denial) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var grants []Grant
	for _, list := range a.grants {
		for _, g := range list {
			grants = append(grants, *g)
		}
	}
	slices.SortFunc(grants, func(x, y Grant) int {
		return strings.Compare(fmt.Sprint(x.Component, x.Service, x.Policy, x.Operation, x.Resource),
			fmt.Sprint(y.Component, y.Service, y.Policy, y.Operation, y.Resource))
	})
	var denials []Denial
	for d, n := range a.denials {
		d.Count = n
		denials = append(denials, d)
	}
	slices.SortFunc(denials, func(x, y Denial) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	return grants, denials
}

// Pieces of a resource pattern. Anything else is a literal character.
const (
	anything   rune = -1 - iota // *: any characters, also none
	oneLevel                    // + as a whole level, where MQTT wildcards count: any characters but /
	restLevels                  // # as the last level, where MQTT wildcards count
)

// compileResource takes a pattern apart as the nucleus's WildcardTrie does: `*` matches any characters, `${*}`, `${?}`
// and `${$}` stand for the character, and MQTT wildcards count only as whole levels.
func compileResource(pattern string, mqtt bool) []rune {
	var out []rune
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		levelStart := i == 0 || runes[i-1] == '/'
		switch r := runes[i]; {
		case r == '*':
			out = append(out, anything)
		case r == '$' && i+3 < len(runes) && runes[i+1] == '{' && runes[i+3] == '}':
			out = append(out, runes[i+2])
			i += 3
		case mqtt && r == '+' && levelStart && (i+1 == len(runes) || runes[i+1] == '/'):
			out = append(out, oneLevel)
		case mqtt && r == '#' && levelStart && i+1 == len(runes):
			out = append(out, restLevels)
		default:
			out = append(out, r)
		}
	}
	return out
}

func matchResource(pattern, resource string, mqtt bool) bool {
	return matchRunes(compileResource(pattern, mqtt), []rune(resource))
}

func matchRunes(p, s []rune) bool {
	for len(p) > 0 {
		switch p[0] {
		case restLevels:
			return true
		case anything, oneLevel:
			for i := 0; ; i++ {
				if matchRunes(p[1:], s[i:]) {
					return true
				}
				if i == len(s) || p[0] == oneLevel && s[i] == '/' {
					return false
				}
			}
		}
		if len(s) == 0 { // "a/#" also matches "a"
			return len(p) == 2 && p[0] == '/' && p[1] == restLevels
		}
		if p[0] != s[0] {
			return false
		}
		p, s = p[1:], s[1:]
	}
	return len(s) == 0
}

// ValidResource refuses what the nucleus refuses in a policy's resource.
func ValidResource(resource string) error {
	if resource == "" {
		return fmt.Errorf("resource cannot be empty")
	}
	runes := []rune(resource)
	for i := 0; i < len(runes); i++ {
		switch {
		case runes[i] == '$' && i+1 < len(runes) && runes[i+1] == '{':
			if i+3 >= len(runes) || runes[i+3] != '}' || !strings.ContainsRune("*$?", runes[i+2]) {
				return fmt.Errorf("resource contains an invalid escape sequence; there are ${*}, ${$} and ${?}")
			}
			i += 3
		case runes[i] == '?':
			return fmt.Errorf("resource contains '?', which is no wildcard; write ${?}")
		}
	}
	return nil
}
