package modelcli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// maxOutcome is the longest line of outcomes, in bytes.
const maxOutcome = 128 << 10

// ErrHalted says that a version is not published for more cores, because it failed on some that have it.
var ErrHalted = errors.New("the roll-out is halted")

// outcomes are what cores told of a version.
type outcomes struct {
	activated, failed int
	why               string // of the first that failed
}

// readOutcomes reads the events of models that cores published, as AWS IoT Core has them: a JSON object a line. An event that came
// again counts once.
func readOutcomes(path string, m envelope.Manifest) (o outcomes, err error) {
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	known := make(map[string]bool)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxOutcome)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		e, err := event.DecodeModelEvent(lines.Bytes())
		if err != nil {
			return o, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Name != m.Name || e.Version != m.Version || known[e.ID] {
			continue
		}
		known[e.ID] = true
		switch e.Event {
		case event.ModelActivated:
			o.activated++
		case event.ModelRejected, event.ModelRolledBack, event.ModelRefused:
			if o.failed++; o.failed == 1 {
				o.why = fmt.Sprintf("%s: %.200s", e.Event, e.Detail)
			}
		case event.ModelAvailable, event.ModelDownloading, event.ModelDelivered, event.ModelShadowing:
		}
	}
	return o, lines.Err()
}

// checkOutcomes halts a roll-out: a version that failed on any core, or that none has tried, is not for more cores.
func (p publication) checkOutcomes(before pointer) error {
	if p.outcomes == "" || p.force || before.etag == "" {
		return nil
	}
	m, err := peek(before.envelope)
	if err != nil || m.Content() != p.manifest.Content() || p.manifest.Share() <= m.Share() {
		return nil //nolint:nilerr // checkVersion has judged what is published; another version begins a roll-out
	}
	o, err := readOutcomes(p.outcomes, m)
	switch {
	case err != nil:
		return fmt.Errorf("-outcomes: %w", err)
	case o.failed > 0:
		return fmt.Errorf("%w: %s %s stays at %d %% of the cores: it failed %d times and was activated %d times; %s: "+
			"publish a higher version, or go on with -force", ErrHalted, m.Name, m.Version, m.Share(), o.failed, o.activated, o.why)
	case o.activated == 0:
		return fmt.Errorf("the roll-out of %s %s waits at %d %% of the cores: none has told that it was activated", m.Name, m.Version, m.Share())
	}
	return nil
}
