package modelcli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/request"
)

// status is the sub-command that shows what a device fetched, and which model is active: of that the engine tells.
func status(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher status", s)
	dir := fs.String("inbox", "", "the inbox `DIR`; default: inbox in the work directory")
	var flags request.Flags
	flags.Define(fs, event.ModelFetcher)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	work, err := flags.Find(event.ModelFetcher)
	if err != nil {
		return err
	}
	if *dir == "" {
		*dir = filepath.Join(work, "inbox")
	}
	if err := showRecords(s.Out, work); err != nil {
		return err
	}
	if err := showInbox(s.Out, inbox.Inbox{Dir: *dir}); err != nil {
		return err
	}
	engine := request.Call{Component: event.InferenceEngine, WorkDir: filepath.Join(filepath.Dir(filepath.Clean(work)), event.InferenceEngine), Command: event.CommandStatus}
	if err := flags.Do(ctx, s, engine); err != nil {
		return fmt.Errorf("the active model is not known: %w", err)
	}
	return nil
}

// showRecords shows the fetcher's last decision, and that of life models where there is one.
func showRecords(w io.Writer, work string) error {
	fault, err := record.Read(work, event.RoleFault)
	if err != nil {
		return err
	}
	life, err := record.Read(work, event.RoleLife)
	if err != nil {
		return err
	}
	showDecision(w, "last decision", fault.Last)
	if life.Last != nil {
		showDecision(w, "last decision of life models", life.Last)
	}
	return nil
}

func showDecision(w io.Writer, what string, last *event.ModelEvent) {
	if last == nil {
		printf(w, "%s: none\n", what)
		return
	}
	printf(w, "%s: %s %s at %s\n", what, describe(last.Name, last.Version), last.Event, last.TS.Local().Format(time.DateTime))
	if last.SHA256 != "" {
		printf(w, "  sha256 %s\n", last.SHA256)
	}
	if last.Detail != "" {
		printf(w, "  %s\n", last.Detail)
	}
}

func describe(name, version string) string {
	if text := strings.TrimSpace(name + " " + version); text != "" {
		return text
	}
	return "a model without a valid manifest"
}

// showInbox shows what is under way, and what waits for the engine.
func showInbox(w io.Writer, box inbox.Inbox) error {
	begun, err := box.Incoming()
	if err != nil {
		return err
	}
	for _, id := range begun {
		path := filepath.Join(box.Dir, "incoming", id, inbox.ArchiveFile)
		switch at, err := download.ReadStatus(path); {
		case errors.Is(err, fs.ErrNotExist):
			printf(w, "downloading: %.20s, less than one checkpoint\n", id)
		case err != nil:
			printf(w, "downloading: %.20s: %v\n", id, err)
		default:
			printf(w, "downloading: %s: %d of %d bytes, %d %%\n", at.Key, at.Bytes, at.Total, at.Bytes*100/max(at.Total, 1))
		}
	}
	ready, err := box.Ready()
	if err != nil {
		return err
	}
	for _, d := range ready {
		printf(w, "waits for the engine: %s\n", contents(d))
	}
	if len(begun)+len(ready) == 0 {
		printf(w, "the inbox is empty\n")
	}
	return nil
}

// contents names a delivery's model.
func contents(d inbox.Delivery) string {
	envelope, err := readLimited(d.Path(envelope.EnvelopeFile), envelope.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return "an unsigned model"
	}
	m, err2 := peek(envelope)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Sprintf("%.20s: %v", d.ID, err)
	}
	return fmt.Sprintf("%s, %d bytes (%s)", describe(m.Name, m.Version), m.Archive.Size, about(m))
}

// look is the sub-command that makes the fetcher look for a model now.
func look(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher look [-again]", s)
	c := event.ModelFetch{V: event.Version}
	fs.BoolVar(&c.Again, "again", false, "also for what was delivered or refused before")
	var flags request.Flags
	flags.Define(fs, event.ModelFetcher)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	return flags.Do(ctx, s, request.Call{Component: event.ModelFetcher, Command: event.CommandLook, Arguments: c})
}

const maxReason = 300 // bytes

// rollback is the sub-command that makes the engine go back to the model before. The answer is the engine's.
func rollback(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher rollback [-role fault|life] [-reason TEXT]", s)
	role := fs.String("role", string(event.RoleFault), "`ROLE` of the model: fault, or life")
	reason := reasonFlag(fs)
	var flags request.Flags
	flags.Define(fs, event.InferenceEngine)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := checkReason(*reason); err != nil {
		return err
	}
	arguments := event.Rollback{Reason: *reason, Role: event.Role(*role)}
	switch arguments.Role {
	case event.RoleFault:
		arguments.Role = "" // an older engine knows none
	case event.RoleLife:
	default:
		return cli.Usagef("-role: %q is neither %s nor %s", *role, event.RoleFault, event.RoleLife)
	}
	return flags.Do(ctx, s, request.Call{Component: event.InferenceEngine, Command: event.CommandRollback, Arguments: arguments})
}

// promote is the sub-command that makes the engine's candidate the active model.
func promote(ctx context.Context, args []string, s cli.Streams) error {
	return decide(ctx, args, s, event.CommandPromote)
}

// reject is the sub-command that makes the engine do without its candidate, for good.
func reject(ctx context.Context, args []string, s cli.Streams) error {
	return decide(ctx, args, s, event.CommandReject)
}

// decide gives a command about the candidate. The answer is the engine's, with the state of its rule.
func decide(ctx context.Context, args []string, s cli.Streams, command string) error {
	fs := cli.NewFlagSet("model-fetcher "+command+" [-reason TEXT]", s)
	reason := reasonFlag(fs)
	var flags request.Flags
	flags.Define(fs, event.InferenceEngine)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := checkReason(*reason); err != nil {
		return err
	}
	return flags.Do(ctx, s, request.Call{Component: event.InferenceEngine, Command: command, Arguments: event.Decide{Reason: *reason}})
}

func reasonFlag(fs *flag.FlagSet) *string {
	return fs.String("reason", "", "`TEXT` that goes into the engine's events; default: who asks")
}

func checkReason(text string) error {
	if len(text) > maxReason {
		return cli.Usagef("-reason: %d bytes, at most %d", len(text), maxReason)
	}
	return nil
}
