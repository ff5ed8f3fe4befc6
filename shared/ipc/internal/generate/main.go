// Command generate writes the generated files of package ipc, and the table of operations in its README, from
// model/greengrass.yaml. It runs in the package's folder: go generate ./shared/ipc.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run generates into dir, the folder of package ipc.
func run(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the contents of all files that depend on the model, by name.
func generate(dir string) (map[string][]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, "model", "greengrass.yaml"))
	if err != nil {
		return nil, err
	}
	m, err := parseModel(text)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	files, err := render(m)
	if err != nil {
		return nil, err
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		return nil, err
	}
	if files["README.md"], err = withTable(readme, m); err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	return files, nil
}
