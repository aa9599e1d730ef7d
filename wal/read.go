package wal

import (
	"errors"
	"io/fs"
	"sync"

	"chronik/segment"
)

// Ref keeps the mappings alive that payloads alias.
type Ref struct {
	segs []*segment.Segment
}

var refs = sync.Pool{New: func() any { return new(Ref) }}

// errDropped is a segment that left the log after its view was loaded.
var errDropped = errors.New("wal: segment was dropped")

// hold takes a reference on s.
func (r *Ref) hold(s *segment.Segment) error {
	if !s.Acquire() {
		return errDropped
	}
	r.segs = append(r.segs, s)
	return nil
}

// Release ends the lifetime of the payloads. Exactly once; a nil Ref holds
// nothing.
func (r *Ref) Release() {
	if r == nil {
		return
	}
	if len(r.segs) == 0 {
		panic("BUG: wal: Ref released twice")
	}
	r.drop()
}

// drop releases and recycles a Ref that may hold nothing.
func (r *Ref) drop() {
	for i, s := range r.segs {
		s.Release()
		r.segs[i] = nil
	}
	r.segs = r.segs[:0]
	refs.Put(r)
}

// stale tells that a read over v failed because the log has gone on: a segment
// was dropped before the reader held it, or after that but before it was
// opened. The read is done again over the present view.
func (l *Log) stale(v *view, err error) bool {
	return errors.Is(err, errDropped) || errors.Is(err, fs.ErrNotExist) && l.view.Load() != v
}

// Read appends to dst the entries with records from the one that contains
// offset from on, while they begin before upTo, up to the one with which their
// payloads reach maxBytes; at least one if there is any. Payloads alias the
// mapping until ref.Release; ref is nil when nothing was appended.
// ErrOffsetOutOfRange below StartOffset and above NextOffset.
func (l *Log) Read(from, upTo Offset, maxBytes int, dst []segment.Entry) ([]segment.Entry, *Ref, error) {
	for {
		v, err := l.loaded()
		if err != nil {
			return dst, nil, err
		}
		if from < v.start || from > v.active.NextOffset() {
			return dst, nil, ErrOffsetOutOfRange
		}
		ref := refs.Get().(*Ref)
		out, err := v.read(from, upTo, maxBytes, dst, ref)
		if err == nil && len(out) > len(dst) {
			return out, ref, nil
		}
		ref.drop()
		if !l.stale(v, err) {
			return out[:len(dst)], nil, err
		}
	}
}

// read is Read over one view.
func (v *view) read(from, upTo Offset, maxBytes int, dst []segment.Entry, ref *Ref) ([]segment.Entry, error) {
	total := 0
	for k := v.byOffset(from); k < len(v.segs); k++ {
		s := v.segs[k]
		if s.BaseOffset() >= upTo {
			break
		}
		if err := ref.hold(s); err != nil {
			return dst, err
		}
		n := s.Frames()
		i, err := s.FindOffset(from)
		if err != nil {
			return dst, err
		}
		for ; i < n; i++ {
			dst = append(dst, segment.Entry{})
			e := &dst[len(dst)-1]
			if err := s.Frame(i, e); err != nil {
				return dst, err
			}
			if e.BaseOffset >= upTo {
				return dst[:len(dst)-1], nil
			}
			if e.Count == 0 || e.Next() <= from {
				dst = dst[:len(dst)-1]
				continue
			}
			if total += len(e.Payload); total >= maxBytes {
				return dst, nil
			}
		}
	}
	return dst, nil
}

// Entries appends entries lo..hi-1 to dst, as many as hold maxBytes of payload
// and at least one. The payloads are verified copies, in one allocation, and
// belong to the caller. ErrCompacted when lo is gone, ErrUnavailable when
// hi-1 is not there yet.
func (l *Log) Entries(lo, hi Index, maxBytes int64, dst []segment.Entry) ([]segment.Entry, error) {
	out, ref, err := l.Frames(lo, hi, maxBytes, dst)
	if ref == nil {
		return out, err
	}
	defer ref.drop()
	if err := segment.Detach(out[len(dst):]); err != nil {
		return out[:len(dst)], err
	}
	return out, nil
}

// Frames is Entries without the copy: the payloads alias the mapping until
// ref.Release; ref is nil when there are none, or with an error.
func (l *Log) Frames(lo, hi Index, maxBytes int64, dst []segment.Entry) ([]segment.Entry, *Ref, error) {
	for {
		v, err := l.loaded()
		switch {
		case err != nil:
			return dst, nil, err
		case lo >= hi:
			return dst, nil, nil
		case lo < v.first():
			return dst, nil, ErrCompacted
		case hi > v.active.NextIndex():
			return dst, nil, ErrUnavailable
		}
		ref := refs.Get().(*Ref)
		out, err := v.entries(lo, hi, maxBytes, dst, ref)
		if err == nil {
			return out, ref, nil
		}
		ref.drop()
		if !l.stale(v, err) {
			return out[:len(dst)], nil, err
		}
	}
}

func (v *view) entries(lo, hi Index, maxBytes int64, dst []segment.Entry, ref *Ref) ([]segment.Entry, error) {
	begin, total := len(dst), int64(0)
	for k := v.byIndex(lo); lo < hi; k++ {
		s := v.segs[k]
		if err := ref.hold(s); err != nil {
			return dst, err
		}
		for n := s.NextIndex(); lo < n && lo < hi; lo++ {
			dst = append(dst, segment.Entry{})
			e := &dst[len(dst)-1]
			if err := s.Frame(int(lo-s.BaseIndex()), e); err != nil {
				return dst, err
			}
			total += int64(len(e.Payload))
			if total > maxBytes && len(dst)-begin > 1 {
				return dst[:len(dst)-1], nil
			}
		}
	}
	return dst, nil
}

// FindTimestamp returns the first entry at or after offset from whose maximum
// timestamp is ts or later. A search per segment, except that timestamps which
// went backwards within the segment of from are walked from there.
func (l *Log) FindTimestamp(ts int64, from Offset) (segment.Entry, *Ref, bool, error) {
	for {
		v, err := l.loaded()
		if err != nil {
			return segment.Entry{}, nil, false, err
		}
		ref := refs.Get().(*Ref)
		var e segment.Entry
		found, err := v.findTimestamp(ts, max(from, v.start), &e, ref)
		if found && err == nil {
			return e, ref, true, nil
		}
		ref.drop()
		if !l.stale(v, err) {
			return segment.Entry{}, nil, false, err
		}
	}
}

func (v *view) findTimestamp(ts int64, from Offset, e *segment.Entry, ref *Ref) (bool, error) {
	for k := v.byOffset(from); k < len(v.segs); k++ {
		s := v.segs[k]
		if s.MaxTimestamp() < ts {
			continue
		}
		if err := ref.hold(s); err != nil {
			return false, err
		}
		found, err := firstAtLeast(s, ts, from, e)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// firstAtLeast finds the first entry of s at or after from whose maximum
// timestamp is ts or later.
func firstAtLeast(s *segment.Segment, ts int64, from Offset, e *segment.Entry) (bool, error) {
	n := s.Frames()
	low, err := s.FindOffset(from)
	if err != nil {
		return false, err
	}
	i, err := s.FindTimestamp(ts)
	if err != nil {
		return false, err
	}
	for i = max(i, low); i < n; i++ {
		if err := s.Frame(i, e); err != nil {
			return false, err
		}
		if e.MaxTimestamp >= ts && e.Count > 0 && e.Next() > from {
			return true, nil
		}
	}
	return false, nil
}

// LastMaxTimestamp returns the entry that holds the greatest timestamp at or
// after the log's start, the first one if several do; false when no entry has
// a timestamp.
func (l *Log) LastMaxTimestamp() (segment.Entry, *Ref, bool, error) {
	for {
		v, err := l.loaded()
		if err != nil {
			return segment.Entry{}, nil, false, err
		}
		ref := refs.Get().(*Ref)
		var e segment.Entry
		most, err := v.maxTimestamp(ref)
		found := false
		if err == nil && most >= 0 {
			found, err = v.findTimestamp(most, v.start, &e, ref)
		}
		if found && err == nil {
			return e, ref, true, nil
		}
		ref.drop()
		if !l.stale(v, err) {
			return segment.Entry{}, nil, false, err
		}
	}
}

// maxTimestamp is the greatest timestamp at or after the log's start, -1 for
// none. Only the first segment can begin before the start.
func (v *view) maxTimestamp(ref *Ref) (int64, error) {
	most := int64(-1)
	for _, s := range v.segs {
		if s.BaseOffset() >= v.start {
			most = max(most, s.MaxTimestamp())
		}
	}
	s := v.segs[0]
	if s.BaseOffset() >= v.start || s.MaxTimestamp() <= most {
		return most, nil
	}
	if err := ref.hold(s); err != nil {
		return -1, err
	}
	inside, err := maxFrom(s, v.start)
	return max(most, inside), err
}

// maxFrom is the greatest timestamp of the entries of s at or after from. The
// table answers when the greatest of the segment lies there.
func maxFrom(s *segment.Segment, from Offset) (int64, error) {
	var e segment.Entry
	found, err := firstAtLeast(s, s.MaxTimestamp(), from, &e)
	if found || err != nil {
		return e.MaxTimestamp, err
	}
	i, err := s.FindOffset(from)
	if err != nil {
		return -1, err
	}
	most := int64(-1)
	for n := s.Frames(); i < n; i++ {
		if err := s.Frame(i, &e); err != nil {
			return -1, err
		}
		if e.Next() > from && e.Count > 0 {
			most = max(most, e.MaxTimestamp)
		}
	}
	return most, nil
}
