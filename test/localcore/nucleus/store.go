package nucleus

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store holds the configuration of every component: keys remember how they were first written (on a classic nucleus they
// are case-insensitive), every leaf has the time of its last change, and lists are leaves.
type Store struct {
	exact bool // keys are case-sensitive

	mu       sync.Mutex
	roots    map[string]*node // by component
	watchers []*watcher       // in order of subscription
}

type node struct {
	name     string
	exact    bool             // the children's names are case-sensitive
	modtime  int64            // milliseconds since the epoch
	children map[string]*node // by id; nil in a leaf
	value    any              // of a leaf
}

type watcher struct {
	component string
	path      []string
	notify    func(path []string)
}

func newStore(exact bool) *Store { return &Store{exact: exact, roots: make(map[string]*node)} }

func newContainer(name string, exact bool, modtime int64) *node {
	return &node{name: name, exact: exact, modtime: modtime, children: make(map[string]*node)}
}

// id is what a child of that name is found by.
func (n *node) id(name string) string {
	if n.exact {
		return name
	}
	return strings.ToLower(name)
}

func (n *node) find(path []string) *node {
	for _, key := range path {
		if n == nil || n.children == nil {
			return nil
		}
		n = n.children[n.id(key)]
	}
	return n
}

// modified is the newest change at or below n.
func (n *node) modified() int64 {
	if len(n.children) == 0 {
		return n.modtime
	}
	var newest int64
	for _, c := range n.children {
		newest = max(newest, c.modified())
	}
	return newest
}

// plain returns the value below n; names that start with "_" are the nucleus's own.
func (n *node) plain() any {
	if n.children == nil {
		return n.value
	}
	m := make(map[string]any, len(n.children))
	for _, c := range n.children {
		if !strings.HasPrefix(c.name, "_") {
			m[c.name] = c.plain()
		}
	}
	return m
}

func (n *node) clone() *node {
	c := *n
	if n.children != nil {
		c.children = make(map[string]*node, len(n.children))
		for k, child := range n.children {
			c.children[k] = child.clone()
		}
	}
	return &c
}

// update merges values into the container n; with replace, children that values lacks are removed.
func (n *node) update(at []string, values map[string]any, ts int64, replace bool, changed func(path []string)) {
	seen := make(map[string]bool, len(values))
	for _, key := range SortedKeys(values) {
		id := n.id(key)
		seen[id] = true
		child := n.children[id]
		path := append(slices.Clone(at), key)
		if child != nil {
			path[len(path)-1] = child.name
		}
		sub, isMap := values[key].(map[string]any)
		switch {
		case isMap:
			if child == nil || child.children == nil {
				if child != nil {
					changed(path)
				}
				child = newContainer(path[len(path)-1], n.exact, time.Now().UnixMilli())
				n.children[id] = child
			}
			child.update(path, sub, ts, replace, changed)
		case child == nil || child.children != nil:
			n.children[id] = &node{name: path[len(path)-1], modtime: ts, value: values[key]}
			changed(path)
		case ts < child.modtime: // an older write never wins
		default:
			differs := !reflect.DeepEqual(child.value, values[key])
			child.value, child.modtime = values[key], ts
			if differs {
				changed(path)
			}
		}
	}
	if !replace {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(n.children)) {
		if child := n.children[id]; !seen[id] && !strings.HasPrefix(child.name, "_") {
			delete(n.children, id)
			changed(append(slices.Clone(at), child.name))
		}
	}
}

// notifier returns the function that update reports changes of component to. The store must be locked.
func (s *Store) notifier(component string) func([]string) {
	return func(path []string) {
		for _, w := range s.watchers {
			switch {
			case w.component != component:
			case s.under(path, w.path):
				w.notify(path)
			case s.under(w.path, path): // what holds the watched key was removed
				w.notify(w.path)
			}
		}
	}
}

func (s *Store) under(path, prefix []string) bool {
	same := strings.EqualFold
	if s.exact {
		same = func(a, b string) bool { return a == b }
	}
	return len(path) >= len(prefix) && slices.EqualFunc(path[:len(prefix)], prefix, same)
}

// Change is what a deployment does to one component's configuration.
type Change struct {
	Merge map[string]any
	Reset [][]string // an empty path is the whole configuration
}

// Resolve computes a component's configuration after a deployment without changing anything: what is there now, less
// what is reset, with the recipe's defaults under it and the deployment's merge over it.
func (s *Store) Resolve(component string, defaults map[string]any, change Change, ts int64) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := newContainer(component, s.exact, ts)
	if current := s.roots[component]; current != nil {
		root = current.clone()
	}
	quiet := func([]string) {}
	for _, path := range change.Reset {
		if len(path) == 0 {
			root = newContainer(component, s.exact, ts)
			continue
		}
		if parent := root.find(path[:len(path)-1]); parent != nil && parent.children != nil {
			delete(parent.children, parent.id(path[len(path)-1]))
		}
	}
	root.update(nil, defaults, 1, false, quiet) // 1 ms: older than whatever is there
	root.update(nil, change.Merge, ts, false, quiet)
	return root.plain().(map[string]any) // a container
}

// Replace makes values the component's configuration and tells the watchers what changed.
func (s *Store) Replace(component string, values map[string]any, ts int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.roots[component]
	if root == nil {
		root = newContainer(component, s.exact, ts)
		s.roots[component] = root
	}
	root.update(nil, values, ts, true, s.notifier(component))
}

// Remove forgets a component.
func (s *Store) Remove(component string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.roots, component)
}

// Get returns what GetConfiguration answers: a container as it is, a leaf in an object under its own name.
func (s *Store) Get(component string, path []string) (map[string]any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.roots[component].find(path)
	if n == nil {
		return nil, false
	}
	if n.children == nil {
		return map[string]any{n.name: n.value}, true
	}
	return n.plain().(map[string]any), true
}

// Set is UpdateConfiguration: path names a container, made if it is missing. ts is in milliseconds.
func (s *Store) Set(component string, path []string, values map[string]any, ts int64) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.roots[component]
	if root == nil {
		return Errorf(InvalidArguments, "Component config not found for component %s", component)
	}
	n := root
	at := []string{}
	for _, key := range path {
		child := n.find([]string{key})
		if child != nil && child.children == nil {
			return Errorf(InvalidArguments, "%s in %s is already a leaf, cannot become a container", key, component)
		}
		if child == nil { // a new container has the present time, whatever the request says
			ts = time.Now().UnixMilli()
			child = newContainer(key, n.exact, ts)
			n.children[n.id(key)] = child
		}
		n = child
		at = append(at, n.name)
	}
	if err := n.sameShape(values); err != nil {
		return err
	}
	n.update(at, values, ts, false, s.notifier(component))
	if ts < n.modified() {
		return Errorf(failedCondition, "Proposed timestamp is older than the config's latest modified timestamp")
	}
	return nil
}

// Merge is UpdateConfiguration of nucleus lite: what path names may be a leaf, and an older write is passed over without
// an error. It says whether the shapes allow it.
func (s *Store) Merge(component string, path []string, value any, ts int64) bool {
	for _, key := range slices.Backward(path) {
		value = map[string]any{key: value}
	}
	values, isMap := value.(map[string]any)
	s.mu.Lock()
	defer s.mu.Unlock()
	root := s.roots[component]
	if root == nil || !isMap || root.sameShape(values) != nil {
		return false
	}
	root.update(nil, values, ts, false, s.notifier(component))
	return true
}

// sameShape refuses to turn a leaf into a container or the reverse.
func (n *node) sameShape(values map[string]any) *Error {
	for key, v := range values {
		child := n.children[n.id(key)]
		if child == nil {
			continue
		}
		sub, isMap := v.(map[string]any)
		switch {
		case isMap && child.children == nil:
			return Errorf(InvalidArguments, "%s in %s is already a leaf, cannot become a container", key, n.name)
		case !isMap && child.children != nil:
			return Errorf(InvalidArguments, "%s in %s is already a container, cannot become a leaf", key, n.name)
		case isMap:
			if err := child.sameShape(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// Watch calls notify with the path of each change at or below path, until cancel is called. It is called under the store's
// lock, so in order, and must not block. Only a key that exists can be watched.
func (s *Store) Watch(component string, path []string, notify func(path []string)) (cancel func(), ok bool) {
	w := &watcher{component, path, notify}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots[component].find(path) == nil {
		return nil, false
	}
	s.watchers = append(s.watchers, w)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(x *watcher) bool { return x == w })
	}, true
}

// Normalise copies a value into the types that the store holds. Integers stay integers, which is visible on the wire.
func Normalise(path string, v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64, uint64:
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: %v is not JSON", path, v)
		}
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return f, nil
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return list, nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			n, err := Normalise(fmt.Sprintf("%s[%d]", path, i), e)
			if err != nil {
				return nil, err
			}
			list[i] = n
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			n, err := Normalise(path+"."+k, e)
			if err != nil {
				return nil, err
			}
			m[k] = n
		}
		return m, nil
	default:
		return nil, fmt.Errorf("%s: a %T cannot be configuration", path, v)
	}
}
