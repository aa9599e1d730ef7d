package wal

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"chronik/internal/vfs"
	"chronik/segment"
)

// rolling is a roll that is not settled: appends go to the next segment, while
// for the manifest, and for whoever opens the log after a crash, the old one is
// still active. Nothing in the next one is reported durable before.
type rolling struct {
	old        *segment.Active
	empty      bool             // old has no frames: it goes, and is not among the view's segments
	checkpoint []byte           // of the owner, as of old's end
	named      bool             // the next one's name is durable
	sealed     *segment.Segment // what old becomes, nil before the first attempt to settle
}

// committed is what the manifest says of the view's segments.
func (v *view) committed() *view {
	r := v.rolling
	if r == nil {
		return v
	}
	c := &view{active: r.old, terms: v.terms, start: v.start}
	c.segs = slices.Clip(v.segs[:len(v.segs)-1])
	if r.empty {
		c.segs = append(c.segs, r.old.Segment)
	}
	return c
}

// Roll seals the active segment if it has frames and begins the next. Durable
// on return; appends may go on meanwhile.
func (l *Log) Roll() error {
	if err := l.beginRoll(); err != nil {
		return err
	}
	_, err := l.settled()
	return err
}

func (l *Log) beginRoll() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	a := l.view.Load().active
	if err := a.Err(); err != nil || a.Frames() == 0 {
		return err
	}
	l.streaming.Store(false)
	return l.roll(0, l.NextOffset())
}

// roll has appends go to a new segment that begins at offset off and has room
// for a frame of need bytes. It waits for no sync, unless the roll before has
// not been settled. The caller holds writer.
func (l *Log) roll(need int, off Offset) error {
	v, err := l.settled()
	if err != nil {
		return err
	}
	old := v.active
	next, named, err := l.begin(old.NextIndex(), old.LastTerm(), off, need)
	if err != nil {
		return err
	}
	r := &rolling{old: old, empty: old.Frames() == 0, named: named}
	if !r.empty && l.o.Checkpoint != nil {
		r.checkpoint = l.o.Checkpoint(old.NextOffset())
		if len(r.checkpoint) > segment.CheckpointBytesMax {
			l.o.Logger.Warn("checkpoint too large, left out: the next start reads more", "dir", l.o.Dir, "bytes", len(r.checkpoint))
			r.checkpoint = nil
		}
	}
	l.publish(func(v *view) {
		segs := v.segs
		if r.empty {
			segs = segs[:len(segs)-1]
		}
		v.segs = append(slices.Clip(segs), next.Segment)
		v.active, v.rolling = next, r
	})
	l.unsettled = true
	return nil
}

// settled returns a view without a roll under way, after settling it. It waits
// for the disk then; not to be called with shape held.
func (l *Log) settled() (*view, error) {
	for {
		v, err := l.loaded()
		if err != nil || v.rolling == nil {
			return v, err
		}
		if err := l.settleRoll(); err != nil {
			return nil, err
		}
	}
}

func (l *Log) settleRoll() error {
	l.shape.Lock()
	defer l.shape.Unlock()
	return l.settle()
}

// settle makes the roll that is under way durable, if there is one: the old
// segment's frames and trailer, the next one's header and name, and a manifest
// beside the old one, all at the same time; then the manifest takes its place.
// After ErrNoSpace the log goes on as before, and the next call tries again.
// The caller holds shape.
func (l *Log) settle() error {
	v := l.view.Load()
	if v == nil || v.rolling == nil {
		return nil
	}
	if err := l.failed(); err != nil {
		return err
	}
	r, next := v.rolling, v.active
	index, offset := next.NextIndex()-1, next.NextOffset() // in this order: see syncActive
	nv := &view{active: next, terms: v.terms, start: v.start, segs: slices.Clone(v.segs)}
	var meta segment.Meta
	if !r.empty {
		var err error
		if meta, err = r.old.Finish(r.old.Frames(), r.checkpoint); err != nil {
			l.fail(r.old.Err())
			return l.spare(err)
		}
		if r.sealed == nil {
			r.sealed = r.old.Reopen(meta)
		}
		nv.segs[len(nv.segs)-2] = r.sealed
	}
	m := l.manifestOf(nv, segment.DataStart)
	steps := []func() error{next.Sync, func() error { return l.stage(m) }}
	if !r.empty {
		steps = append(steps, r.old.Flush)
	}
	if !r.named {
		steps = append(steps, l.syncNames)
	}
	err := l.together(steps...)
	if err == nil {
		err = l.install(m)
	}
	if err != nil {
		l.fail(r.old.Err())
		return l.spare(err)
	}
	l.publish(func(v *view) { v.segs, v.rolling = nv.segs, nil })
	l.sync.advance(index, offset)
	if r.empty {
		l.discard(r.old.Segment)
		return nil
	}
	l.trim(r.old, meta)
	r.old.Release()
	return nil
}

// syncNames makes the names in the directory durable. When it fails, trying
// again proves nothing, as with any sync: a name may be lost for good. Only
// ErrNoSpace says that it was not begun.
func (l *Log) syncNames() error {
	err := l.o.FS.SyncDir(l.o.Dir)
	if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		l.fail(fmt.Errorf("%w: names of segments: %w", ErrPoisoned, err))
	}
	return err
}

// together runs the steps at the same time, so that their syncs share what the
// device does for each.
func (l *Log) together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		if i == len(steps)-1 || l.o.Background != nil {
			errs[i] = step()
			continue
		}
		wg.Go(func() { errs[i] = step() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// begin makes a new active segment, with room for a frame of need bytes: in the
// spare if there is one, otherwise in a new file whose name is not durable yet.
// Nothing is synced, and it counts only once the manifest has it. The caller
// holds writer.
func (l *Log) begin(base Index, prev Term, off Offset, need int) (a *segment.Active, named bool, err error) {
	sp, named, err := l.spares.Take()
	if err == nil {
		a, err = sp.Begin(l.createOptions(base, prev, off, need))
	}
	return a, named, err
}

// beginSynced is begin, durable on return with the name.
func (l *Log) beginSynced(base Index, prev Term, off Offset) (*segment.Active, error) {
	sp, named, err := l.spares.Take()
	if err != nil {
		return nil, err
	}
	a, err := sp.BeginSynced(l.createOptions(base, prev, off, 0))
	if err == nil && !named {
		if err = l.o.FS.SyncDir(l.o.Dir); err != nil {
			l.discard(a.Segment)
		}
	}
	return a, err
}

func (l *Log) createOptions(base Index, prev Term, off Offset, need int) segment.CreateOptions {
	return segment.CreateOptions{Maps: l.o.Maps, Salt: l.salt(), BaseIndex: base, PrevTerm: prev, BaseOffset: off,
		Now: l.now(), Capacity: max(l.o.SegmentBytes(), int64(need)+vfs.PageSize)}
}

// tend starts, beside the appends, what the log will need before long. The
// caller holds writer.
func (l *Log) tend() {
	a := l.view.Load().active
	if l.unsettled {
		l.unsettled = false
		l.spawn(l.settleBeside)
	}
	if a.WantsExtend() && l.extending.CompareAndSwap(false, true) {
		a.Acquire()
		l.spawn(func() { l.extend(a) })
	}
	if a.HalfFull() && l.preparedFor != a.ID() {
		l.preparedFor = a.ID()
		l.spawn(func() { l.spares.Prepare(a.Capacity()) })
	}
}

// spawn runs a task beside the log; Close waits for it.
func (l *Log) spawn(task func()) {
	l.background.Add(1) // not beside Wait: Close has taken writer before, and the log is closed since
	run := func() {
		defer l.background.Done()
		task()
	}
	if l.o.Background != nil {
		l.o.Background(run)
		return
	}
	go run()
}

func (l *Log) settleBeside() {
	if err := l.settleRoll(); err != nil {
		l.o.Logger.Error("roll not settled", "dir", l.o.Dir, "err", err)
	}
}

// extend zeroes the next chunk of the active segment.
func (l *Log) extend(a *segment.Active) {
	if err := a.Extend(); err != nil {
		l.o.Logger.Error("preallocation failed", "segment", a.Path(), "err", err)
	}
	a.Release()
	l.extending.Store(false)
}
