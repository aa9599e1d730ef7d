package segment

import (
	"fmt"
	"sync/atomic"

	"chronik/internal/vfs"
)

// Span is a part of a segment that a group sync makes durable: what Unsynced
// found, written out with StartOut and WaitOut, durable with a flush of the
// device that began after that, and marked so with Flushed.
type Span struct{ from, end Pos }

// Unsynced returns what has been published and is not durable, and the device
// with whose flush it can become so; 0: with Sync alone. A span qualifies when
// everything else about it is durable: its extents and the size of the file.
func (a *Active) Unsynced() (Span, vfs.Device) {
	s := Span{from: Pos(a.synced.Load()), end: a.End()}
	if s.from >= s.end || int64(s.end) > a.ready.Load() || a.undone.Load() || a.Err() != nil {
		return s, 0
	}
	return s, a.file.Device()
}

// StartOut begins to write a span to the device.
func (a *Active) StartOut(s Span) { a.file.WriteOut(int64(s.from), int64(s.end-s.from)) }

// WaitOut writes a span to the device and waits for it. A failure poisons the
// segment.
func (a *Active) WaitOut(s Span) error {
	a.syncMu.Lock()
	defer a.syncMu.Unlock()
	if err := a.Err(); err != nil {
		return err
	}
	if err := a.file.WaitOut(int64(s.from), int64(s.end-s.from)); err != nil {
		return a.poison(err)
	}
	return nil
}

// Flushed is told how the flush of the device ended that followed WaitOut. A
// failure poisons the segment: the device may have lost any byte that it had
// not written yet, and a flush that succeeds later proves nothing.
func (a *Active) Flushed(s Span, err error) error {
	if err != nil {
		return a.poison(fmt.Errorf("flush of the device: %w", err))
	}
	if err := a.Err(); err != nil {
		return err
	}
	raise(&a.synced, int64(s.end))
	return nil
}

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for {
		old := v.Load()
		if old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}
