// Package consolecli is what a person does about the console's logins and certificate, on the device.
package consolecli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"edgepdm/components/operator-console/access"
	"edgepdm/components/operator-console/web"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// Password gives somebody a new random password, takes a login away, or lists who has one.
func Password(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("operator-console password -name NAME [-role viewer|operator|engineer] [-remove] | -list", s)
	name := fs.String("name", "", "`NAME` of the person; a name that there is gets another password")
	role := fs.String("role", string(web.Operator), "what they may do: viewer looks, operator does what operators do about alarms, engineer everything")
	remove := fs.Bool("remove", false, "take the login away")
	list := fs.Bool("list", false, "list who has a login")
	var flags request.PlaceFlags
	flags.Define(fs, event.OperatorConsole)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if !*list && *name == "" {
		return cli.Usagef("-name: required")
	}
	dir, err := flags.Find(event.OperatorConsole)
	if err != nil {
		return err
	}
	users := access.OpenUsers(access.UsersFile(dir))
	switch {
	case *list:
		return printLogins(users, s)
	case *remove:
		if err := users.Remove(*name); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.Out, "%s has no login any more\n", *name)
		return err
	}
	password, err := users.Set(*name, web.Role(*role))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "login:    %s (%s)\npassword: %s\nIt is shown this once. Another one: the same command again.\n", *name, *role, password)
	return err
}

func printLogins(users *access.Users, s cli.Streams) error {
	names, err := users.Names()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		_, err = fmt.Fprintln(s.Out, "nobody has a login")
		return err
	}
	for _, name := range names {
		role, err := users.Role(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(s.Out, "%s\t%s\n", name, role); err != nil {
			return err
		}
	}
	return nil
}

// Fingerprint prints that of the console's certificate, to compare with what the browser shows.
func Fingerprint(_ context.Context, args []string, s cli.Streams) error {
	flagSet := cli.NewFlagSet("operator-console fingerprint [-certificate FILE]", s)
	file := flagSet.String("certificate", "", "PEM `FILE`; default: the console's own certificate")
	var flags request.PlaceFlags
	flags.Define(flagSet, event.OperatorConsole)
	if err := cli.Parse(flagSet, args); err != nil {
		return err
	}
	if *file == "" {
		dir, err := flags.Find(event.OperatorConsole)
		if err != nil {
			return err
		}
		*file = access.OwnCertificate(dir)
	}
	print, err := access.Fingerprint(*file)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no certificate yet: the console makes one when it is served beyond this machine")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.Out, "SHA-256 "+print)
	return err
}
