package main_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edgepdm/test/need"
)

// sdk is where the services' packages of AWS's SDK are.
const sdk = "github.com/aws/aws-sdk-go-v2/service/"

// calls lists the operations of AWS, such as s3.GetObject, that the packages and what they import of this module ask for: every one
// needs its input's type. An operation that takes a version of an object is told as s3.GetObjectVersion, too.
func calls(t *testing.T, packages ...string) []string {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`}, packages...)...)
	list.Dir = need.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []string
	for file := range bytes.FieldsSeq(out) {
		found = append(found, callsOf(t, filepath.Clean(string(file)), nil)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func callsOf(t *testing.T, file string, source any) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]string{} // by the name that the file has for the package
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		service, of := strings.CutPrefix(path, sdk)
		if !of || strings.Contains(service, "/") {
			continue
		}
		name := service
		if spec.Name != nil {
			name = spec.Name.Name
		}
		services[name] = service
	}
	var found []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok && services[of.Name] != "" {
			if operation, is := strings.CutSuffix(selector.Sel.Name, "Input"); is {
				found = append(found, services[of.Name]+"."+operation)
			}
		}
		if of, ok := selector.X.(*ast.Ident); ok && of.Name == "input" && selector.Sel.Name == "VersionId" {
			found = append(found, "s3.GetObjectVersion")
		}
		return true
	})
	return found
}

func TestCallsAreFoundInSources(t *testing.T) {
	const source = `package p
import (
	store "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)
var x = types.ObjectInput{}
func f(p *sns.PublishInput) {
	input := &store.GetObjectInput{}
	input.VersionId = nil
	_ = store.NewListObjectsV2Paginator(nil, &store.ListObjectsV2Input{})
}`
	want := []string{"sns.Publish", "s3.GetObject", "s3.GetObjectVersion", "s3.ListObjectsV2"}
	if got := callsOf(t, "p.go", source); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
