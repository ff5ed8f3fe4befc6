package alarms

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// legacyName is the file of versions before 0.2, which was replaced as a whole and had no checksum.
const legacyName = "alarms.json"

const legacyFormat = 1

type legacyFile struct {
	Format int           `json:"format"`
	Epoch  string        `json:"epoch"`
	Seq    uint64        `json:"seq"`
	Active []activeAlarm `json:"active"`
	Outbox []event.Alert `json:"outbox"`
}

// readLegacy takes over what an alarms.json has, which is removed after the next save. One that a journal was made from
// before is not taken again. A damaged one is set aside.
func (b *alarmList) readLegacy(path string, now time.Time) error {
	var file legacyFile
	data, err := durable.ReadFile(path, maxFile)
	if err == nil {
		err = durable.Decode(data, legacyFormat, &file)
	}
	if err == nil && file.Epoch == "" {
		err = fmt.Errorf("%w: it has no epoch", durable.ErrDamaged)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, durable.ErrDamaged):
		aside, err := durable.SetAside(path)
		if err != nil {
			return err
		}
		b.damaged(fmt.Sprintf("%s was damaged, and its alarms and alerts are not known; it is kept as %s", legacyName, filepath.Base(aside)), now)
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", legacyName, err)
	}
	b.legacy, b.dirty = path, true
	sum := fmt.Sprintf("%08x", crc32.ChecksumIEEE(data))
	if sum == b.from {
		return nil
	}
	b.from = sum
	for _, a := range file.Active {
		b.active[a.key()] = a
	}
	before := b.lost
	for _, a := range file.Outbox {
		b.waitAgain(a)
	}
	if n := b.lost - before; n > 0 {
		b.damaged(fmt.Sprintf("%d alerts of %s were damaged, and are dropped", n, legacyName), now)
	}
	return nil
}
