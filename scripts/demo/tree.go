package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// treeOf copies one component's recipe and artifacts out of a staged tree into a folder: nucleus lite copies all that a
// deployment hands over, and cannot write over programs that run.
func treeOf(stage, name, version, into string) error {
	recipe := filepath.Join("recipes", name+"-"+version+".yaml")
	text, err := os.ReadFile(filepath.Join(stage, recipe))
	if err != nil {
		return fmt.Errorf("read recipe: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(into, "recipes"), 0o755); err != nil {
		return fmt.Errorf("make tree of %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(into, recipe), text, 0o644); err != nil {
		return fmt.Errorf("make tree of %s: %w", name, err)
	}
	artifacts := filepath.Join("artifacts", name, version)
	if err := os.CopyFS(filepath.Join(into, artifacts), os.DirFS(filepath.Join(stage, artifacts))); err != nil {
		return fmt.Errorf("make tree of %s: %w", name, err)
	}
	return nil
}
