package wal

import (
	"errors"
	"fmt"
	"slices"

	"chronik/internal/vfs"
	"chronik/segment"
)

// Append adds entries to the log: the first one's index must be LastIndex()+1,
// terms and offsets must not go back. They are readable on return and durable
// after Sync. It allocates nothing, and the payloads are the caller's again
// when it returns. After an error some entries may have been added: LastIndex
// tells. It waits for no sync, but for the end of a roll when the next one is
// due already.
func (l *Log) Append(entries []segment.Entry) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	v := l.view.Load()
	if n := len(entries); n > 0 && (len(v.terms) == 0 || entries[n-1].Term != v.active.LastTerm()) {
		defer l.announceTerms(entries)()
	}
	err := l.append(entries)
	l.tend()
	return l.spare(err)
}

// spare gives back the room that is kept for segments to come if err is a full
// disk.
func (l *Log) spare(err error) error {
	if errors.Is(err, vfs.ErrNoSpace) {
		l.spares.Discard()
	}
	return err
}

// writable says why the log takes no more changes, nil when it does.
func (l *Log) writable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return l.failure
}

// failed is what poisoned the log as a whole.
func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// fail poisons the log if err is not nil.
func (l *Log) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil {
		l.failure = err
	}
}

// publish has readers see a changed view. The caller holds writer or shape.
func (l *Log) publish(change func(v *view)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := *l.view.Load()
	change(&v)
	l.view.Store(&v)
}

func (l *Log) append(entries []segment.Entry) error {
	for len(entries) > 0 {
		a, now := l.view.Load().active, int64(0)
		if a.Frames() == 0 {
			now = l.now()
		}
		n, err := a.Append(entries, now)
		if err != nil {
			return err
		}
		entries = entries[n:]
		if len(entries) > 0 {
			l.streaming.Store(true)
			if err := l.roll(segment.FrameLen(len(entries[0].Payload)), entries[0].BaseOffset); err != nil {
				return err
			}
		}
	}
	return nil
}

// announceTerms publishes the term runs of entries that are about to be
// appended: before the entries, so that no reader finds one of them under the
// run before. What it returns takes back those that did not come.
func (l *Log) announceTerms(entries []segment.Entry) (settle func()) {
	var runs []TermRun
	for i := range entries {
		e := &entries[i]
		runs = joinTerms(runs, []TermRun{{Term: e.Term, FirstIndex: e.Index, FirstOffset: e.BaseOffset}})
	}
	l.publish(func(v *view) { v.terms = joinTerms(v.terms, runs) })
	return func() {
		l.publish(func(v *view) { v.terms = clipTerms(v.terms, v.active.NextIndex()) })
	}
}

// TruncateFrom drops entry i and all after it, as a follower does whose tail
// contradicts the leader's. Durable on return, across segments; dropped bytes
// cannot come back. An i after the last entry drops nothing.
//
// The segment that holds i ends there and a new one begins, so that readers of
// the old tail never see bytes change.
func (l *Log) TruncateFrom(i Index) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.shape.Lock()
	defer l.shape.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	v := l.view.Load()
	if i < v.first() {
		return ErrCompacted
	}
	if i >= v.active.NextIndex() {
		return nil
	}
	if err := v.active.Err(); err != nil {
		return err
	}
	k := v.byIndex(i)
	nv := &view{start: v.start, terms: clipTerms(v.terms, i)}
	nv.segs = append(nv.segs, v.segs[:k]...)
	prev, off := v.segs[k].PrevTerm(), v.segs[k].BaseOffset()
	cutAt := v.segs[k]
	if n := int(i - cutAt.BaseIndex()); n > 0 {
		meta, err := l.cutSegment(v, cutAt, n)
		if err != nil {
			return err
		}
		nv.segs = append(nv.segs, cutAt.Reopen(meta)) // if the cut fails, the file is not used again, no more than that
		off = meta.NextOffset
		prev = nv.terms[len(nv.terms)-1].Term
	}
	if off < v.start {
		return fmt.Errorf("BUG: wal: truncation at offset %d below the log start %d", off, v.start)
	}
	return l.endAt(v, nv, k, i, prev, off)
}

// Reset drops every entry: the log is empty and goes on with entry i at offset
// off, behind an entry of term prev that it does not have. Durable on return, in
// one step: a crash leaves the old log or the new one.
func (l *Log) Reset(i Index, prev Term, off Offset) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.shape.Lock()
	defer l.shape.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.settle(); err != nil {
		return err
	}
	v := l.view.Load()
	if err := v.active.Err(); err != nil {
		return err
	}
	return l.endAt(v, &view{start: off}, 0, i, prev, off)
}

// endAt replaces v, whose segments from k on go, by nv with an active segment
// that begins at entry i. The caller holds writer and shape.
func (l *Log) endAt(v, nv *view, k int, i Index, prev Term, off Offset) error {
	next, err := l.beginSynced(i, prev, off)
	if err != nil {
		return err
	}
	nv.active, nv.segs = next, append(nv.segs, next.Segment)
	m := l.manifestOf(nv, next.SyncedThrough())
	m.Cut = Cut{From: i, Term: prev}
	if err := l.commit(m); err != nil {
		l.abandon(next.Segment)
		return err
	}
	l.mu.Lock()
	l.cut = m.Cut
	l.view.Store(nv)
	l.mu.Unlock()
	l.sync.cut(i-1, off)
	l.forget(v, k, nv)
	return nil
}

// forget drops what a truncation has taken from v, whose segments from k on are
// not those of the log any more; the first of them may live on, shorter.
func (l *Log) forget(v *view, k int, nv *view) {
	for j, s := range v.segs[k:] {
		if j > 0 || len(nv.segs) == k+1 {
			l.drop(s, l.streaming.Load())
			continue
		}
		if s == v.active.Segment {
			l.trim(v.active, nv.segs[k].Meta())
		}
		s.Release()
	}
}

// drop forgets a segment that the manifest does not name any more. With keep its
// file may become that of a segment to come.
func (l *Log) drop(s *segment.Segment, keep bool) {
	if !keep || !l.spares.Keep(s) {
		l.discard(s)
	}
}

// discard forgets a segment and removes its file. A file that cannot be
// removed now is swept by the next Open.
func (l *Log) discard(s *segment.Segment) {
	if err := l.o.FS.Remove(s.Path()); err != nil {
		l.o.Logger.Error("segment not removed", "segment", s.Path(), "err", err)
	}
	s.Release()
}

// trim gives back what a sealed segment does not need; failing costs room only.
func (l *Log) trim(a *segment.Active, meta segment.Meta) {
	if err := a.Trim(meta); err != nil {
		l.o.Logger.Warn("room behind a sealed segment not given back", "segment", a.Path(), "err", err)
	}
}

func (l *Log) cutSegment(v *view, s *segment.Segment, n int) (segment.Meta, error) {
	if s == v.active.Segment {
		return v.active.Seal(n, nil)
	}
	return s.Cut(n)
}

// clipTerms returns a copy of the runs that begin before index i.
func clipTerms(terms []TermRun, i Index) []TermRun {
	n := len(terms)
	for n > 0 && terms[n-1].FirstIndex >= i {
		n--
	}
	return append([]TermRun(nil), terms[:n]...)
}

// SetStart moves the logical start of the log up to off, and drops the sealed
// segments that end at or before it. The new start is durable before the first
// file goes. A start at or below the present one changes nothing. Appends may
// go on meanwhile.
func (l *Log) SetStart(off Offset) error {
	for {
		if err := l.writable(); err != nil {
			return err
		}
		v, err := l.loaded()
		if err != nil {
			return err
		}
		if off <= v.start {
			return nil
		}
		if off > v.active.NextOffset() {
			return ErrOffsetOutOfRange
		}
		if off > l.DurableOffset() { // a start beyond the end would read as lost data after a crash
			if err := l.sync.syncActive(); err != nil {
				return err
			}
		}
		if done, err := l.setStart(off); done || err != nil {
			return err
		}
	}
}

// setStart moves the start within what is durable; done is false when off is
// not, since a truncation came between.
func (l *Log) setStart(off Offset) (done bool, err error) {
	l.shape.Lock()
	defer l.shape.Unlock()
	if err := l.writable(); err != nil {
		return false, err
	}
	v := l.view.Load()
	if off <= v.start || off > l.DurableOffset() {
		return off <= v.start, nil
	}
	c := v.committed() // what is durable ends in its last segment at the latest
	k := 0
	for k < len(c.segs)-1 && c.segs[k].NextOffset() <= off {
		k++
	}
	m := l.manifestOf(&view{segs: c.segs[k:], active: c.active, start: off, terms: termsFrom(c.terms, c.segs[k])}, c.active.SyncedThrough())
	if err := l.commit(m); err != nil {
		return false, l.spare(err)
	}
	l.publish(func(v *view) { // an append may have begun a segment meanwhile
		v.start = off
		if k > 0 {
			v.segs = slices.Clone(v.segs[k:])
			v.terms = termsFrom(v.terms, v.segs[0])
		}
	})
	idle := c.active.Frames() == 0
	if idle {
		l.spares.Discard()
	}
	for i := k - 1; i >= 0; i-- { // the last is the likeliest to be in memory
		l.drop(c.segs[i], !idle && l.streaming.Load())
	}
	return true, nil
}

// termsFrom drops the runs that end before the segment and moves the first one
// that stays to its beginning.
func termsFrom(terms []TermRun, first *segment.Segment) []TermRun {
	k := 0
	for k+1 < len(terms) && terms[k+1].FirstIndex <= first.BaseIndex() {
		k++
	}
	out := append([]TermRun(nil), terms[k:]...)
	if len(out) == 0 || out[0].FirstIndex >= first.BaseIndex() {
		return out
	}
	out[0].FirstIndex, out[0].FirstOffset = first.BaseIndex(), first.BaseOffset()
	return out
}

// Close syncs what was appended, answers the syncs that wait, marks the end as
// clean and releases the segments. Refs that readers hold stay valid. Not to
// be called with a lock held that a function given to Sync takes.
func (l *Log) Close() error {
	if err := l.shut(); err != nil {
		return err
	}
	l.background.Wait()
	l.sync.flush()
	err := l.sync.syncActive()
	l.sync.end(err) // who waits beside a round that has the log, too
	l.writer.Lock()
	defer l.writer.Unlock()
	l.shape.Lock()
	defer l.shape.Unlock()
	v := l.view.Load()
	if err == nil {
		err = l.failed()
	}
	if err == nil {
		err = v.active.Mark()
	}
	l.view.Store(nil)
	for _, s := range v.segs {
		s.Release()
	}
	if r := v.rolling; r != nil && r.empty {
		r.old.Release()
	}
	l.spares.Close()
	l.sync.flush() // those who came meanwhile get ErrClosed
	return err
}

// shut has the log take no more changes, after the append that is under way.
func (l *Log) shut() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.closed = true
	return nil
}
