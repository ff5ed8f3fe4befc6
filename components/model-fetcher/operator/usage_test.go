package operator_test

import (
	"os"
	"path/filepath"
	"testing"

	"edgepdm/components/model-fetcher/operator"
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
		{[]string{"revert"}, "there is no sub-command"},
	} {
		fails(t, cli.ExitUsage, c.why, c.args...)
	}
	for _, c := range operator.Commands() {
		do(t, "Usage: model-fetcher "+c.Name, c.Name, "-help")
	}
	missing := filepath.Join(t.TempDir(), "inbox")
	for _, command := range []string{"status", "rollback"} {
		fails(t, cli.ExitFailed, "work directory of com.edgepdm.ModelFetcher", command, "-inbox", missing)
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Error("an inbox was made where there was none")
	}
	private, public := keys(t)
	fails(t, cli.ExitFailed, "file exists", "keygen", "-out", filepath.Dir(private))
	fails(t, cli.ExitFailed, "-key: ", "sign", "-key", public, "-dir", t.TempDir())
	fails(t, cli.ExitFailed, "pack first", "sign", "-key", private, "-dir", t.TempDir())
}
