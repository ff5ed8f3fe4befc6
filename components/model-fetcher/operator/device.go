package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/cli"
	"edgepdm/shared/modelstore"
)

const inboxUsage = "the inbox `DIR`, in the component's work directory such as /greengrass/v2/work/com.edgepdm.ModelFetcher/inbox"

// status is the sub-command that shows what a device fetched.
func status(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher status [-inbox DIR]", s)
	dir := fs.String("inbox", "inbox", inboxUsage)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := isInbox(*dir); err != nil {
		return err
	}
	if err := showRecord(s.Out, filepath.Dir(filepath.Clean(*dir))); err != nil {
		return err
	}
	return showInbox(s.Out, modelstore.Inbox{Dir: *dir})
}

// isInbox makes sure that there is an inbox, for nothing should be made where there is none.
func isInbox(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("-inbox: %w: run this in the work directory of com.edgepdm.ModelFetcher, or name its inbox", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("-inbox: %s is not a folder", dir)
	}
	return nil
}

// showRecord shows the fetcher's last decision.
func showRecord(w io.Writer, work string) error {
	record, err := fetcher.ReadRecord(work)
	if err != nil {
		return err
	}
	last := record.Last
	if last == nil {
		printf(w, "last decision: none\n")
		return nil
	}
	printf(w, "last decision: %s %s at %s\n", describe(last.Name, last.Version), last.Event, last.TS.Local().Format(time.DateTime))
	if last.SHA256 != "" {
		printf(w, "  sha256 %s\n", last.SHA256)
	}
	if last.Detail != "" {
		printf(w, "  %s\n", last.Detail)
	}
	return nil
}

func describe(name, version string) string {
	if text := strings.TrimSpace(name + " " + version); text != "" {
		return text
	}
	return "a model without a valid manifest"
}

// showInbox shows what is under way, and what waits for the engine.
func showInbox(w io.Writer, inbox modelstore.Inbox) error {
	begun, err := inbox.Incoming()
	if err != nil {
		return err
	}
	for _, id := range begun {
		path := filepath.Join(inbox.Dir, "incoming", id, modelstore.ArchiveFile)
		switch at, err := download.ReadStatus(path); {
		case errors.Is(err, fs.ErrNotExist):
			printf(w, "downloading: %.20s, less than one checkpoint\n", id)
		case err != nil:
			printf(w, "downloading: %.20s: %v\n", id, err)
		default:
			printf(w, "downloading: %s: %d of %d bytes, %d %%\n", at.Key, at.Bytes, at.Total, at.Bytes*100/max(at.Total, 1))
		}
	}
	ready, err := inbox.Ready()
	if err != nil {
		return err
	}
	for _, d := range ready {
		printf(w, "waits for the engine: %s\n", contents(d))
	}
	requests, err := inbox.Requests()
	if err != nil {
		return err
	}
	for _, name := range requests {
		printf(w, "request that waits for the engine: %s\n", name)
	}
	if len(begun)+len(ready)+len(requests) == 0 {
		printf(w, "the inbox is empty\n")
	}
	return nil
}

// contents names a delivery's model.
func contents(d modelstore.Delivery) string {
	envelope, err := readLimited(d.Path(modelstore.EnvelopeFile), modelstore.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return "an unsigned model"
	}
	m, err2 := peek(envelope)
	if err := errors.Join(err, err2); err != nil {
		return fmt.Sprintf("%.20s: %v", d.ID, err)
	}
	return fmt.Sprintf("%s, %d bytes", describe(m.Name, m.Version), m.Archive.Size)
}

// rollback is the sub-command that leaves a request for the engine.
func rollback(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher rollback [-inbox DIR] [-reason TEXT]", s)
	dir := fs.String("inbox", "inbox", inboxUsage)
	reason := fs.String("reason", "an operator asks for it", "`TEXT` that goes into the engine's events")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := isInbox(*dir); err != nil {
		return err
	}
	if err := (modelstore.Inbox{Dir: *dir}).Request(modelstore.RequestRollback, *reason); err != nil {
		return err
	}
	printf(s.Out, "the engine is asked to go back to the model before\n")
	return nil
}
