package wal

import (
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/segment/mapping"
	"chronik/wal/manifest"
	"chronik/wal/spares"
)

// Shorter names for what the log is made of.
type (
	// Index is a raft log index.
	Index = segment.Index
	// Term is a raft term.
	Term = segment.Term
	// Offset is a Kafka offset.
	Offset = segment.Offset
	// TermRun is the start of a run of entries of one term.
	TermRun = segment.TermRun
)

// Errors of this package; test with errors.Is. Besides these:
// segment.ErrCorrupt, segment.ErrNewerVersion, vfs.ErrNoSpace.
var (
	ErrCompacted        = errors.New("wal: index before the first entry")
	ErrUnavailable      = errors.New("wal: index after the last entry")
	ErrOffsetOutOfRange = errors.New("wal: offset out of range")
	ErrPoisoned         = segment.ErrPoisoned
	ErrClosed           = errors.New("wal: closed")
)

// Maps is the mappings of a node's logs.
type Maps = mapping.Set

// NewMaps returns a set in which up to filesMax sealed segments are mapped,
// more only while they are being read. Its Tick is to be called once a second.
func NewMaps(filesMax int) *Maps { return mapping.NewSet(filesMax) }

// segmentBytesDefault is the size of a segment when Options do not say.
const segmentBytesDefault = 64 << 20

// Options describe a log.
type Options struct {
	FS  vfs.FS // nil: vfs.OS
	Dir string // belongs to the log alone; created when missing
	// Maps bounds the mappings of sealed segments, with those of the node's
	// other logs; nil: what has been read stays mapped.
	Maps *Maps
	// SegmentBytes is asked when a segment is begun; nil: 64 MiB. One frame
	// that is larger than a segment gets a segment of its own.
	SegmentBytes func() int64
	Syncer       *Syncer     // nil: Sync runs on the caller's goroutine
	Clock        clock.Clock // nil: clock.Real
	Rand         *rand.Rand  // salts; nil: seeded by the operating system
	// Checkpoint returns the owner's state as of that offset. It is asked,
	// under the log's writer lock, when a segment is complete; nil: none.
	Checkpoint func(end Offset) []byte
	Logger     *slog.Logger // nil: none
	// Background runs a task beside the log: settling a roll, zeroing ahead,
	// making the next segment's file ready. nil: on a goroutine of its own.
	// Otherwise the steps of a roll run one after the other too, and each task
	// must have run before Close. For tests that want to know when.
	Background func(task func())
}

func (o *Options) defaults() {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.SegmentBytes == nil {
		o.SegmentBytes = func() int64 { return segmentBytesDefault }
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Log is an ordered run of segments.
type Log struct {
	o    Options
	view atomic.Pointer[view] // nil when closed

	// Locks, in this order; readers take none.
	writer sync.Mutex // Append and whatever else must not run beside it; held during writes
	shape  sync.Mutex // whoever replaces the manifest; held during syncs
	mu     sync.Mutex // the fields below, and the change of the view; held for moments

	closed  bool
	failure error // not nil: the log is poisoned
	cut     Cut

	generation  uint64      // of the manifest; shape's
	unsettled   bool        // a roll wants to be settled beside; writer's
	preparedFor uint64      // id of the segment after which a spare was asked for; writer's
	streaming   atomic.Bool // the last roll was for want of room
	extending   atomic.Bool
	background  sync.WaitGroup // what is under way beside
	spares      spares.Set

	sync syncState
}

// Cut is a truncation of the log's end.
type Cut = manifest.Cut

// view is what readers look at: replaced, never changed.
type view struct {
	segs    []*segment.Segment // ascending; the last one is active's
	active  *segment.Active
	rolling *rolling  // nil: the manifest has these segments
	terms   []TermRun // of the whole log, the first clipped to its start
	start   Offset
}

func (v *view) first() Index { return v.segs[0].BaseIndex() }

// byIndex returns the number of the segment that holds index i, which
// must not be below the first.
func (v *view) byIndex(i Index) int {
	lo, hi := 0, len(v.segs)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if v.segs[mid].BaseIndex() > i {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo - 1
}

// byOffset returns the number of the last segment that begins at or before
// off; 0 when none does.
func (v *view) byOffset(off Offset) int {
	lo, hi := 0, len(v.segs)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if v.segs[mid].BaseOffset() > off {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(0, lo-1)
}

func (l *Log) loaded() (*view, error) {
	if v := l.view.Load(); v != nil {
		return v, nil
	}
	return nil, ErrClosed
}

// FirstIndex is the index of the first entry, LastIndex()+1 when there is none.
func (l *Log) FirstIndex() Index {
	if v := l.view.Load(); v != nil {
		return v.first()
	}
	return 0
}

// LastIndex is the index of the last entry, FirstIndex()-1 when there is none.
func (l *Log) LastIndex() Index {
	if v := l.view.Load(); v != nil {
		return v.active.NextIndex() - 1
	}
	return 0
}

// NextOffset is the offset the next record gets.
func (l *Log) NextOffset() Offset {
	if v := l.view.Load(); v != nil {
		return v.active.NextOffset()
	}
	return 0
}

// StartOffset is the logical start of the log: records below it are gone.
func (l *Log) StartOffset() Offset {
	if v := l.view.Load(); v != nil {
		return v.start
	}
	return 0
}

// LastCut is the last truncation of the log's end.
func (l *Log) LastCut() Cut {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// Term returns the term of entry i, from memory. It knows those of
// FirstIndex()-1 to LastIndex().
func (l *Log) Term(i Index) (Term, error) {
	v, err := l.loaded()
	if err != nil {
		return 0, err
	}
	switch first := v.first(); {
	case i == first-1:
		return v.segs[0].PrevTerm(), nil
	case i < first:
		return 0, ErrCompacted
	case i >= v.active.NextIndex():
		return 0, ErrUnavailable
	}
	lo, hi := 0, len(v.terms)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if v.terms[mid].FirstIndex > i {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 { // a truncation took the entry since the view was loaded
		return 0, ErrUnavailable
	}
	return v.terms[lo-1].Term, nil
}

// Terms returns the runs of terms in the log, ascending. The first run begins
// at the log's first entry, wherever its term began.
func (l *Log) Terms() []TermRun {
	if v := l.view.Load(); v != nil {
		return clipTerms(v.terms, v.active.NextIndex())
	}
	return nil
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	BaseIndex    Index
	LastIndex    Index // BaseIndex-1 when empty
	BaseOffset   Offset
	NextOffset   Offset
	Bytes        int64 // of frames
	MaxTimestamp int64 // ms, -1 none
	FirstAppend  time.Time
	Sealed       bool
	Path         string
}

// Segments describes the segments, oldest first; the last is the active one.
func (l *Log) Segments() []SegmentInfo {
	v := l.view.Load()
	if v == nil {
		return nil
	}
	out := make([]SegmentInfo, len(v.segs))
	for i, s := range v.segs {
		out[i] = SegmentInfo{
			BaseIndex: s.BaseIndex(), LastIndex: s.NextIndex() - 1,
			BaseOffset: s.BaseOffset(), NextOffset: s.NextOffset(),
			Bytes: s.Bytes(), MaxTimestamp: s.MaxTimestamp(),
			FirstAppend: s.FirstAppend(), Sealed: s.Sealed(), Path: s.Path(),
		}
	}
	return out
}

// Bytes is the size of all frames.
func (l *Log) Bytes() int64 {
	v := l.view.Load()
	if v == nil {
		return 0
	}
	var n int64
	for _, s := range v.segs {
		n += s.Bytes()
	}
	return n
}

// Checkpoint returns the newest checkpoint that the owner left and the offset
// as of which it is; ok is false when there is none that can be read.
func (l *Log) Checkpoint() (blob []byte, end Offset, ok bool) {
	v := l.view.Load()
	if v == nil {
		return nil, 0, false
	}
	for i := len(v.segs) - 2; i >= 0; i-- {
		s := v.segs[i]
		if !s.Acquire() {
			return nil, 0, false // dropped meanwhile, and all before it
		}
		blob, err := s.Checkpoint()
		end := s.NextOffset()
		s.Release()
		if errors.Is(err, fs.ErrNotExist) && l.view.Load() != v {
			return nil, 0, false // the same, between the two lines above
		}
		if err != nil {
			l.o.Logger.Error("checkpoint unreadable", "segment", s.Path(), "err", err)
			continue
		}
		if blob != nil {
			return blob, end, true
		}
	}
	return nil, 0, false
}

// CheckpointsAt returns the checkpoints of the sealed segments that end at an
// offset: one, unless segments without batches follow it; none when it is gone.
func (l *Log) CheckpointsAt(end Offset) (blobs [][]byte, err error) {
	v, err := l.loaded()
	if err != nil {
		return nil, err
	}
	for _, s := range v.segs[:len(v.segs)-1] {
		if s.NextOffset() != end || !s.Acquire() {
			continue
		}
		blob, err := s.Checkpoint()
		s.Release()
		switch {
		case errors.Is(err, fs.ErrNotExist) && l.view.Load() != v: // dropped meanwhile
		case err != nil:
			return nil, err
		case blob != nil:
			blobs = append(blobs, blob)
		}
	}
	return blobs, nil
}

func (l *Log) segmentPath(id uint64) string {
	return path.Join(l.o.Dir, SegmentName(id))
}

func (l *Log) now() int64 { return l.o.Clock.Now().UnixMilli() }

func (l *Log) salt() uint32 {
	if l.o.Rand != nil {
		return l.o.Rand.Uint32()
	}
	return rand.Uint32()
}
