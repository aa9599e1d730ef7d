package partition

import (
	"errors"
	"math"
	"time"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
)

// absentMax is how long the log is kept for a replica that is not heard of.
const absentMax = 10 * time.Minute

// neededFrom is the first entry that another replica lacks, as far as this one
// leads and has heard of that one not too long ago; the greatest index if there
// is none.
func (p *Partition) neededFrom() segment.Index {
	needed := segment.Index(math.MaxUint64)
	leading, _, _, rs := p.Replication()
	if !leading {
		return needed
	}
	heard := p.opt.Clock.Now().Add(-absentMax)
	for _, r := range rs {
		if r.Heard.After(heard) {
			needed = min(needed, r.Match+1)
		}
	}
	return needed
}

// Retain drops what retention.ms and retention.bytes no longer keep, in whole
// segments, never above the high watermark. It rolls an active segment that
// has reached segment.ms or whose records have all expired; on a full disk it
// drops what it can all the same.
//
// A leader keeps what another replica lacks that it has heard of in the last
// ten minutes, whatever the settings say and however full the disk is: that
// replica catches up from the log. One that is away for longer may find the
// entries gone that it needs, and then is sent all of the log.
func (p *Partition) Retain(now time.Time) error {
	s := p.opt.Settings()
	segs := p.log.Segments()
	if len(segs) == 0 {
		return nil
	}
	var rolled error
	active := segs[len(segs)-1]
	expired := func(g wal.SegmentInfo) bool {
		return s.DeleteExpired && s.RetentionMs >= 0 && g.MaxTimestamp >= 0 && now.UnixMilli()-g.MaxTimestamp > s.RetentionMs
	}
	if active.NextOffset > active.BaseOffset &&
		(now.Sub(active.FirstAppend).Milliseconds() >= s.SegmentMs || expired(active)) {
		if rolled = p.log.Roll(); rolled != nil && !errors.Is(rolled, vfs.ErrNoSpace) {
			return rolled
		}
		segs = p.log.Segments()
	}
	needed := p.neededFrom()
	p.mu.Lock()
	hw := p.committed
	p.mu.Unlock()
	total := p.log.Bytes()
	for _, g := range segs {
		over := s.DeleteExpired && s.RetentionBytes >= 0 && total-g.Bytes >= s.RetentionBytes
		if !g.Sealed || int64(g.NextOffset) > hw || g.LastIndex >= needed || (!expired(g) && !over) {
			break
		}
		total -= g.Bytes
		p.mu.Lock()
		p.start.Store(max(p.start.Load(), int64(g.NextOffset)))
		p.mu.Unlock()
	}
	return errors.Join(rolled, p.trim())
}
