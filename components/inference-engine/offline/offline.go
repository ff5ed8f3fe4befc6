// Package offline has the inference engine's sub-commands that work on files, without a Greengrass core: score, which
// scores rows of CSV (the workshop's batch transform), and inspect, which says what is in a model file.
package offline

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

const modelUsage = "model `file` of XGBoost in any of its formats, or SageMaker's model.tar.gz"

// parseFlags parses a command line on which the model file may stand without its flag, first or last.
func parseFlags(flags *flag.FlagSet, path *string, args []string) error {
	first := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		first, args = args[0], args[1:]
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", err, cli.ErrUsage)
	}
	rest := flags.Args()
	if first != "" {
		rest = append([]string{first}, rest...)
	}
	if *path == "" && len(rest) > 0 {
		*path, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		return cli.Usagef("unexpected argument %q; rows are read from the standard input", rest[0])
	}
	return nil
}

// readFile reads the file that the flag -model names.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, cli.Usagef("name the model file with -model")
	}
	return gbdt.ReadFile(path)
}
