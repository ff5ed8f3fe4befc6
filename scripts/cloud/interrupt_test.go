package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// rest lists what the commands make in the account with the small template; quicker than inventory.
func (a *testAWS) rest() []string {
	a.t.Helper()
	ctx, things := a.t.Context(), iot.NewFromConfig(a.direct())
	var list []string
	add := func(kind string, name *string) { list = append(list, kind+" "+*name) }
	stacks, err := cloudformation.NewFromConfig(a.direct()).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{})
	must.OK(a.t, err)
	for _, s := range stacks.Stacks {
		add("stack", s.StackName)
	}
	buckets, err := a.s3().ListBuckets(ctx, &s3.ListBucketsInput{})
	must.OK(a.t, err)
	for _, b := range buckets.Buckets {
		add("bucket", b.Name)
	}
	all, err := things.ListThings(ctx, &iot.ListThingsInput{})
	must.OK(a.t, err)
	for _, t := range all.Things {
		add("thing", t.ThingName)
	}
	policies, err := things.ListPolicies(ctx, &iot.ListPoliciesInput{})
	must.OK(a.t, err)
	for _, p := range policies.Policies {
		add("policy", p.PolicyName)
	}
	certificates, err := things.ListCertificates(ctx, &iot.ListCertificatesInput{})
	must.OK(a.t, err)
	for _, c := range certificates.Certificates {
		add("certificate", c.CertificateId)
	}
	groups, err := things.ListThingGroups(ctx, &iot.ListThingGroupsInput{})
	must.OK(a.t, err)
	for _, g := range groups.ThingGroups {
		add("group", g.GroupName)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.devices {
		list = append(list, "core device "+name)
	}
	for name := range a.deployments {
		list = append(list, "deployment "+name)
	}
	slices.Sort(list)
	return list
}

// killed runs a command that is killed once its call n was carried out, before it has the answer. It reports whether the command
// came to its end before.
func (a *testAWS) killed(n int, args ...string) (done bool) {
	a.t.Helper()
	ctx, kill := context.WithCancel(a.t.Context())
	defer kill()
	a.mu.Lock()
	a.calls = nil
	a.after = func(call int) {
		if call == n {
			kill()
			<-ctx.Done()
		}
	}
	a.mu.Unlock()
	code, out := runIn(ctx, a.environment(), "", args...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.after = nil
	if len(a.calls) < n {
		if code != cli.ExitOK {
			a.t.Fatalf("%q fails by itself before call %d:\n%s", args, n, out)
		}
		return true
	}
	if code == cli.ExitOK && ctx.Err() != nil && len(a.calls) > n {
		a.t.Errorf("%q goes on after it was killed at call %d of %q", args, n, a.calls)
	}
	return false
}

func TestKilledAfterEachCall(t *testing.T) {
	need.Long(t)
	a := newTestAWS(t)
	up := a.inFolder("testdata/small.yaml")
	down := []string{"down", "-yes"}
	provision := []string{"core-provision", "-name", "press-1"}
	for _, c := range []struct {
		name         string
		before       [][]string // commands
		killed       []string
		then         [][]string // commands
		certificates int
	}{
		{"up, and up again", nil, up, [][]string{up}, 0},
		{"up, and down", nil, up, [][]string{down}, 0},
		{"core-provision, and again", [][]string{up}, provision, [][]string{provision}, 1},
		{"core-provision, and core-remove", [][]string{up}, provision, [][]string{{"core-remove", "-name", "press-1"}}, 0},
		{"core-provision, and down", [][]string{up}, provision, [][]string{down}, 0},
		{"new certificate, and again", [][]string{up, provision}, append(provision, "-new-certificate"), [][]string{append(provision, "-new-certificate")}, 1},
		{"core-remove, and again", [][]string{up, provision}, []string{"core-remove", "-name", "press-1"}, [][]string{{"core-remove", "-name", "press-1"}}, 0},
		{"down, and down again", [][]string{up, provision}, down, [][]string{down}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			for n := 1; ; n++ {
				a.reset()
				must.OK(t, os.RemoveAll("cores"))
				for _, args := range c.before {
					a.do(args...)
				}
				a.mu.Lock()
				if len(c.before) > 1 {
					a.devices["press-1"], a.deployments["d-1"] = "HEALTHY", "ACTIVE"
				}
				a.mu.Unlock()
				if a.killed(n, c.killed...) {
					t.Logf("%d calls", n-1)
					return
				}
				for _, args := range c.then {
					a.do(args...)
				}
				left := a.rest()
				certificates := len(slices.DeleteFunc(slices.Clone(left), func(s string) bool { return !strings.HasPrefix(s, "certificate ") }))
				if certificates != c.certificates {
					t.Errorf("killed after call %d: %d certificates, want %d", n, certificates, c.certificates)
				}
				a.do(down...)
				if left := a.rest(); len(left) > 0 {
					t.Fatalf("killed after call %d: left are %q", n, left)
				}
			}
		})
	}
}
