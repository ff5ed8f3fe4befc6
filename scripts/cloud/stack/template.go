// Package stack makes, watches and deletes the CloudFormation stack of the cloud side.
package stack

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Template is a CloudFormation template, as far as it is looked at here.
type Template struct {
	Body       string               `yaml:"-"`
	Parameters map[string]Parameter `yaml:"Parameters"`
	Resources  map[string]struct {
		Type string `yaml:"Type"`
	} `yaml:"Resources"`
}

// Parameter is a parameter of a template.
type Parameter struct {
	Type       string   `yaml:"Type"`
	Default    *string  `yaml:"Default"`
	Allowed    []string `yaml:"AllowedValues"`
	Pattern    string   `yaml:"AllowedPattern"`
	Constraint string   `yaml:"ConstraintDescription"`
}

// Parse reads a template.
func Parse(body []byte) (*Template, error) {
	t := &Template{Body: string(body)}
	if err := yaml.Unmarshal(body, t); err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	if len(t.Resources) == 0 {
		return nil, errors.New("read template: it has no resources")
	}
	return t, nil
}

// Check says which of the values the template does not take: AWS would say so after a while, and less clearly. before are the
// parameters that the stack has already.
func (t *Template) Check(values, before map[string]string) error {
	names := slices.Sorted(maps.Keys(t.Parameters))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, known := t.Parameters[name]
		if !known {
			return fmt.Errorf("the template has no parameter %s; it has %s", name, strings.Join(names, ", "))
		}
		if err := p.check(values[name]); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	for _, name := range names {
		_, given := values[name]
		_, kept := before[name]
		if !given && !kept && t.Parameters[name].Default == nil {
			return fmt.Errorf("parameter %s has no default: give -param %s=VALUE", name, name)
		}
	}
	return nil
}

func (p Parameter) check(value string) error {
	if len(p.Allowed) > 0 && !slices.Contains(p.Allowed, value) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(p.Allowed, ", "))
	}
	if p.Type == "Number" {
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
	}
	if p.Pattern == "" {
		return nil
	}
	pattern, err := regexp.Compile("^(?:" + p.Pattern + ")$")
	if err != nil || pattern.MatchString(value) {
		return nil //nolint:nilerr // Java takes patterns that Go does not: then AWS checks
	}
	if p.Constraint != "" {
		return fmt.Errorf("%q: %s", value, p.Constraint)
	}
	return fmt.Errorf("%q does not fit %s", value, p.Pattern)
}
