package cli_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"edgepdm/shared/cli"
)

func TestMainExitCodesAndOutput(t *testing.T) {
	program := cli.Program{
		Name: "prog", Version: "1.2.3", Summary: "does things",
		Commands: []cli.Command{
			{Name: "work", Summary: "works", Run: func(_ context.Context, args []string, s cli.Streams) error {
				fs := cli.NewFlagSet("prog work [-n N]", s)
				n := fs.Int("n", 1, "how `many`")
				if err := cli.Parse(fs, args); err != nil {
					return err
				}
				if *n > 5 {
					return errors.New("count: more than 5")
				}
				return nil
			}},
		},
	}
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"-version", cli.ExitOK, "prog 1.2.3\n", ""},
		{"-help", cli.ExitOK, "prog work", ""},
		{"work -n 3", cli.ExitOK, "", ""},
		{"work -help", cli.ExitOK, "prog work: works\n\nUsage: prog work", ""},
		{"work -n 3 -help", cli.ExitOK, "", "Usage: prog work"},
		{"work -n 6", cli.ExitFailed, "", "prog work: count: more than 5\n"},
		{"work -n x", cli.ExitUsage, "", `invalid value "x"`},
		{"work more", cli.ExitUsage, "", "prog work: unexpected argument \"more\"\n"},
		{"nothing", cli.ExitUsage, "", `there is no sub-command "nothing"`},
		{"", cli.ExitUsage, "", "name a sub-command"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := program.Main(context.Background(), strings.Fields(c.args), cli.Streams{Out: &out, Err: &errOut})
			if code != c.code {
				t.Errorf("exit code %d, want %d (stderr %q)", code, c.code, errOut.String())
			}
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("stdout %q lacks %q", out.String(), c.out)
			}
			if !strings.Contains(errOut.String(), c.err) {
				t.Errorf("stderr %q lacks %q", errOut.String(), c.err)
			}
		})
	}
}

func TestHelpShowsTheFlagsOfTheUnnamedCommand(t *testing.T) {
	program := cli.Program{Name: "prog", Commands: []cli.Command{{Run: func(_ context.Context, args []string, s cli.Streams) error {
		fs := cli.NewFlagSet("prog [-n N]", s)
		fs.Int("n", 1, "how `many`")
		return cli.Parse(fs, args)
	}}}}
	var out, errOut bytes.Buffer
	if code := program.Main(context.Background(), []string{"-help"}, cli.Streams{Out: &out, Err: &errOut}); code != cli.ExitOK || errOut.Len() > 0 || !strings.Contains(out.String(), "-n many") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, &out, &errOut)
	}
}
