package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// nucleusTexts are texts of the troubleshooting table that others print, with the sources in which they stand.
var nucleusTexts = map[string]string{
	"Nucleus exited 127. Retrying":                                                                   "classic scripts/loader: Nucleus exited ${kernel_exit_code}. Retrying",
	"Disk space critical: … bytes usable":                                                            "classic ComponentManager.java",
	"Component store size limit reached: …":                                                          "classic ComponentManager.java",
	"service is broken. Deployment is needed":                                                        "classic Lifecycle.java",
	"… is broken.":                                                                                   "lite ggdeploymentd deployment_handler.c",
	"S3 HeadObject returns 403 Access Denied":                                                        "classic S3Downloader.java",
	"claim platform compatibility":                                                                   "classic ComponentServiceHelper.java",
	"No Manifest was found for linux":                                                                "lite ggl-recipe recipe.c",
	"IPC Operation not authorized.":                                                                  "lite, seen on the wire",
	"Principal … is not authorized to perform …":                                                     "classic AuthorizationHandler.java",
	"Could not determine user/group to run with.":                                                    "classic GenericExternalService.java",
	"Not able to find auth information in directory: …":                                              "greengrass-cli NucleusAdapterIpcClientImpl.java",
	"Cannot publish because device is configured to run offline":                                     "classic MqttClient.java",
	"No local or cloud component version satisfies the requirements":                                 "classic ComponentManager.java",
	"Components reported that their to-be-deployed configuration is invalid":                         "classic DynamicComponentConfigurationValidator.java",
	"TES credentials were not retrieved and deployment is not a local deployment":                    "lite deployment_handler.c",
	"Device is configured to run offline and no local component version satisfies the requirements.": "classic ComponentManager.java",
	"Failed to copy artifacts.":                                                                      "lite ggdeploymentd deployment_handler.c",
	"ConflictException":                                                                              "AWS IoT Greengrass, CreateComponentVersion",
	"aws greengrassv2 get-service-role-for-account":                                                  "a command",
}

// Every symptom is a text that one of our programs prints, or one of those above.
func TestTroubleshootingQuotesWhatIsPrinted(t *testing.T) {
	root := need.Root(t)
	var source strings.Builder
	for _, folder := range []string{"components", "shared"} {
		err := fs.WalkDir(os.DirFS(filepath.Join(root, folder)), ".", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				source.Write(read(t, root, folder, path))
			}
			return err
		})
		must.OK(t, err)
	}
	span := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(read(t, root, "docs", "troubleshooting.md"))) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || cells[1] == " symptom " || strings.HasPrefix(cells[1], "-") {
			continue
		}
		rows++
		for _, text := range span.FindAllStringSubmatch(cells[1], -1) {
			if nucleusTexts[text[1]] != "" {
				continue
			}
			for part := range strings.SplitSeq(text[1], "…") {
				if !strings.Contains(source.String(), strings.TrimSpace(part)) {
					t.Errorf("no program prints %q of %q", part, text[1])
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows", rows)
	}
}

// blocks are the code blocks of a page in a language.
func blocks(t *testing.T, page, language string) (texts []string) {
	t.Helper()
	all := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(read(t, need.Root(t), "docs", page)), -1)
	for _, block := range all {
		texts = append(texts, block[1])
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no %s", page, language)
	}
	return texts
}

// names are what a reader of the pages has set.
var names = map[string]string{
	"AWS_REGION": "eu-west-1", "ACCOUNT": "123456789012", "BUCKET": "edgepdm-123456789012", "CORE": "press-hall-1", "GROUP": "edgepdm",
	"ROLE": "EdgepdmTokenExchangeRole", "ROLE_ALIAS": "EdgepdmTokenExchangeRoleAlias", "VERSION": "1.0.0",
	"KEY": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
}

// heredoc is a file that a command of a page writes.
func heredoc(t *testing.T, page, file string) []byte {
	t.Helper()
	text := strings.Join(blocks(t, page, "sh"), "")
	_, after, found := strings.Cut(text, "cat >"+file+" <<EOF\n")
	body, _, ended := strings.Cut(after, "\nEOF\n")
	if !found || !ended {
		t.Fatalf("%s does not write %s", page, file)
	}
	const dollar = "\x00"
	body = os.Expand(strings.ReplaceAll(body, `\$`, dollar), func(name string) string {
		if names[name] == "" {
			t.Errorf("%s: %s has the variable %q", page, file, name)
		}
		return names[name]
	})
	return []byte(strings.ReplaceAll(body, dollar, "$"))
}

// The policy of the token exchange role names what it allows, and only that.
func TestConsolePolicyIsLeastPrivilege(t *testing.T) {
	var policy struct {
		Version   string
		Statement []struct {
			Sid, Effect      string
			Action, Resource []string
			Condition        map[string]map[string][]string
		}
	}
	must.OK(t, json.Unmarshal(heredoc(t, "console.md", "policy.json"), &policy))
	var actions []string
	for _, s := range policy.Statement {
		actions = append(actions, s.Action...)
		for _, resource := range s.Resource {
			if !regexp.MustCompile(`^arn:aws:(s3|iot|sns):[^*]{8,}(\*|[^*])$`).MatchString(resource) {
				t.Errorf("%s: resource %q names nothing", s.Sid, resource)
			}
		}
		if slices.Contains(s.Action, "s3:ListBucket") && len(s.Condition["StringLike"]["s3:prefix"]) == 0 {
			t.Errorf("%s: the whole bucket is listed", s.Sid)
		}
	}
	if own := "arn:aws:iot:eu-west-1:123456789012:topic/edgepdm/${credentials-iot:ThingName}/*"; !slices.Contains(policy.Statement[4].Resource, own) {
		t.Errorf("a core may publish as another: %q", policy.Statement[4].Resource)
	}
	var own []string
	for _, stream := range []string{"predictions", "telemetry"} {
		own = append(own, "arn:aws:s3:::edgepdm-123456789012/raw/"+stream+"/core=${credentials-iot:ThingName}/*")
	}
	if got := policy.Statement[5].Resource; !slices.Equal(got, own) {
		t.Errorf("a core may put objects as another: %q", got)
	}
	slices.Sort(actions)
	want := []string{"iot:Publish", "s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject", "sns:Publish"}
	if !slices.Equal(actions, want) {
		t.Errorf("actions %q, want %q", actions, want)
	}
}

// What the pages give to paste is configuration that the components accept.
func TestConsoleConfigurationIsValid(t *testing.T) {
	texts := blocks(t, "console.md", "json")
	var deployment map[string]struct {
		Version string `json:"componentVersion"`
		Update  struct {
			Merge string `json:"merge"`
		} `json:"configurationUpdate"`
	}
	must.OK(t, json.Unmarshal(heredoc(t, "console.md", "deployment.json"), &deployment))
	pasted := map[string][]string{event.CloudForwarder: {texts[0]}, event.ModelFetcher: {texts[1]}, event.InferenceEngine: {texts[2]}}
	for name, component := range deployment {
		if !slices.Contains([]string{event.Suite, event.CloudForwarder, event.ModelFetcher, event.InferenceEngine, event.SensorSimulator}, name) || component.Version != "1.0.0" {
			t.Errorf("deployment has %s %s", name, component.Version)
		}
		if component.Update.Merge != "" {
			pasted[name] = append(pasted[name], component.Update.Merge)
		}
	}
	for name, merges := range pasted {
		if len(merges) != 2 {
			t.Errorf("%s: %d configurations, on the page and in the deployment", name, len(merges))
		}
		for _, merge := range merges {
			forwarderConfig, fetcherConfig, engineConfig := forwarder.Default(), fetcher.Default(), engine.Default()
			var err error
			decode := func(into any) {
				decoder := json.NewDecoder(strings.NewReader(merge))
				decoder.DisallowUnknownFields()
				err = decoder.Decode(into)
			}
			switch name {
			case event.CloudForwarder:
				if decode(&forwarderConfig); err == nil {
					err = forwarderConfig.Validate()
				}
			case event.ModelFetcher:
				if decode(&fetcherConfig); err == nil {
					err = fetcherConfig.Validate()
				}
			case event.InferenceEngine:
				if decode(&engineConfig); err == nil {
					err = engineConfig.Validate()
				}
			}
			if err != nil {
				t.Errorf("%s: %s: %v", name, merge, err)
			}
		}
	}
	var update map[string]map[string]any
	if err := json.Unmarshal([]byte(blocks(t, "local-deployment.md", "json")[0]), &update); err != nil {
		t.Error(err)
	}
}

// Links between the pages, and to the source, lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	root := need.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]+)?\)`)
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		for _, m := range link.FindAllStringSubmatch(string(read(t, page)), -1) {
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
			}
			if !exists(target) {
				t.Errorf("%s links to %s", filepath.Base(page), m[1])
				continue
			}
			if m[2] != "" && !slices.Contains(anchors(string(read(t, target))), m[2]) {
				t.Errorf("%s links to %s%s", filepath.Base(page), m[1], m[2])
			}
		}
	}
}

// anchors are the names by which a page's headings can be linked to.
func anchors(page string) (names []string) {
	for line := range strings.Lines(page) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			names = append(names, "#"+strings.ReplaceAll(name, " ", "-"))
		}
	}
	return names
}

// The table of folders in architecture.md names every folder with programs or packages, and none that is not there.
func TestArchitectureNamesEveryFolder(t *testing.T) {
	root := need.Root(t)
	page := string(read(t, root, "docs", "architecture.md"))
	for _, top := range []string{"components", "shared", "scripts", "test"} {
		entries, err := os.ReadDir(filepath.Join(root, top))
		must.OK(t, err)
		for _, entry := range entries {
			if folder := top + "/" + entry.Name(); entry.IsDir() && !strings.Contains(page, "["+folder+"](../"+folder+")") {
				t.Errorf("docs/architecture.md has no link to %s", folder)
			}
		}
	}
}
