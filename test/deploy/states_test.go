package deploy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The page of states and codes has a row for each that a component can say, and for nothing else.
func TestStatesPageIsComplete(t *testing.T) {
	root := need.Root(t)
	declared := append(constants(t, filepath.Join(root, "shared/event/health.go"), "State"),
		constants(t, filepath.Join(root, "shared/event/condition.go"), "Code")...)
	if len(declared) < 10 {
		t.Fatalf("constants found: %v", declared)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|").FindAllStringSubmatch(string(read(t, root, "docs", "states.md")), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(declared)
	slices.Sort(documented)
	if !slices.Equal(declared, documented) {
		t.Errorf("docs/states.md has %v\nshared/event has %v", documented, declared)
	}
}

// constants are the values of a file's constants of a named string type.
func constants(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	must.OK(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			must.OK(t, err)
			values = append(values, text)
		}
		return true
	})
	return values
}
