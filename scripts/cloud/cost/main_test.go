package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{need.Root(t)}, path...)...))
	must.OK(t, err)
	return string(text)
}

// TestPageHasTheTable: `make cloud-cost ARGS="-page docs/cloud.md"` writes it anew.
func TestPageHasTheTable(t *testing.T) {
	page := read(t, "docs", "cloud.md")
	var out bytes.Buffer
	must.OK(t, run(t.Context(), nil, cli.Streams{Out: &out, Err: &out}))
	if !strings.Contains(page, tableBegins+out.String()+tableEnds) {
		t.Errorf("docs/cloud.md does not have this table:\n%s", out.String())
	}
	file := filepath.Join(t.TempDir(), "page.md")
	must.OK(t, os.WriteFile(file, []byte("before\n"+tableBegins+"old\n"+tableEnds+"after\n"), 0o600))
	must.OK(t, run(t.Context(), []string{"-page", file}, cli.Streams{Out: &out, Err: &out}))
	text, err := os.ReadFile(file)
	must.OK(t, err)
	if got := string(text); !strings.HasPrefix(got, "before\n"+tableBegins+"US dollars") || !strings.HasSuffix(got, "|\n"+tableEnds+"after\n") {
		t.Errorf("the page is %q", got)
	}
}

// TestUsageIsThatOfTheTemplateAndTheRecipes: what the table counts is what there is.
func TestUsageIsThatOfTheTemplateAndTheRecipes(t *testing.T) {
	template := read(t, "scripts", "cloud", "template.yaml")
	for kind, want := range map[string]int{
		"AWS::CloudWatch::Alarm": stackAlarms + 1, "AWS::SecretsManager::Secret": stackSecrets, "AWS::CloudWatch::Dashboard": 1, "AWS::Logs::MetricFilter": 3,
		"AWS::EC2::Instance": 1, "AWS::SageMaker::NotebookInstance": 1, "AWS::KinesisFirehose::DeliveryStream": 1, "AWS::KMS::Key": 0, "AWS::EC2::NatGateway": 0,
		"AWS::SageMaker::Endpoint": 0, "AWS::EC2::EIP": 0,
	} {
		if got := strings.Count(template, "Type: "+kind+"\n"); got != want {
			t.Errorf("the template has %d of %s, the table counts %d", got, kind, want)
		}
	}
	r := defaults()
	for _, setting := range []struct {
		recipe, name string
		want         time.Duration
	}{{"cloud-forwarder", "heartbeat", r.heartbeat}, {"cloud-forwarder", "sample", r.sample}, {"model-fetcher", "poll", r.poll}} {
		found := regexp.MustCompile(`\n    ` + setting.name + `: (\S+)\n`).FindStringSubmatch(read(t, "recipes", setting.recipe, "recipe.yaml"))
		if found == nil {
			t.Fatalf("%s has no %s", setting.recipe, setting.name)
		}
		if got, err := time.ParseDuration(found[1]); err != nil || got != setting.want {
			t.Errorf("%s's %s is %s, the table counts %v", setting.recipe, setting.name, found[1], setting.want)
		}
	}
	if !strings.Contains(template, "BufferingHints: {IntervalInSeconds: 900,") || r.flush != 900*time.Second {
		t.Errorf("the table counts an object each %v", r.flush)
	}
}

func TestSums(t *testing.T) {
	p, err := readPrices(assumed)
	must.OK(t, err)
	used := map[string]bool{}
	sum := func(r rates, cores int) (usd float64) {
		items := month(r, cores)
		for _, i := range items {
			used[i.price] = true
		}
		usd, err := p.sum(items)
		must.OK(t, err)
		return usd
	}
	r := defaults()
	if got, want := sum(r, 0), 6*0.1+0.4; math.Abs(got-want) > 1e-9 { // alarms and the secret
		t.Errorf("an idle stack costs %v, want %v", got, want)
	}
	// One core that sends heartbeats alone: 43,800 of them.
	quiet := r
	quiet.sample, quiet.alarms, quiet.lines = 1e6*time.Hour, 0, 0
	want := 1.0 + 0.16 + 0.0438*0.08 + 0.0438*(1.00+0.15+0.15) + 2920*0.0004/1e3 + (3+stackMetrics)*0.3 + 0.1 + 43800*150/1e9*0.5
	if got := sum(quiet, 1); math.Abs(got-want) > 1e-4 {
		t.Errorf("a quiet core costs %v, want %v", got, want)
	}
	// Each core more costs the same.
	if a, b := sum(r, 10)-sum(r, 9), sum(r, 100)-sum(r, 99); math.Abs(a-b) > 1e-9 || a < 1 {
		t.Errorf("a core more costs %v, and %v", a, b)
	}
	// 60 machines at the default sample are 1 message a second: what they cost is what a core with them costs more than a quiet one.
	sixty := r
	sixty.machines = 60
	more := func(group string) (usd float64) {
		for i, items := range [][]item{month(sixty, 1), month(quiet, 1)} {
			for _, item := range items {
				if item.group == group {
					usd += float64(1-2*i) * p.USD[item.price] * item.quantity
				}
			}
		}
		return usd
	}
	of := func(groups ...int) (usd float64) {
		table, err := tabulate(p, [][]item{ways(r, 1)})
		must.OK(t, err)
		for _, g := range groups {
			usd += table.usd[table.groups[g]][0]
		}
		return usd
	}
	if got, want := of(2), more("Raw data: Firehose and S3"); math.Abs(got-want) > 0.01*want {
		t.Errorf("the copies of a message a second cost %v, want %v", got, want)
	}
	if got, want := of(0, 1), more("Cores: Greengrass, AWS IoT Core, rules"); math.Abs(got-want) > 0.01*want {
		t.Errorf("a message a second costs %v, want %v", got, want)
	}
	if got, want := of(3), 2.628*450/8.388608*0.005/1e3+2.628e6*150*12/1e9*0.023; math.Abs(got-want) > 1e-6 {
		t.Errorf("objects of a message a second cost %v, want %v", got, want)
	}
	for _, e := range extras(defaults()) {
		for _, i := range e.items {
			used[i.price] = true
		}
	}
	for name := range p.USD {
		if !used[name] {
			t.Errorf("nothing uses the price of %q", name)
		}
	}
}

func TestBadInput(t *testing.T) {
	prices := filepath.Join(t.TempDir(), "prices.json")
	must.OK(t, os.WriteFile(prices, []byte(`{"usd":{"secret, month":1}}`), 0o600))
	for _, c := range []struct{ want, args string }{
		{`"x" is no number of cores`, "-cores 1,x"},
		{`"0" is no number of cores`, "-cores 0"},
		{`"a" is no number of messages`, "-messages a"},
		{"must be above zero", "-machines 0"},
		{"must be above zero", "-sample 0s"},
		{"no such file", "-prices missing.json"},
		{"there is no price of", "-prices " + prices},
		{"has no table between", "-page " + prices},
	} {
		err := run(t.Context(), strings.Fields(c.args), cli.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}
