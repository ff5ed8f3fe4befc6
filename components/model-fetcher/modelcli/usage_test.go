package modelcli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
)

func TestUsageNamesTheFlag(t *testing.T) {
	model, golden := shipped(t)
	packing := []string{"pack", "-model", model, "-golden", golden, "-out", t.TempDir()}
	publishing := []string{"publish", "-dir", ".", "-bucket", "models", "-prefix", "a"}
	for _, c := range []struct {
		args []string
		why  string
	}{
		{[]string{"keygen"}, "-out: required"},
		{[]string{"pack", "-model", "x"}, "-golden: required"},
		{packing, "-version: required"},
		{append(packing, "-version", "1.2"), "-version: \"1.2\""},
		{append(packing, "-version", "1.2.0", "-threshold", "0"), "threshold"},
		{append(packing, "-version", "1.2.0", "-expires", "-3h"), "-expires: "},
		{append(packing, "-version", "1.2.0", "-expires", "soon"), "-expires: "},
		{[]string{"sign", "-dir", "x"}, "-key: required"},
		{[]string{"publish", "-dir", "x"}, "-bucket: required"},
		{append(publishing, "-prefix", "a/"), "-prefix: "},
		{append(publishing, "-bucket", "A"), "-bucket: "},
		{append(publishing, "-endpoint", "host"), "-endpoint: "},
		{[]string{"status", "now"}, "unexpected argument"},
		{[]string{"rollback", "-reason", strings.Repeat("x", 301)}, "-reason: 301 bytes"},
		{[]string{"look", "-timeout", "-1s"}, "-timeout: -1s"},
		{[]string{"revert"}, "there is no sub-command"},
	} {
		fails(t, cli.ExitUsage, c.why, c.args...)
	}
	for _, c := range modelcli.Commands() {
		do(t, "Usage: model-fetcher "+c.Name, c.Name, "-help")
	}
	missing := t.TempDir()
	for command, owner := range map[string]string{
		"status": "com.edgepdm.ModelFetcher", "look": "com.edgepdm.ModelFetcher", "rollback": "com.edgepdm.InferenceEngine",
		"promote": "com.edgepdm.InferenceEngine", "reject": "com.edgepdm.InferenceEngine",
	} {
		fails(t, cli.ExitFailed, "tried "+filepath.Join(missing, "work", owner), command, "-root", missing)
	}
	if left, err := os.ReadDir(missing); err != nil || len(left) != 0 {
		t.Errorf("where nothing is, made were %v, %v", left, err)
	}
	private, public := keys(t)
	fails(t, cli.ExitFailed, "file exists", "keygen", "-out", filepath.Dir(private))
	fails(t, cli.ExitFailed, "-key: ", "sign", "-key", public, "-dir", t.TempDir())
	fails(t, cli.ExitFailed, "pack first", "sign", "-key", private, "-dir", t.TempDir())
}
