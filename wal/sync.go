package wal

import (
	"errors"
	"path"
	"sync"
	"sync/atomic"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal/flush"
	"chronik/wal/manifest"
)

// Syncer makes the logs of a node durable together; see package flush.
type (
	Syncer        = flush.Syncer
	SyncerOptions = flush.Options
	Round         = flush.Round
)

// NewSyncer starts a syncer. Once it is closed, logs that are still open sync
// each by itself.
func NewSyncer(o SyncerOptions) *Syncer { return flush.New(o) }

// syncState is a log's share of group sync: the flush.Member.
type syncState struct {
	log *Log

	mu      sync.Mutex
	waiters []func(error)
	spare   []func(error) // the other buffer
	queued  bool          // the syncer has the log in the round that gathers
	busy    bool          // a sync is under way
	again   bool          // and somebody who came by himself has been turned away

	// of the sync under way
	taken []func(error) // those who wait for it
	out   dirty         // what is written out; no active: it is synced by itself

	durableMu sync.Mutex // writers of the two below
	cuts      uint64     // a truncation makes the result of a sync under way void
	index     atomic.Uint64
	offset    atomic.Int64
}

// dirty is what a sync makes durable, as it was when the sync began.
type dirty struct {
	active *segment.Active // with a reference
	span   segment.Span
	index  Index
	offset Offset
	cuts   uint64
}

// Sync calls done once everything appended before is durable, or with the
// error that poisoned the log. done must be quick. It runs on a goroutine of the
// Syncer or of somebody else who waits for a sync of this log; without a Syncer
// on the goroutine of a caller of Sync, this one or another. Not to be called
// with a lock held that done takes.
func (l *Log) Sync(done func(error)) { l.sync.add(done, false) }

func (s *syncState) add(done func(error), lead bool) {
	syncer := s.log.o.Syncer
	s.mu.Lock()
	s.waiters = append(s.waiters, done)
	enqueue := !s.queued && syncer != nil
	s.queued = s.queued || enqueue
	s.mu.Unlock()
	switch {
	case syncer == nil:
		s.flush()
	case enqueue && !syncer.Add(s, lead):
		if lead {
			s.flush()
		} else {
			go s.flush()
		}
	}
}

type syncWait struct {
	ch   chan error
	done func(error)
}

var syncWaits = sync.Pool{New: func() any {
	w := &syncWait{ch: make(chan error, 1)}
	w.done = func(err error) { w.ch <- err }
	return w
}}

// SyncWait returns once everything appended before is durable. When no sync is
// under way it runs one on the caller's goroutine.
func (l *Log) SyncWait() error {
	w := syncWaits.Get().(*syncWait)
	l.sync.add(w.done, true)
	err := <-w.ch
	syncWaits.Put(w)
	return err
}

// DurableIndex is the last index known to be durable.
func (l *Log) DurableIndex() Index { return Index(l.sync.index.Load()) }

// DurableOffset is the offset before which every record is known durable.
func (l *Log) DurableOffset() Offset { return Offset(l.sync.offset.Load()) }

// flush syncs the log by itself until nobody waits, or leaves that to who is at
// it.
func (s *syncState) flush() {
	for s.take() {
		s.answer(s.syncActive())
	}
}

// take begins a sync for those who wait. One at a time.
func (s *syncState) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = false
	if s.busy {
		s.again = true
		return false
	}
	if len(s.waiters) == 0 {
		return false
	}
	s.busy, s.again = true, false
	s.taken, s.waiters, s.spare = s.waiters, s.spare, nil
	return true
}

// answer ends the sync. It tells whether somebody was turned away meanwhile,
// whose work is then the caller's.
func (s *syncState) answer(err error) (again bool) {
	for _, done := range s.taken {
		done(err)
	}
	clear(s.taken)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare, s.taken = s.taken[:0], nil
	s.busy = false
	return s.again
}

// end answers those who wait with what the last sync of the log came to: nothing
// has been appended since it began.
func (s *syncState) end(err error) {
	s.mu.Lock()
	waiters := s.waiters
	s.waiters = nil
	s.mu.Unlock()
	for _, done := range waiters {
		done(err)
	}
}

// Begin implements flush.Member. A log alone is sooner durable with one call,
// fdatasync, if that does not have to wait for zeroes too.
func (s *syncState) Begin(alone bool) (vfs.Device, bool) {
	if !s.take() {
		return 0, false
	}
	d, err := s.dirty()
	if err != nil {
		return 0, true // Sync finds the same
	}
	span, dev := d.active.Unsynced()
	if dev == 0 || alone && !s.log.extending.Load() {
		d.active.Release()
		return 0, true
	}
	d.span = span
	s.out = d
	return dev, true
}

// StartOut implements flush.Member.
func (s *syncState) StartOut() { s.out.active.StartOut(s.out.span) }

// WaitOut implements flush.Member.
func (s *syncState) WaitOut() error { return s.out.active.WaitOut(s.out.span) }

// Sync implements flush.Member. What was written out is not flushed then: how
// the sync ends says nothing about the device.
func (s *syncState) Sync() error {
	if d := s.out; d.active != nil {
		d.active.Release()
		s.out = dirty{}
	}
	return s.syncActive()
}

// OpenClean implements flush.Member: a manifest is replaced, never written to.
func (s *syncState) OpenClean() (vfs.File, error) {
	return s.log.o.FS.OpenReadOnly(path.Join(s.log.o.Dir, manifest.Name))
}

// End implements flush.Member.
func (s *syncState) End(err error) {
	if d := s.out; d.active != nil {
		if err = d.active.Flushed(d.span, err); err == nil {
			s.durable(d.index, d.offset, d.cuts)
		}
		d.active.Release()
		s.out = dirty{}
	}
	if s.answer(err) {
		s.flush()
	}
}

// syncActive syncs the active segment, after a roll that is under way has been
// settled. Those before it are durable then.
func (s *syncState) syncActive() error {
	if _, err := s.log.settled(); err != nil {
		return err
	}
	d, err := s.dirty()
	if errors.Is(err, errRolling) {
		return s.syncActive() // again meanwhile
	}
	if err != nil {
		return err
	}
	err = d.active.Sync()
	d.active.Release()
	if err == nil {
		s.durable(d.index, d.offset, d.cuts)
	}
	return err
}

// errRolling is a log that must be settled before it can be made durable.
var errRolling = errors.New("wal: a roll is under way")

// dirty is what there is to make durable now.
func (s *syncState) dirty() (d dirty, err error) {
	for {
		// Before the view: a truncation that comes between voids the result,
		// which would be the end of a segment that is no longer the log's.
		s.durableMu.Lock()
		d.cuts = s.cuts
		s.durableMu.Unlock()
		v := s.log.view.Load()
		if v == nil {
			return d, ErrClosed
		}
		if v.rolling != nil {
			return d, errRolling
		}
		if !v.active.Acquire() {
			continue // rolled meanwhile
		}
		// Index first: the offset may be ahead of it, and both are of frames
		// that were written before the sync begins.
		d.active = v.active
		d.index, d.offset = v.active.NextIndex()-1, v.active.NextOffset()
		return d, nil
	}
}

// durable raises the durable marks, unless a truncation came between.
func (s *syncState) durable(index Index, offset Offset, cuts uint64) {
	s.durableMu.Lock()
	defer s.durableMu.Unlock()
	if cuts != s.cuts {
		return
	}
	if uint64(index) > s.index.Load() {
		s.index.Store(uint64(index))
	}
	if int64(offset) > s.offset.Load() {
		s.offset.Store(int64(offset))
	}
}

// advance is called when a roll has made everything before it durable.
func (s *syncState) advance(index Index, offset Offset) {
	s.durableMu.Lock()
	cuts := s.cuts
	s.durableMu.Unlock()
	s.durable(index, offset, cuts)
}

// cut is called when a truncation is durable: so is all that it left.
func (s *syncState) cut(index Index, offset Offset) {
	s.durableMu.Lock()
	defer s.durableMu.Unlock()
	s.cuts++
	s.index.Store(uint64(index))
	s.offset.Store(int64(offset))
}

// opened sets the marks of a log just opened: recovery made all of it durable.
func (s *syncState) opened() {
	a := s.log.view.Load().active
	s.index.Store(uint64(a.NextIndex() - 1))
	s.offset.Store(int64(a.NextOffset()))
}
