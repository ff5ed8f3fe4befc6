package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// statement is one of a policy.
type statement struct {
	sid       string
	allow     bool
	actions   []string
	resources []string
	condition map[string]any
}

// request is one of a program to AWS.
type request struct {
	action, resource string
	context          map[string]string // keys of conditions, and variables of resources
}

func (r request) String() string {
	return fmt.Sprintf("%s on %s %v", r.action, r.resource, r.context)
}

// statements reads a policy document.
func statements(document any) []statement {
	var all []statement
	for _, one := range list(object(document)["Statement"]) {
		s := object(one)
		sid, _ := s["Sid"].(string)
		all = append(all, statement{sid, s["Effect"] == "Allow", texts(s["Action"]), texts(s["Resource"]), object(s["Condition"])})
	}
	return all
}

// like matches IAM's patterns, with * and ?.
func like(pattern, text string) bool {
	for ; pattern != ""; pattern = pattern[1:] {
		if pattern[0] == '*' {
			for i := range len(text) + 1 {
				if like(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		}
		if text == "" || pattern[0] != '?' && pattern[0] != text[0] {
			return false
		}
		text = text[1:]
	}
	return text == ""
}

// covers tells whether the statement is about the request.
func (s statement) covers(r request) bool {
	for _, action := range s.actions {
		for _, resource := range s.resources {
			if s.coversBy(action, resource, r) {
				return true
			}
		}
	}
	return false
}

var variables = regexp.MustCompile(`\$\{([^}]+)\}`)

// coversBy tells the same of one of its actions and one of its resources.
func (s statement) coversBy(action, resource string, r request) bool {
	resolved := true
	resource = variables.ReplaceAllStringFunc(resource, func(found string) string {
		value, has := r.context[variables.FindStringSubmatch(found)[1]]
		resolved = resolved && has
		return value
	})
	return resolved && like(strings.ToLower(action), strings.ToLower(r.action)) && like(resource, r.resource) && s.conditionHolds(r)
}

func (s statement) conditionHolds(r request) bool {
	for operator, keys := range s.condition {
		for key, wanted := range object(keys) {
			value, has := r.context[key]
			matches := false
			for _, one := range texts(wanted) {
				switch operator {
				case "StringEquals", "ArnEquals", "Bool":
					matches = matches || has && value == one
				case "StringLike", "ArnLike":
					matches = matches || has && like(one, value)
				default:
					panic("no operator " + operator)
				}
			}
			if !matches {
				return false
			}
		}
	}
	return true
}

// allowed evaluates a policy as IAM does: what is denied is denied, and what nothing allows.
func allowed(policy []statement, r request) bool {
	allow := false
	for _, s := range policy {
		if s.covers(r) {
			if !s.allow {
				return false
			}
			allow = true
		}
	}
	return allow
}

func TestPoliciesAreEvaluatedAsIAMDoes(t *testing.T) {
	policy := statements(map[string]any{"Statement": []any{
		map[string]any{"Effect": "Allow", "Action": []any{"s3:Get*", "s3:PutObject"}, "Resource": "arn:aws:s3:::b/a/*"},
		map[string]any{"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:t/${credentials-iot:ThingName}/*"},
		map[string]any{"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*",
			"Condition": map[string]any{"StringLike": map[string]any{"cloudwatch:namespace": []any{"x", "edgepdm/*"}}}},
		map[string]any{"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::b/a/secret?"},
	}})
	core := map[string]string{"credentials-iot:ThingName": "c-1"}
	for _, c := range []struct {
		request
		want bool
	}{
		{request{"s3:GetObject", "arn:aws:s3:::b/a/x", nil}, true},
		{request{"S3:getobject", "arn:aws:s3:::b/a/x/y", nil}, true},
		{request{"s3:GetObject", "arn:aws:s3:::b/A/x", nil}, false},
		{request{"s3:GetObject", "arn:aws:s3:::b/ab", nil}, false},
		{request{"s3:DeleteObject", "arn:aws:s3:::b/a/x", nil}, false},
		{request{"s3:GetObject", "arn:aws:s3:::b/a/secret1", nil}, false},
		{request{"iot:Publish", "arn:t/c-1/x", core}, true},
		{request{"iot:Publish", "arn:t/c-2/x", core}, false},
		{request{"iot:Publish", "arn:t//x", nil}, false},
		{request{"cloudwatch:PutMetricData", "*", map[string]string{"cloudwatch:namespace": "edgepdm/pdm"}}, true},
		{request{"cloudwatch:PutMetricData", "*", map[string]string{"cloudwatch:namespace": "AWS/EC2"}}, false},
		{request{"cloudwatch:PutMetricData", "*", nil}, false},
	} {
		if got := allowed(policy, c.request); got != c.want {
			t.Errorf("%v: %v, want %v", c.request, got, c.want)
		}
	}
}
