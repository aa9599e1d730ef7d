package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"

	"chronik/internal/vfs"
	"chronik/segment/frame"
	"chronik/segment/mapping"
)

// Preallocation: an idle segment costs zeroFirst bytes of disk, and each
// extension doubles the file up to zeroMost at a time.
const (
	zeroFirst = 16 << 10
	zeroMost  = 16 << 20
)

// A frame of straightFrom bytes or more, for which no room is zeroed yet, is
// written without zeroing it first: the data goes to the disk once, and the sync
// pays for the extents. So is an append of outrunFrom bytes or more that has
// outrun the syncs: with straightBehind bytes not synced, nobody waits for each
// append, and the zeroes would only be more to write.
const (
	straightFrom   = 512 << 10
	outrunFrom     = 64 << 10
	straightBehind = 4 << 20
)

// Active is a segment that takes appends.
type Active struct {
	*Segment
	capacity Pos // data ends here at the latest
	last     Term
	terms    []TermRun // of this segment; the writer's

	begun    Pos          // where the first append since the segment was made or recovered went
	stale    Pos          // behind the frames, bytes before this position may be of an earlier life of the file
	synced   atomic.Int64 // every byte before this position is durable
	zeroed   atomic.Int64 // written and inside of the file up to here
	ready    atomic.Int64 // and durably so: extents and size
	undone   atomic.Bool  // zeroes of an append that failed are not durable: they precede the next sync of the file
	extendMu sync.Mutex
	finished bool       // nothing is to be zeroed any more; under extendMu
	syncMu   sync.Mutex // one sync of file at a time: the failure of one is known before the next begins
	failure  atomic.Pointer[error]
}

// CreateOptions describe a new segment.
type CreateOptions struct {
	FS         vfs.FS
	Maps       *mapping.Set // nil: none
	Path       string
	ID         uint64
	Salt       uint32 // random, so that bytes of an earlier life of the disk never verify
	BaseIndex  Index
	PrevTerm   Term
	BaseOffset Offset
	Now        int64 // ms
	// Capacity is where frames end at the latest, in bytes of file.
	Capacity int64
}

// capacityOf rounds up to pages and bounds.
func capacityOf(n int64) Pos {
	n = max(n, zeroFirst)
	n = min(n, int64(frame.PosMax))
	return pageUp(Pos(n))
}

func pageUp(p Pos) Pos { return (p + vfs.PageSize - 1) &^ (vfs.PageSize - 1) }

// Create makes a segment's file, durable except for its name, which the caller
// makes so (SyncDir) before the segment is published. One reference, the
// caller's. After an error the file is removed.
func Create(o CreateOptions) (*Active, error) {
	sp, err := NewSpare(o.FS, o.Path, o.ID, 0)
	if err != nil {
		return nil, err
	}
	return sp.BeginSynced(o)
}

func newActive(fsys vfs.FS, maps *mapping.Set, path string, f vfs.File, meta Meta, capacity Pos) *Active {
	a := &Active{Segment: &Segment{fs: fsys, maps: maps, path: path, meta: meta, file: f, tab: new(table), users: newUsers()}, capacity: capacity, begun: dataStart, last: meta.PrevTerm}
	a.end.Store(int64(dataStart))
	a.synced.Store(int64(dataStart))
	a.next.Store(int64(meta.BaseOffset))
	a.maxTime.Store(-1)
	return a
}

// Terms returns the term runs of the frames so far. The writer's; it must not
// be changed.
func (a *Active) Terms() []TermRun { return a.terms }

// LastTerm is the term of the last frame, or of the entry before the segment.
func (a *Active) LastTerm() Term { return a.last }

// Err is what poisoned the segment, nil while it is sound.
func (a *Active) Err() error {
	if p := a.failure.Load(); p != nil {
		return *p
	}
	return nil
}

func (a *Active) poison(err error) error {
	err = fmt.Errorf("%w: %w", ErrPoisoned, err)
	if !a.failure.CompareAndSwap(nil, &err) {
		return a.Err()
	}
	return err
}

// fit is how many of the entries have room, and the bytes they take.
func (a *Active) fit(entries []Entry) (n int, bytes Pos) {
	end := a.End()
	for n < len(entries) && a.Frames()+n < FramesMax {
		e := &entries[n]
		length := Pos(FrameLen(len(e.Payload)))
		if end+bytes+length > a.capacity || e.BaseOffset-a.meta.BaseOffset > math.MaxUint32 {
			break
		}
		bytes += length
		n++
	}
	return n, bytes
}

// check refuses entries that do not continue the log: that is our own mistake,
// never the disk's.
func (a *Active) check(entries []Entry) error {
	index, term, next := a.NextIndex(), a.last, a.NextOffset()
	for i := range entries {
		e := &entries[i]
		switch {
		case len(e.Payload) > PayloadBytesMax:
			return ErrTooLarge
		case e.Index != index || e.Term < term || e.BaseOffset < next:
			return fmt.Errorf("BUG: segment: append of (index %d, term %d, offset %d) after (index %d, term %d, next offset %d)",
				e.Index, e.Term, e.BaseOffset, index-1, term, next)
		case e.Kind != KindData && e.Kind != KindConf && e.Kind != KindConfV2:
			return fmt.Errorf("BUG: segment: append of kind %d", e.Kind)
		case e.BaseOffset > math.MaxInt64-Offset(e.Count):
			return fmt.Errorf("BUG: segment: offset %d + %d overflows", e.BaseOffset, e.Count)
		}
		index, term, next = index+1, e.Term, e.Next()
	}
	return nil
}

// Append writes the front of entries as far as there is room and publishes
// them; it returns how many. 0 and nil means that the segment is full. They are
// readable on return and durable after Sync. After ErrNoSpace nothing was
// published and the segment is sound; after another error it is poisoned.
// Payloads belong to the caller again.
func (a *Active) Append(entries []Entry, now int64) (int, error) {
	if err := a.Err(); err != nil {
		return 0, err
	}
	if err := a.check(entries); err != nil {
		return 0, err
	}
	n, bytes := a.fit(entries)
	if n == 0 {
		return 0, nil
	}
	end, zeroed := a.End(), Pos(a.zeroed.Load())
	first := Pos(FrameLen(len(entries[0].Payload)))
	large := first >= straightFrom
	if end+bytes > zeroed && large {
		n, bytes = 1, first // the others in calls to come
	}
	var err error
	switch {
	case end+bytes <= zeroed:
		err = a.write(entries[:n], end, bytes)
	case large || a.outrun() && bytes >= outrunFrom:
		err = a.writeStraight(entries[:n], end, bytes)
	default:
		if err = a.extend(end+bytes, false); err == nil {
			err = a.write(entries[:n], end, bytes)
		}
	}
	if err != nil {
		return 0, err
	}
	if end == dataStart {
		a.firstAppend.Store(now)
	}
	a.publish(entries[:n], end)
	return n, nil
}

// outrun tells that appends have outrun the syncs.
func (a *Active) outrun() bool { return a.End()-Pos(a.synced.Load()) > straightBehind }

// write writes frames into room that is zeroed.
func (a *Active) write(entries []Entry, end, bytes Pos) error {
	if err := frame.Write(a.file, end, entries, a.meta.Salt, Pos(a.synced.Load())); err != nil {
		return a.undo(end, bytes, err)
	}
	return nil
}

// writeStraight writes one large frame, or smaller ones of which none is
// overlapped with its hash, beyond the room that is written ahead. The first
// page is zeroed, since a large frame's header comes last: the file grows without
// a hole, and after a full disk undo finds all that there is within its size.
func (a *Active) writeStraight(entries []Entry, end, bytes Pos) error {
	a.extendMu.Lock()
	defer a.extendMu.Unlock()
	z := Pos(a.zeroed.Load())
	if head := pageUp(end + FrameHeaderLen); head > z {
		if err := a.file.Zero(int64(z), int64(head-z)); err != nil {
			if !errors.Is(err, vfs.ErrNoSpace) {
				err = a.poison(err)
			}
			return err
		}
		a.zeroed.Store(int64(head))
	}
	if err := frame.Write(a.file, end, entries, a.meta.Salt, Pos(a.synced.Load())); err != nil {
		size, serr := a.file.Size()
		if serr != nil {
			return a.poison(errors.Join(err, serr))
		}
		return a.undo(end, min(bytes, Pos(size)-end), err)
	}
	a.zeroed.Store(int64(max(end+bytes, Pos(a.zeroed.Load()))))
	return nil
}

// undo removes what a failed write left: a later, shorter frame must not be
// followed by a whole frame of the failed attempt. The zeroes need no sync of
// their own: they precede the next one, which is one of the whole file, and
// without one there is nothing acknowledged behind them.
func (a *Active) undo(end, bytes Pos, err error) error {
	if !errors.Is(err, vfs.ErrNoSpace) {
		return a.poison(err)
	}
	a.undone.Store(true) // before a sync that does not see the zeroes can end
	if zerr := a.file.Zero(int64(end), int64(bytes)); zerr != nil {
		return a.poison(errors.Join(err, zerr))
	}
	return err
}

func (a *Active) publish(entries []Entry, pos Pos) {
	frames, running := a.frames.Load(), a.maxTime.Load()
	for i := range entries {
		e := &entries[i]
		running = max(running, e.MaxTimestamp)
		a.tab.put(frames, row{uint32(pos / 8), uint32(e.BaseOffset - a.meta.BaseOffset), running})
		if e.Term != a.last || len(a.terms) == 0 {
			if len(a.terms) == cap(a.terms) { // by a quarter: most logs are idle, and a run comes with each start
				a.terms = append(make([]TermRun, 0, len(a.terms)+len(a.terms)/4+1), a.terms...)
			}
			a.terms = append(a.terms, TermRun{Term: e.Term, FirstIndex: e.Index, FirstOffset: e.BaseOffset})
			a.last = e.Term
		}
		pos += Pos(FrameLen(len(e.Payload)))
		frames++
	}
	a.maxTime.Store(running)
	a.next.Store(int64(entries[len(entries)-1].Next()))
	a.end.Store(int64(pos))
	a.frames.Store(frames) // last: readers that see the count see the rows
}

// WantsExtend tells that the zeroed room runs low and Extend should be called,
// beside the appends. Not while they outrun the syncs: then the zeroes would only
// be more to write; and not before some came: most logs of a node are idle after
// a start. The writer's.
func (a *Active) WantsExtend() bool {
	z, end := Pos(a.zeroed.Load()), a.End()
	return z < a.capacity && !a.outrun() && z-end < min(min(z, zeroMost)/2, 2*(end-a.begun))
}

// HalfFull tells that the next segment will be needed before long.
func (a *Active) HalfFull() bool { return a.End() >= a.capacity/2 || a.Frames() >= FramesMax/2 }

// Capacity is where frames end at the latest, in bytes of file.
func (a *Active) Capacity() int64 { return int64(a.capacity) }

// Extend zeroes the next chunk and makes it durable, so that an append and its
// sync only touch extents that are already written. A full disk is no failure
// here: the append that needs the room reports it.
func (a *Active) Extend() error {
	err := a.extend(0, true)
	if errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, fs.ErrNotExist) { // or it was dropped meanwhile
		return nil
	}
	return err
}

// extend zeroes at least up to need. Without sync the zeroes become durable
// together with the frames that are about to replace them.
func (a *Active) extend(need Pos, sync bool) error {
	a.extendMu.Lock()
	defer a.extendMu.Unlock()
	z := Pos(a.zeroed.Load())
	if a.finished || z >= a.capacity || (need > 0 && z >= need) {
		return nil
	}
	f, step := a.file, Pos(zeroFirst) // an append waits: no more than it needs
	if sync {
		// A descriptor of its own: the kernel tells each of a failed write
		// once, and a's own must not miss it.
		var err error
		if f, err = a.fs.Open(a.path); err != nil {
			return err
		}
		defer f.Close()
		step = min(z, zeroMost)
	}
	to := pageUp(min(max(z+step, need), a.capacity))
	err := f.Zero(int64(z), int64(to-z))
	if errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	if err == nil && sync {
		err = f.Datasync()
	}
	if err != nil {
		return a.poison(err)
	}
	a.zeroed.Store(int64(to))
	if sync {
		raise(&a.ready, int64(to))
	}
	return nil
}

// Sync makes the header and every frame published before the call durable. A
// failure poisons the segment.
func (a *Active) Sync() error {
	if err := a.Err(); err != nil {
		return err
	}
	end := a.end.Load()
	if end <= a.synced.Load() {
		return nil
	}
	return a.flush(end)
}

// flush makes the file durable, the frames before end among it.
func (a *Active) flush(end int64) error {
	a.syncMu.Lock()
	defer a.syncMu.Unlock()
	if err := a.Err(); err != nil { // another's sync failed: this one would prove nothing
		return err
	}
	zeroed := a.zeroed.Load()
	a.undone.Store(false) // an append that fails from here on sets it again
	if err := a.file.Datasync(); err != nil {
		return a.poison(err)
	}
	raise(&a.synced, end)
	raise(&a.ready, zeroed)
	return a.Err()
}

// Mark writes how far the segment is durable behind the last frame, so that
// recovery after a clean close knows it. Not synced: when it is lost, or finds no
// room, nothing is lost but that knowledge.
func (a *Active) Mark() error {
	if err := a.Err(); err != nil {
		return err
	}
	end := a.End()
	if end+FrameHeaderLen > a.capacity {
		return nil
	}
	b := make([]byte, FrameHeaderLen)
	e := Entry{Index: a.NextIndex(), Term: a.last, Kind: frame.KindMark, BaseOffset: a.NextOffset(), MaxTimestamp: -1}
	frame.PutHeader(b, &e, a.meta.Salt, Pos(a.synced.Load()))
	frame.Seal(b)
	if _, err := a.file.WriteAt(b, int64(end)); !errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	return nil
}

// Seal is Finish and Flush: the trailer counts once a manifest names it, so
// that frames and trailer may become durable in any order.
func (a *Active) Seal(n int, checkpoint []byte) (Meta, error) {
	meta, err := a.Finish(n, checkpoint)
	if err != nil {
		return meta, err
	}
	return meta, a.Flush()
}

// Finish writes the trailer that keeps the first n frames (n > 0) and the
// owner's checkpoint, and returns the description for the manifest, which must
// not have it before Flush. The segment itself still reads as before; the
// sealed one is opened anew with Reopen. After ErrNoSpace it may be called
// again.
func (a *Active) Finish(n int, checkpoint []byte) (Meta, error) {
	if err := a.Err(); err != nil {
		return Meta{}, err
	}
	meta, err := a.keep(n)
	if err != nil {
		return meta, err
	}
	a.extendMu.Lock() // no zeroing beside the trailer
	defer a.extendMu.Unlock()
	at := a.End()
	err = writeTrailer(a.file, at, &meta, a.tab.at, clip(a.terms, meta.BaseIndex+Index(n)), checkpoint)
	if err != nil {
		if !errors.Is(err, vfs.ErrNoSpace) {
			err = a.poison(err)
		}
		return meta, err
	}
	a.finished = true
	return meta, nil
}

// Flush makes all that was written durable, a trailer included. A failure
// poisons the segment.
func (a *Active) Flush() error {
	if err := a.Err(); err != nil {
		return err
	}
	return a.flush(a.end.Load())
}

// Trim gives back the room that was zeroed ahead behind a sealed segment's
// trailer. It must not run before the manifest has the segment as sealed: until
// then a crash makes it the active one again, which relies on that room.
func (a *Active) Trim(meta Meta) error {
	size, err := a.file.Size()
	if err != nil {
		return err
	}
	at := int64(pageUp(meta.Footer + footerLen))
	if at >= size {
		return nil
	}
	return a.file.Release(at, size-at)
}

// SyncedThrough is the position before which every byte is known durable.
func (a *Active) SyncedThrough() Pos { return Pos(a.synced.Load()) }
