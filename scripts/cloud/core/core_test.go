package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"edgepdm/scripts/cloud/account"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The authority of AWS's servers is the one whose fingerprint Amazon Trust Services publishes.
func TestRootCA(t *testing.T) {
	block, rest := pem.Decode(rootCA)
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		t.Fatal("it is not one PEM block")
	}
	sum := sha256.Sum256(block.Bytes)
	if got := hex.EncodeToString(sum[:]); got != "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e" {
		t.Errorf("its fingerprint is %s", got)
	}
}

func TestCheckName(t *testing.T) {
	for _, right := range []string{"press-1", "P", "a_b", strings.Repeat("a", 64)} {
		if err := CheckName(right); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
	for _, wrong := range []string{"", "-a", "a b", "a/b", "a:b", "..", "a*", strings.Repeat("a", 65)} {
		if CheckName(wrong) == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

// What a core may do is what docs/account.md gives it, and what the stack's topics need.
func TestPolicyIsThatOfTheAccountPage(t *testing.T) {
	c := &Cores{Account: &account.Account{ID: "123456789012", Partition: "aws", Region: "eu-west-1", Stack: "pdm"}}
	text, err := c.policy("press-1", Place{Group: "pdm-cores", RoleAlias: "pdm-core", TopicPrefix: "edgepdm"})
	must.OK(t, err)
	grants := func(document string) map[string]bool {
		var parsed struct {
			Statement []struct{ Action, Resource any }
		}
		must.OK(t, json.Unmarshal([]byte(document), &parsed))
		list := func(v any) []any {
			if one, ok := v.(string); ok {
				return []any{one}
			}
			return v.([]any)
		}
		all := make(map[string]bool)
		for _, s := range parsed.Statement {
			for _, action := range list(s.Action) {
				for _, resource := range list(s.Resource) {
					all[action.(string)+" "+resource.(string)] = true
				}
			}
		}
		return all
	}
	page, err := os.ReadFile(filepath.Join(need.Root(t), "docs", "account.md"))
	must.OK(t, err)
	document := regexp.MustCompile(`(?s)core-policy\.json <<EOF\n(.*?)\nEOF`).FindSubmatch(page)[1]
	wanted := grants(strings.NewReplacer("$AWS_REGION", "eu-west-1", "$ACCOUNT", "123456789012", "$CORE", "press-1", "$ROLE_ALIAS", "pdm-core", `\$`, "$").Replace(string(document)))
	for _, more := range []string{
		"iot:Publish arn:aws:iot:eu-west-1:123456789012:topic/edgepdm/press-1/*",
		"iot:Receive arn:aws:iot:eu-west-1:123456789012:topic/edgepdm/press-1/pdm/v1/audio",
		"iot:Subscribe arn:aws:iot:eu-west-1:123456789012:topicfilter/edgepdm/press-1/pdm/v1/audio",
	} {
		wanted[more] = true
	}
	got := grants(text)
	for grant := range wanted {
		if !got[grant] {
			t.Errorf("%s is missing", grant)
		}
	}
	for grant := range got {
		if !wanted[grant] {
			t.Errorf("%s is more than is needed", grant)
		}
	}
}

// The lines for the device run in a shell: with stand-ins for what changes a device, the files land where the nucleus looks.
func TestCommandsRun(t *testing.T) {
	root := t.TempDir()
	bin := filepath.Join(root, "bin")
	must.OK(t, os.MkdirAll(bin, 0o755))
	must.OK(t, os.MkdirAll(filepath.Join(root, "press-1"), 0o755))
	for _, name := range []string{keyFile, certificateFile, caFile, classicFile, liteFile} {
		must.OK(t, os.WriteFile(filepath.Join(root, "press-1", name), []byte(name), 0o600))
	}
	// sudo works below the test's folder.
	stub := "#!/bin/sh\nroot=" + root + "\n" + `case $1 in
mkdir | chmod | install | cp) program=$1; shift; args=""
  for a; do case $a in /*) a=$root$a ;; -o | -g) skip=1; continue ;; esac; [ -n "$skip" ] && { skip=; continue; }; args="$args $a"; done
  $program $args ;;
*) echo "$@" >>$root/ran ;;
esac
`
	for _, name := range []string{"sudo", "id", "getent"} {
		text := stub
		if name != "sudo" {
			text = "#!/bin/sh\nexit 1\n"
		}
		must.OK(t, os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755)) //nolint:gosec // a program
	}
	classic, lite := Commands(filepath.Join("cores", "press-1"))
	for _, line := range []string{classic, lite} {
		if strings.Contains(line, "\n") {
			t.Errorf("it is not one line: %s", line)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", line)
		cmd.Dir, cmd.Env = root, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s\n%v: %s", line, err, out)
		}
	}
	for _, path := range []string{
		"greengrass/v2/device.key", "greengrass/v2/device.pem", "greengrass/v2/AmazonRootCA1.pem",
		"var/lib/greengrass/device.key", "var/lib/greengrass/device.pem", "var/lib/greengrass/AmazonRootCA1.pem", "etc/greengrass/config.yaml",
	} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("%v", err)
		}
	}
	ran, err := os.ReadFile(filepath.Join(root, "ran"))
	must.OK(t, err)
	for _, want := range []string{
		"useradd --system --create-home ggc_user", "groupadd --system ggc_group", "--init-config press-1/config-classic.yaml", "systemctl restart greengrass-lite.target",
	} {
		if !strings.Contains(string(ran), want) {
			t.Errorf("%q was not run:\n%s", want, ran)
		}
	}
}
