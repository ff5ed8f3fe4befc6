package opcuasource

import (
	"context"
	"fmt"
	"unicode"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"edgepdm/components/ingest/mapping"
)

// Variable is a node that has a value.
type Variable struct {
	Node  string // its id, as a tag
	Path  string // of names from the objects' folder
	Value string // at the moment
}

// Bounds of a browse.
const (
	maxDepth = 16
	maxNodes = 100_000
)

// Browse finds the variables of a server, in its own order, and calls found for each.
func Browse(ctx context.Context, c mapping.OPCUA, found func(Variable) error) error {
	client, err := Connect(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close(context.WithoutCancel(ctx)) }() // it was only read from
	b := browser{client: client, found: found, seen: make(map[string]bool)}
	return b.below(ctx, client.Node(ua.NewNumericNodeID(0, id.ObjectsFolder)), "", 0)
}

// short makes a line of a value.
func short(value any) string {
	text := []rune(fmt.Sprint(value))
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	return string(text[:min(len(text), 64)])
}

type browser struct {
	client *opcua.Client
	found  func(Variable) error
	seen   map[string]bool
}

func (b *browser) below(ctx context.Context, n *opcua.Node, path string, depth int) error {
	if depth > maxDepth {
		return nil
	}
	references, err := n.References(ctx, id.HierarchicalReferences, ua.BrowseDirectionForward, ua.NodeClassObject|ua.NodeClassVariable, true)
	if err != nil {
		return fmt.Errorf("browse %s: %w", n.ID, err)
	}
	for _, r := range references {
		node := r.NodeID.NodeID
		if b.seen[node.String()] || node.Namespace() == 0 { // the server's own objects are no machine's
			continue
		}
		if len(b.seen) == maxNodes {
			return fmt.Errorf("the server has more than %d nodes", maxNodes)
		}
		b.seen[node.String()] = true
		child := b.client.Node(node)
		name := short(r.BrowseName.Name)
		if path != "" {
			name = path + "/" + name
		}
		if r.NodeClass == ua.NodeClassVariable {
			v := Variable{Node: node.String(), Path: name, Value: "-"}
			if value, err := child.Value(ctx); err == nil && value != nil {
				v.Value = short(value.Value())
			}
			if err := b.found(v); err != nil {
				return err
			}
		}
		if err := b.below(ctx, child, name, depth+1); err != nil {
			return err
		}
	}
	return nil
}
