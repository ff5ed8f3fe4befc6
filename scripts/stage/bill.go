package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes a CycloneDX 1.6 bill of materials of a component: its programs with their hashes, and the modules
// that are linked into them, as the Go toolchain recorded them. It has no time and no serial number, so that equal
// programs have equal bills.
func writeBill(file, name, version string, programs []string) error {
	modules := make(map[string]cyclonedx.Component) // by package URL
	var files []cyclonedx.Component
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return fmt.Errorf("read modules of %s: %w", program, err)
		}
		sum, err := sha256File(program)
		if err != nil {
			return fmt.Errorf("write bill of materials: %w", err)
		}
		files = append(files, cyclonedx.Component{
			BOMRef: filepath.Base(program), Type: cyclonedx.ComponentTypeFile, Name: filepath.Base(program), Version: version,
			Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}},
		})
		std := module(&debug.Module{Path: "stdlib", Version: "v" + strings.TrimPrefix(info.GoVersion, "go")})
		modules[std.PackageURL] = std
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			m := module(dep)
			modules[m.PackageURL] = m
		}
	}
	components := files
	for _, url := range slices.Sorted(maps.Keys(modules)) {
		components = append(components, modules[url])
	}
	bill := cyclonedx.NewBOM()
	bill.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		BOMRef: name, Type: cyclonedx.ComponentTypeApplication, Name: name, Version: version,
	}}
	bill.Components = &components
	var text bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cyclonedx.SpecVersion1_6)
	if err == nil {
		err = os.WriteFile(file, text.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return nil
}

// module describes a Go module by its package URL, e.g. pkg:golang/gopkg.in/yaml.v3@v3.0.1.
func module(m *debug.Module) cyclonedx.Component {
	url := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	return cyclonedx.Component{
		BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url,
		Scope: cyclonedx.ScopeRequired,
	}
}
