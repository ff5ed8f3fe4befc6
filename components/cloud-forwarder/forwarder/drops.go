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
	dropsName   = "drops.json"
	totalsName  = "drops-total.json"
	dropsFormat = 1
	// dropsKeptEvery is how often drops that go on are put on disk.
	dropsKeptEvery = 10 * time.Second
)

// drops are messages that were dropped and are not reported to the cloud yet (promise F5).
type drops struct {
	file   durable.State[keptDrops]
	report event.Dropped
	kept   uint64    // of them on disk
	at     time.Time // when they were put there
	alone  bool      // the file is a newer version's: it is left alone

	totals *dropTotals // nil: the file is a newer version's
	summed uint64      // of them on disk
}

// dropTotals are all drops since the first one, by stream and reason. They have a file of their own.
type dropTotals struct {
	Format   int               `json:"format"`
	Since    time.Time         `json:"since,omitzero"`
	Messages map[string]uint64 `json:"messages,omitempty"`
}

func (t dropTotals) sum() uint64 { return event.Dropped{Messages: t.Messages}.Sum() }

func totalsFile(dir string) durable.State[dropTotals] {
	return durable.State[dropTotals]{Path: filepath.Join(dir, totalsName), Format: dropsFormat}
}

// keptDrops is the file. The first builds that had it wrote no number.
type keptDrops struct {
	Format int `json:"format"`
	event.Dropped
}

// openDrops reads what an earlier process left. When it is damaged, only the report is incomplete.
func openDrops(dir string) (*drops, error) {
	d := &drops{file: durable.State[keptDrops]{Path: filepath.Join(dir, dropsName), Format: dropsFormat, Bare: true}}
	kept, damage, err := d.file.Open()
	d.report, d.kept, d.alone = kept.Dropped, kept.Sum(), errors.Is(err, durable.ErrNewerFormat)
	totals, totalsDamage, totalsErr := totalsFile(dir).Open()
	if !errors.Is(totalsErr, durable.ErrNewerFormat) {
		d.totals, d.summed = &totals, totals.sum()
	}
	return d, errors.Join(damage, err, totalsDamage, totalsErr)
}

// add notes n messages of a stream that were dropped for a reason.
func (d *drops) add(stream string, reason spool.Reason, n uint64, now time.Time) {
	if n == 0 {
		return
	}
	if d.report.Messages == nil {
		d.report = event.Dropped{V: event.Version, ID: "dropped-" + random.ID(), Since: now.UTC(), Messages: make(map[string]uint64)}
	}
	what := stream + "." + string(reason)
	d.report.Messages[what] += n
	if d.totals == nil {
		return
	}
	if d.totals.Messages == nil {
		*d.totals = dropTotals{dropsFormat, now.UTC(), make(map[string]uint64)}
	}
	d.totals.Messages[what] += n
}

// keep puts the drops on disk, now and then, or at once when the process is about to end.
func (d *drops) keep(now time.Time, atOnce bool) error {
	if !atOnce && now.Sub(d.at).Abs() < dropsKeptEvery {
		return nil
	}
	err := d.keepTotals(now)
	sum := d.report.Sum()
	if sum == d.kept {
		return err
	}
	d.at = now
	if d.alone {
		return err
	}
	if err := d.file.Save(keptDrops{dropsFormat, d.report}); err != nil {
		return err
	}
	d.kept = sum
	return err
}

func (d *drops) keepTotals(now time.Time) error {
	if d.totals == nil || d.totals.sum() == d.summed {
		return nil
	}
	d.at = now
	if err := totalsFile(filepath.Dir(d.file.Path)).Save(*d.totals); err != nil {
		return err
	}
	d.summed = d.totals.sum()
	return nil
}

// reported forgets the drops: their report is on its way.
func (d *drops) reported() error {
	d.report, d.kept = event.Dropped{}, 0
	if d.alone {
		return nil
	}
	if err := os.Remove(d.file.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget drops: %w", err)
	}
	return nil
}
