package segment

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"

	"chronik/internal/vfs"
	"chronik/segment/frame"
	"chronik/segment/mapping"
)

// Recovery says how an unsealed segment was found.
type Recovery struct {
	Frames    int
	Clean     bool  // all of it is known to have been durable: from a mark, or from the manifest
	Marked    bool  // a mark stands at the end: whoever had the log before closed it in order
	TornAt    Pos   // where the torn tail began; 0 when the end was clean
	TornBytes int64 // from there to the last byte that was not zero
	synced    Pos   // everything before is known to have been durable
}

// RecoverOptions describe the segment that the manifest calls active.
type RecoverOptions struct {
	FS       vfs.FS
	Maps     *mapping.Set // nil: none
	Path     string
	Meta     Meta  // ID, Salt, BaseIndex, PrevTerm, BaseOffset
	Capacity int64 // as for Create; the file's present size if that is more
	// SyncedThrough is what the manifest knows to have been durable, 0 if nothing.
	SyncedThrough Pos
}

// Recover opens an unsealed segment by the procedure of FORMAT.md: it verifies
// every frame, cuts a torn tail (durably, so that its bytes cannot come back),
// and refuses corruption (*CorruptError) and newer versions (*VersionError)
// without changing the file. One reference, the caller's.
func Recover(o RecoverOptions) (*Active, Recovery, error) {
	f, err := o.FS.Open(o.Path)
	if err != nil {
		return nil, Recovery{}, err
	}
	a, rec, err := recoverFile(f, o)
	if err != nil {
		f.Close()
		return nil, rec, err
	}
	return a, rec, nil
}

func recoverFile(f vfs.File, o RecoverOptions) (*Active, Recovery, error) {
	size, err := f.Size()
	if err != nil {
		return nil, Recovery{}, err
	}
	if size < int64(dataStart) {
		return nil, Recovery{}, corrupt(o.Path, Pos(size), "file size", fmt.Sprint(">= ", dataStart), size)
	}
	meta := Meta{ID: o.Meta.ID, Salt: o.Meta.Salt, BaseIndex: o.Meta.BaseIndex, PrevTerm: o.Meta.PrevTerm,
		BaseOffset: o.Meta.BaseOffset, MaxTimestamp: -1}
	a := newActive(o.FS, o.Maps, o.Path, f, meta, capacityOf(max(o.Capacity, size)))
	m, err := f.Map(int64(a.capacity))
	if err != nil {
		return nil, Recovery{}, err
	}
	a.opened.Store(&mapped{File: a.maps.Add(m, nil)})
	var rec Recovery
	if err = m.Load(0, min(size, int64(a.capacity)), 0); err == nil {
		rec, err = a.scan(m.Bytes[:min(size, int64(a.capacity))], o.SyncedThrough)
	}
	if err == nil && rec.TornBytes > 0 {
		// Durable below, before anything can be appended over its front.
		err = f.Zero(int64(rec.TornAt), rec.TornBytes)
	}
	if err != nil {
		m.Close()
		return nil, rec, err
	}
	// What lies behind the frames is inside of the file, but a crash may have
	// left holes there: it is zeroed again before it is used.
	a.begun = a.End()
	a.zeroed.Store(a.end.Load())
	if !rec.Clean || rec.TornBytes > 0 {
		// After kill -9 frames may be in the page cache only. Whoever opens
		// the log takes what it finds for durable, so make it so. A sync that
		// failed before may have left their pages marked as written though
		// they were not: write them again, for this sync to mean them.
		if err := errors.Join(rewrite(f, m.Bytes[:a.end.Load()], rec.synced), f.Datasync()); err != nil {
			m.Close()
			return nil, rec, err
		}
	}
	a.synced.Store(a.end.Load())
	a.ready.Store(a.end.Load())
	return a, rec, nil
}

// rewriteBytes is what rewrite copies at a time.
const rewriteBytes = 1 << 20

// rewrite writes b, the front of the mapped file, over itself from a position
// on.
func rewrite(f vfs.File, b []byte, from Pos) (err error) {
	defer Caught(debug.SetPanicOnFault(true), "unsynced frames", &err)
	buf := make([]byte, 0, min(rewriteBytes, max(0, len(b)-int(from))))
	for at := int(from); at < len(b); {
		buf = append(buf[:0], b[at:min(at+rewriteBytes, len(b))]...)
		if _, err := f.WriteAt(buf, int64(at)); err != nil {
			return err
		}
		at += len(buf)
	}
	return nil
}

// scan walks the frames of b, the whole file, and decides what its end is.
func (a *Active) scan(b []byte, synced Pos) (rec Recovery, err error) {
	defer Caught(debug.SetPanicOnFault(true), a.path, &err)
	created, err := parseFileHeader(a.path, b, &a.meta)
	if err != nil {
		return rec, err
	}
	a.stale = StaleThrough(b)
	pos := dataStart
	var h frame.Header
	var bad error
	for a.Frames() < FramesMax {
		if bad = frame.Verify(b[pos:], a.meta.Salt, &h); bad != nil {
			break
		}
		synced = max(synced, h.Synced)
		if h.Kind == frame.KindMark {
			break
		}
		if h.Index != a.NextIndex() || h.Term < a.last || h.BaseOffset < a.NextOffset() || h.BaseOffset-a.meta.BaseOffset > math.MaxUint32 {
			return rec, corrupt(a.path, pos, "order of frames",
				fmt.Sprintf("index %d, term >= %d, offset >= %d and within 2^32 of %d", a.NextIndex(), a.last, a.NextOffset(), a.meta.BaseOffset),
				fmt.Sprintf("index %d, term %d, offset %d", h.Index, h.Term, h.BaseOffset))
		}
		if pos == dataStart {
			a.firstAppend.Store(created)
		}
		a.publish([]Entry{h.Entry}, pos)
		pos += Pos(h.Length)
	}
	rec.Frames = a.Frames()
	if a.Frames() == FramesMax { // only a mark may follow
		bad = frame.Verify(b[pos:], a.meta.Salt, &h)
		if bad == nil && h.Kind == frame.KindMark {
			synced = max(synced, h.Synced)
		} else if bad == nil {
			bad = errors.New("more frames than a segment has")
		}
	}
	if errors.Is(bad, frame.ErrVersion) {
		return rec, a.frameError(pos, b[pos:], bad)
	}
	tail := pos
	if bad == nil && h.Kind == frame.KindMark {
		tail += FrameHeaderLen
		rec.Marked = true
	}
	last, later, newer := a.search(b, tail)
	if newer != nil {
		return rec, newer
	}
	if synced = max(synced, later); pos < synced {
		if bad == nil {
			bad = errors.New("frames end")
		}
		return rec, corrupt(a.path, pos, fmt.Sprintf("%v before position %d, which was durable", bad, synced), "a frame", "none")
	}
	rec.Clean, rec.synced = pos == synced, synced
	if last > tail {
		rec.TornAt, rec.TornBytes = tail, int64(last-tail)
	}
	return rec, nil
}

// search looks through the bytes from pos on: where the last one ends that is
// not zero or of an earlier life, and how far the frames among them that verify
// say the file was durable. A copy of this segment's own frames in somebody's
// payload says nothing new: each claims only what lay before it.
//
// Where the file has had an earlier life, what that left cannot be told from a
// part of a frame that has no header. Neither can ever become a frame: only
// headers and footers with this segment's salt count there.
func (a *Active) search(b []byte, pos Pos) (last, synced Pos, newer error) {
	var h frame.Header
	end := Pos(len(b)) &^ 7
	for p := pos; p < end; {
		if le.Uint64(b[p:]) == 0 && (p+16 > end || le.Uint64(b[p+8:]) == 0) {
			p += 8
			continue
		}
		if p+16 <= end && le.Uint32(b[p+8:]) == frame.Magic {
			err := frame.Verify(b[p:], a.meta.Salt, &h)
			if errors.Is(err, frame.ErrVersion) {
				return 0, 0, a.frameError(p, b[p:], err)
			}
			if err == nil {
				synced = max(synced, h.Synced)
				p += Pos(h.Length)
				last = p
				continue
			}
			if !errors.Is(err, frame.ErrSalt) {
				last = max(last, min(p+FrameHeaderLen, end))
			}
		}
		if p+footerLen <= end && le.Uint32(b[p+8:]) == footerMagic && le.Uint32(b[p+80:]) == a.meta.Salt {
			last = max(last, p+footerLen)
		}
		if le.Uint64(b[p:]) != 0 && p >= a.stale {
			last = max(last, p+8)
		}
		p += 8
	}
	for p := end; p < Pos(len(b)); p++ {
		if b[p] != 0 {
			last = p + 1
		}
	}
	return last, synced, nil
}

// HasFrames tells whether a segment file without a manifest was ever written
// to: whether anything stands where the first frame begins.
func HasFrames(fsys vfs.FS, path string) (bool, error) {
	f, err := fsys.OpenReadOnly(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [FrameHeaderLen]byte
	n, err := f.ReadAt(b[:], int64(dataStart))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for _, c := range b[:n] {
		if c != 0 {
			return true, nil
		}
	}
	return false, nil
}
