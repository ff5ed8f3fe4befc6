package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	iottypes "github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// stackXML is what AWS says of a stack in a state.
func stackXML(status, tags string) string {
	return `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackId>arn:aws:cloudformation:eu-west-1:123456789012:stack/pdm/1</StackId><StackName>pdm</StackName>` +
		`<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>` + status + `</StackStatus><StackStatusReason>the reason</StackStatusReason>` + tags + `</member></Stacks></DescribeStacksResult></DescribeStacksResponse>`
}

const ourTag = "<Tags><member><Key>edgepdm:stack</Key><Value>pdm</Value></member></Tags>"

func xml(w http.ResponseWriter, text string) bool {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(text)) // the program's tests see what is missing
	return true
}

// inState has a stack in a state until it is deleted, or brought on.
func inState(status, tags string) func(w http.ResponseWriter, r *http.Request, call string) bool {
	gone := new(atomic.Bool)
	return func(w http.ResponseWriter, _ *http.Request, call string) bool {
		if gone.Load() {
			return false
		}
		switch call {
		case "cloudformation DescribeStacks":
			return xml(w, stackXML(status, tags))
		case "cloudformation DescribeStackEvents":
			return xml(w, `<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents></StackEvents></DescribeStackEventsResult></DescribeStackEventsResponse>`)
		case "cloudformation ListStackResources":
			return xml(w, `<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries></StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>`)
		case "cloudformation ListChangeSets":
			return xml(w, `<ListChangeSetsResponse><ListChangeSetsResult><Summaries><member><ChangeSetName>theirs</ChangeSetName></member></Summaries></ListChangeSetsResult></ListChangeSetsResponse>`)
		case "cloudformation ContinueUpdateRollback":
			return xml(w, `<ContinueUpdateRollbackResponse><ContinueUpdateRollbackResult/></ContinueUpdateRollbackResponse>`)
		case "cloudformation DeleteStack":
			gone.Store(true)
			return xml(w, `<DeleteStackResponse/>`)
		}
		return false
	}
}

// failing answers one call with an error.
func failing(prefix string, status int, code, message string) func(w http.ResponseWriter, r *http.Request, call string) bool {
	return func(w http.ResponseWriter, _ *http.Request, call string) bool {
		if !strings.HasPrefix(call, prefix) {
			return false
		}
		if service, _, _ := strings.Cut(call, " "); service == "iot" || service == "greengrass" {
			fail(w, status, code, message)
		} else if service == "s3" {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
		} else {
			failXML(w, status, code, message)
		}
		return true
	}
}

// What fails says which step, why, and what to do; and makes nothing that the same command would stumble over.
func TestUpSaysWhatIsWrong(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("testdata/small.yaml")
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, call string) bool
		more   []string
		code   int
		want   []string
		made   bool // it is repaired, and goes on
	}{
		{"expired credentials", failing("sts", 403, "ExpiredToken", "The security token included in the request is expired"), nil, 1,
			[]string{"sign in to AWS", "have expired", "aws sso login"}, false},
		{"a region that is not enabled", failing("sts", 403, "InvalidClientTokenId", "The security token included in the request is invalid"), nil, 1,
			[]string{"region eu-west-1 is not enabled"}, false},
		{"not allowed", failing("cloudformation DescribeStacks", 403, "AccessDenied", "you may not call cloudformation:DescribeStacks"), nil, 1,
			[]string{"look for stack pdm", "do not allow it", "cloudformation:DescribeStacks"}, false},
		{"throttled for good", failing("cloudformation CreateChangeSet", 400, "Throttling", "Rate exceeded"), nil, 1, []string{"create stack pdm", "wants fewer requests", "run the same command again"}, false},
		{"the bucket's name is taken", failing("s3 PUT /pdm-code-123456789012-eu-west-1", 409, "BucketAlreadyExists", "The requested bucket name is not available"), nil, 1,
			[]string{"make bucket pdm-code-123456789012-eu-west-1", "another account has a bucket of that name", "STACK="}, false},
		{"the bucket is another account's", failing("s3 HEAD /pdm-code-123456789012-eu-west-1", 403, "", ""), nil, 1, []string{"another account has a bucket of that name"}, false},
		{"an e-mail with a typo", nil, []string{"-email", "you@gmial.com"}, 2, []string{"did you mean you@gmail.com?"}, false},
		{"a parameter that is none", nil, []string{"-param", "Mood=good"}, 2, []string{"no parameter Mood", "TopicPrefix"}, false},
		{"a parameter's value", nil, []string{"-param", "Mode=lazy"}, 2, []string{`parameter Mode: "lazy" is none of fast, slow`}, false},
		{"a version that is not registered", nil, []string{"-deploy", "9.9.9"}, 1, []string{"com.edgepdm.Suite 9.9.9 is not registered in region eu-west-1", "docs/console.md"}, false},
		{"a stack's name", nil, []string{"-stack", "Pdm"}, 2, []string{"-stack", "lower-case"}, false},
		{"somebody else's stack", inState("CREATE_COMPLETE", ""), nil, 1, []string{"lacks the tag edgepdm:stack=pdm", "left alone"}, false},
		{"somebody else prepares it", inState("REVIEW_IN_PROGRESS", ""), nil, 1, []string{"prepared by somebody else (change set theirs)"}, false},
		{"never complete", inState("ROLLBACK_COMPLETE", ourTag), nil, 0, []string{"never complete (ROLLBACK_COMPLETE)", "Create stack pdm"}, true},
		{"never executed", inState("REVIEW_IN_PROGRESS", ourTag), nil, 0, []string{"never complete (REVIEW_IN_PROGRESS)", "Create stack pdm"}, true},
		{"not undone", inState("UPDATE_ROLLBACK_FAILED", ourTag), nil, 1, []string{"trying it again", "UPDATE_ROLLBACK_FAILED", "the reason"}, false},
		{"not deleted", inState("DELETE_FAILED", ourTag), nil, 1, []string{"DELETE_FAILED", "the reason", "make cloud-down"}, false},
		{"not rolled back", inState("ROLLBACK_FAILED", ourTag), nil, 1, []string{"ROLLBACK_FAILED", "make cloud-down"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			a.reset()
			a.answer = c.answer
			code, out := a.run(append(up, c.more...)...)
			if code != c.code {
				t.Errorf("exits with %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
			a.answer = nil
			if left := a.rest(); !c.made && len(left) > 1 { // the bucket with the code is made before the stack
				t.Errorf("made are %q", left)
			}
			a.do(up...)
			a.do("down", "-yes")
			if left := a.rest(); len(left) > 0 {
				t.Errorf("left are %q", left)
			}
		})
	}
}

// A request that AWS throttles is repeated.
func TestThrottledOnce(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("testdata/small.yaml")
	throttled := make(map[string]bool)
	throttle := failing("cloudformation", 400, "Throttling", "Rate exceeded")
	a.answer = func(w http.ResponseWriter, r *http.Request, call string) bool {
		if throttled[call] {
			return false
		}
		throttled[call] = true
		return throttle(w, r, call)
	}
	a.do(up...)
	if len(throttled) < 4 {
		t.Errorf("throttled were %v", throttled)
	}
}

// A resource that AWS cannot make is named, with the reason.
func TestResourceThatFails(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("testdata/small.yaml")
	executed := new(atomic.Bool)
	event := func(name, status, reason string) string {
		return fmt.Sprintf(`<member><StackId>s</StackId><EventId>%s-%s</EventId><StackName>pdm</StackName><LogicalResourceId>%s</LogicalResourceId><PhysicalResourceId>x</PhysicalResourceId>`+
			`<ResourceType>AWS::SQS::Queue</ResourceType><Timestamp>2026-01-01T00:00:00Z</Timestamp><ResourceStatus>%s</ResourceStatus><ResourceStatusReason>%s</ResourceStatusReason></member>`, name, status, name, status, reason)
	}
	a.answer = func(w http.ResponseWriter, _ *http.Request, call string) bool {
		switch {
		case call == "cloudformation ExecuteChangeSet":
			executed.Store(true)
			return xml(w, `<ExecuteChangeSetResponse><ExecuteChangeSetResult/></ExecuteChangeSetResponse>`)
		case executed.Load() && call == "cloudformation DescribeStacks":
			return xml(w, stackXML("ROLLBACK_COMPLETE", ourTag))
		case executed.Load() && call == "cloudformation DescribeStackEvents": // the newest first
			return xml(w, `<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>`+event("ErrorQueue", "DELETE_COMPLETE", "")+
				event("OtherQueue", "CREATE_FAILED", "Resource creation cancelled")+event("ErrorQueue", "CREATE_FAILED", "the quota of queues is reached")+
				`</StackEvents></DescribeStackEventsResult></DescribeStackEventsResponse>`)
		}
		return false
	}
	code, out := a.run(up...)
	for _, want := range []string{
		"create failed    ErrorQueue (AWS::SQS::Queue): the quota of queues is reached", "delete complete  ErrorQueue",
		"cloud up: create stack pdm: AWS has undone it (ROLLBACK_COMPLETE):\n  ErrorQueue (AWS::SQS::Queue): the quota of queues is reached\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if code != cli.ExitFailed {
		t.Errorf("exits with %d", code)
	}
}

// Whoever has not signed in is told how, and AWS is not asked.
func TestNoCredentials(t *testing.T) {
	for _, c := range []struct {
		config aws.Config
		want   string
	}{
		{aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no EC2 IMDS role found")
		})}, "no credentials: run `aws configure`"},
		{aws.Config{Region: region}, "no credentials"},
		{aws.Config{}, "no region is set: give REGION=eu-west-1"},
	} {
		e := environment{config: func(context.Context, string) (aws.Config, error) { return c.config, nil }}
		code, out := runIn(t.Context(), e, "", "status")
		if code != cli.ExitFailed || !strings.Contains(out, c.want) {
			t.Errorf("exits with %d: %s; want %q", code, out, c.want)
		}
	}
}

// Only what has the stack's tag goes; what stays is told.
func TestDownLeavesWhatIsOthers(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("testdata/small.yaml")
	a.do(up...)
	ctx, things := t.Context(), iot.NewFromConfig(a.direct())
	name, group := aws.String("theirs"), aws.String("pdm-cores")
	_, err := things.CreateThing(ctx, &iot.CreateThingInput{ThingName: name})
	must.OK(t, err)
	_, err = things.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingName: name, ThingGroupName: group})
	must.OK(t, err)
	policy := aws.String("pdm-core-press-2")
	_, err = things.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: policy, PolicyDocument: aws.String("{}")})
	must.OK(t, err)

	for _, c := range [][2]string{
		{"theirs", "thing theirs exists, and lacks the attribute"}, {"press-2", "policy pdm-core-press-2 exists, and lacks the tag"},
		{"the", "the is the beginning of the name of thing theirs"}, {"a/b", "not a core's name"}, {"-x", "not a core's name"},
	} {
		if code, out := a.run("core-provision", "-name", c[0]); code == cli.ExitOK || !strings.Contains(out, c[1]) {
			t.Errorf("core %q: exits with %d: %s", c[0], code, out)
		}
	}
	a.do("core-provision", "-name", "press-1")
	if code, out := a.run("core-provision", "-name", "press-10"); code == cli.ExitOK || !strings.Contains(out, "begins with the name of core press-1") {
		t.Errorf("exits with %d: %s", code, out)
	}
	if code, out := a.run("core-remove", "-name", "theirs"); code == cli.ExitOK || !strings.Contains(out, "is left alone") {
		t.Errorf("exits with %d: %s", code, out)
	}
	a.devices["press-1"], a.devices["theirs"], a.deployments["d-1"], a.deployments["d-2"] = "UNHEALTHY", "HEALTHY", "ACTIVE", "CANCELED"
	status := a.do("status")
	for _, want := range []string{"press-1                        UNHEALTHY  last status ", "theirs                         in the group, not made by core-provision"} {
		if !strings.Contains(status, want) {
			t.Errorf("%q is missing in\n%s", want, status)
		}
	}
	// A folder without the key makes no second certificate.
	must.OK(t, os.Rename("cores", "elsewhere"))
	if code, out := a.run("core-provision", "-name", "press-1"); code == cli.ExitOK || !strings.Contains(out, "lacks its key") {
		t.Errorf("exits with %d: %s", code, out)
	}
	fill(t, a)
	if code, out := runIn(ctx, a.environment(), "no\n", "down"); code == cli.ExitOK || !strings.Contains(out, "nothing was removed") {
		t.Errorf("exits with %d: %s", code, out)
	}
	if code, out := a.run("down"); code == cli.ExitOK || !strings.Contains(out, "add -yes") {
		t.Errorf("with nobody to ask it exits with %d: %s", code, out)
	}
	code, out := runIn(ctx, a.environment(), "yes\n", "down")
	t.Log(out)
	// The policy that was there before has no tag: the core of its name is not removed to the end.
	if code != cli.ExitFailed || !strings.Contains(out, "Not removed:\n  policy pdm-core-press-2") || !strings.Contains(out, "stays: thing theirs") {
		t.Errorf("exits with %d", code)
	}
	_, err = things.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: policy})
	must.OK(t, err)
	a.do("down", "-yes")
	if left := strings.Join(a.rest(), ", "); left != "core device theirs, thing theirs" {
		t.Errorf("left are %s", left)
	}
}

// A core of fleet provisioning has a certificate that AWS made, and a policy without a tag: its thing says that they are its own.
func TestCoreOfFleetProvisioning(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	a.do(a.inFolder("testdata/small.yaml")...)
	ctx, things := t.Context(), iot.NewFromConfig(a.direct())
	name, policy := aws.String("fleet-1"), aws.String("pdm-core-fleet-1")
	_, err := things.CreateThing(ctx, &iot.CreateThingInput{ThingName: name, AttributePayload: &iottypes.AttributePayload{
		Attributes: map[string]string{"edgepdm:stack": "pdm", "edgepdm:fleet": "yes"}}})
	must.OK(t, err)
	_, err = things.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: policy, PolicyDocument: aws.String("{}")})
	must.OK(t, err)
	certificate, err := things.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{SetAsActive: true})
	must.OK(t, err)
	_, err = things.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: policy, Target: certificate.CertificateArn})
	must.OK(t, err)
	_, err = things.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: name, Principal: certificate.CertificateArn})
	must.OK(t, err)
	if out := a.do("down", "-yes"); !strings.Contains(out, "deleted core fleet-1") {
		t.Error(out)
	}
	if left := a.rest(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// fill writes more versions into the stack's bucket than a request deletes, and marks of deletions.
func fill(t *testing.T, a *testAWS) {
	t.Helper()
	buckets, err := a.s3().ListBuckets(t.Context(), &s3.ListBucketsInput{Prefix: aws.String("pdm-databucket")})
	must.OK(t, err)
	bucket := buckets.Buckets[0].Name
	_, err = a.s3().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	must.OK(t, err)
	for i := range 520 {
		key := aws.String(fmt.Sprintf("raw/%d", i/2))
		_, err := a.s3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader([]byte("x"))})
		must.OK(t, err)
		_, err = a.s3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key})
		must.OK(t, err)
	}
}
