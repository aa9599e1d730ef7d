package wal

import (
	"fmt"

	"chronik/segment"
)

// Append adds entries to the log: the first one's index must be LastIndex()+1,
// terms and offsets must not go back. They are readable on return and durable
// after Sync. It allocates nothing, and the payloads are the caller's again
// when it returns. After an error some entries may have been added: LastIndex
// tells.
func (l *Log) Append(entries []segment.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	v := l.view.Load()
	if n := len(entries); n > 0 && (len(v.terms) == 0 || entries[n-1].Term != v.active.LastTerm()) {
		defer l.announceTerms(entries)()
	}
	if err := l.append(entries); err != nil {
		return err
	}
	if v = l.view.Load(); v.active.WantsExtend() && l.extending.CompareAndSwap(false, true) {
		l.background.Add(1)
		v.active.Acquire()
		go l.extend(v.active)
	}
	return nil
}

// writable says why the log takes no more changes, nil when it does.
func (l *Log) writable() error {
	if l.closed {
		return ErrClosed
	}
	return l.doubt
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
	next := *l.view.Load()
	next.terms = joinTerms(next.terms, runs)
	l.view.Store(&next)
	return func() {
		v := *l.view.Load()
		v.terms = clipTerms(v.terms, v.active.NextIndex())
		l.view.Store(&v)
	}
}

// extend zeroes the next chunk of the active segment beside the appends.
func (l *Log) extend(a *segment.Active) {
	defer l.background.Done()
	if err := a.Extend(); err != nil {
		l.o.Logger.Error("preallocation failed", "segment", a.Path(), "err", err)
	}
	a.Release()
	l.extending.Store(false)
}

// Roll seals the active segment if it has frames and begins the next.
func (l *Log) Roll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if l.view.Load().active.Frames() == 0 {
		return nil
	}
	return l.roll(0, l.NextOffset())
}

// roll replaces the active segment by a new one that begins at offset off and
// has room for a frame of need bytes. An empty one, which was too small for a
// frame, is dropped.
func (l *Log) roll(need int, off Offset) error {
	v := l.view.Load()
	a := v.active
	if a.Frames() == 0 {
		return l.replaceActive(v, nil, need, off)
	}
	var checkpoint []byte
	if l.o.Checkpoint != nil {
		checkpoint = l.o.Checkpoint(a.NextOffset())
	}
	meta, err := a.Seal(a.Frames(), checkpoint)
	if err != nil {
		return err
	}
	return l.replaceActive(v, segment.OpenSealed(l.o.FS, l.o.Maps, a.Path(), meta), need, off)
}

// replaceActive commits a view in which sealed (nil: nothing) and a new active
// segment stand where the active one stood.
func (l *Log) replaceActive(v *view, sealed *segment.Segment, need int, off Offset) error {
	old := v.active
	next, err := l.begin(old.NextIndex(), old.LastTerm(), off, need)
	if err != nil {
		return err
	}
	nv := &view{active: next, terms: v.terms, start: v.start}
	nv.segs = append(nv.segs, v.segs[:len(v.segs)-1]...)
	if sealed != nil {
		nv.segs = append(nv.segs, sealed)
	}
	nv.segs = append(nv.segs, next.Segment)
	if err := l.commit(nv); err != nil {
		l.abandon(next.Segment)
		return err
	}
	if sealed == nil {
		l.discard(old.Segment)
	} else {
		l.trim(old, sealed.Meta())
		old.Release()
	}
	l.sync.advance(next.BaseIndex()-1, next.BaseOffset())
	return nil
}

// TruncateFrom drops entry i and all after it, as a follower does whose tail
// contradicts the leader's. Durable on return, across segments; dropped bytes
// cannot come back. An i after the last entry drops nothing.
//
// The segment that holds i ends there and a new one begins, so that readers of
// the old tail never see bytes change.
func (l *Log) TruncateFrom(i Index) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
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
		nv.segs = append(nv.segs, segment.OpenSealed(l.o.FS, l.o.Maps, cutAt.Path(), meta))
		off = meta.NextOffset
		prev = nv.terms[len(nv.terms)-1].Term
	}
	if off < v.start {
		return fmt.Errorf("BUG: wal: truncation at offset %d below the log start %d", off, v.start)
	}
	next, err := l.begin(i, prev, off, 0)
	if err != nil {
		return err
	}
	nv.active, nv.segs = next, append(nv.segs, next.Segment)
	before := l.cut
	l.cut = Cut{From: i, Term: prev}
	if err := l.commit(nv); err != nil {
		l.cut = before
		l.abandon(next.Segment)
		return err
	}
	l.sync.cut(i-1, off)
	if cutAt == v.active.Segment && len(nv.segs) > k+1 {
		l.trim(v.active, nv.segs[k].Meta())
	}
	for j, s := range v.segs[k:] {
		if j == 0 && len(nv.segs) > k+1 {
			s.Release() // its file lives on, shorter
		} else {
			l.discard(s)
		}
	}
	return nil
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
// file goes. A start at or below the present one changes nothing.
func (l *Log) SetStart(off Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	v := l.view.Load()
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
	k := 0
	for k < len(v.segs)-1 && v.segs[k].NextOffset() <= off {
		k++
	}
	nv := &view{segs: v.segs[k:], active: v.active, start: off, terms: v.terms}
	if k > 0 {
		nv.segs = append([]*segment.Segment(nil), v.segs[k:]...)
		nv.terms = termsFrom(v.terms, nv.segs[0])
	}
	if err := l.commit(nv); err != nil {
		return err
	}
	for _, s := range v.segs[:k] {
		l.discard(s)
	}
	return nil
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
	if first.Frames() == 0 {
		return nil
	}
	out[0].FirstIndex, out[0].FirstOffset = first.BaseIndex(), first.BaseOffset()
	return out
}

// Close syncs what was appended, answers the syncs that wait, marks the end as
// clean and releases the segments. Refs that readers hold stay valid. Not to
// be called with a lock held that a function given to Sync takes.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.background.Wait()
	l.mu.Unlock()

	l.sync.flush()
	err := l.sync.syncActive()
	v := l.view.Load()
	if err == nil {
		err = l.doubt
	}
	if err == nil {
		err = v.active.Mark()
	}
	l.view.Store(nil)
	for _, s := range v.segs {
		s.Release()
	}
	l.sync.flush() // those who came meanwhile get ErrClosed
	return err
}
