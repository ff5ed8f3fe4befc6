package forwarder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
	"edgepdm/shared/spool"
)

const (
	dropsName = "drops.json"
	// dropsKeptEvery is how often drops that go on are put on disk.
	dropsKeptEvery = 10 * time.Second
)

// drops are messages that were dropped and are not reported to the cloud yet (promise F5).
type drops struct {
	path   string
	report event.Dropped
	kept   uint64    // of them on disk
	at     time.Time // when they were put there
}

// openDrops reads what an earlier process left. When it is damaged, only the report is incomplete.
func openDrops(dir string) (*drops, error) {
	d := &drops{path: filepath.Join(dir, dropsName)}
	data, err := os.ReadFile(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = durable.Unmarshal(data, &d.report)
	}
	if err != nil {
		d.report = event.Dropped{}
		return d, fmt.Errorf("read drops: %w", err)
	}
	d.kept = d.report.Sum()
	return d, nil
}

// add notes n messages of a stream that were dropped for a reason.
func (d *drops) add(stream string, reason spool.Reason, n uint64, now time.Time) {
	if n == 0 {
		return
	}
	if d.report.Messages == nil {
		d.report = event.Dropped{V: event.Version, ID: "dropped-" + random.ID(), Since: now.UTC(), Messages: make(map[string]uint64)}
	}
	d.report.Messages[stream+"."+string(reason)] += n
}

// keep puts the drops on disk, now and then, or at once when the process is about to end.
func (d *drops) keep(now time.Time, atOnce bool) error {
	sum := d.report.Sum()
	if sum == d.kept || !atOnce && now.Sub(d.at).Abs() < dropsKeptEvery {
		return nil
	}
	d.at = now
	data, err := durable.Marshal(d.report)
	if err == nil {
		err = durable.WriteFileAtomic(d.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep drops: %w", err)
	}
	d.kept = sum
	return nil
}

// reported forgets the drops: their report is on its way.
func (d *drops) reported() error {
	d.report, d.kept = event.Dropped{}, 0
	if err := os.Remove(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget drops: %w", err)
	}
	return nil
}
