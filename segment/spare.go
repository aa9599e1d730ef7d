package segment

import (
	"errors"
	"fmt"
	"sync/atomic"

	"chronik/internal/vfs"
)

// Spare is a file made ready for a segment to come, so that beginning the
// segment is one write into room that is written already. It has one owner,
// who either begins a segment in it or discards it.
type Spare struct {
	fs    vfs.FS
	path  string
	file  vfs.File
	id    uint64
	size  Pos    // written up to here, and no longer than that
	stale Pos    // with bytes of an earlier life up to here
	salt  uint32 // of that life
	ready bool   // durable
}

// NewSpare makes a file of zeroes, n bytes and as long at least as a segment
// that nothing happens to. Durable after Sync, its name after SyncDir. After an
// error the file is removed.
func NewSpare(fsys vfs.FS, path string, id uint64, n int64) (*Spare, error) {
	f, err := fsys.Create(path)
	if err != nil {
		return nil, err
	}
	sp := &Spare{fs: fsys, path: path, file: f, id: id, size: pageUp(Pos(max(n, zeroFirst)))}
	if err := f.Zero(0, int64(sp.size)); err != nil {
		sp.Discard()
		return nil, err
	}
	return sp, nil
}

// Recycle makes a spare of the file of a sealed segment that was retired and
// that no manifest names, durably so. The room that Trim gave back is written
// again; what else stands there stays, but for the name. After an error the
// file is removed. A file larger than most bytes is refused.
func Recycle(fsys vfs.FS, from string, meta Meta, path string, id uint64, most int64) (*Spare, error) {
	f, err := fsys.Open(from)
	if err != nil {
		return nil, err
	}
	sp := &Spare{fs: fsys, path: from, file: f, id: id, salt: meta.Salt}
	size, err := f.Size()
	if err == nil && size > most {
		err = fmt.Errorf("segment: %d bytes are too many for a spare of %d", size, most)
	}
	sp.size = Pos(size)
	sp.stale = min(pageUp(meta.Footer+footerLen), sp.size)
	if err == nil && sp.stale < sp.size {
		err = f.Zero(int64(sp.stale), int64(sp.size-sp.stale))
	}
	if err == nil {
		err = sp.Sync()
	}
	if err == nil {
		err = fsys.Rename(from, path)
	}
	if err != nil {
		sp.Discard()
		return nil, err
	}
	sp.path = path
	return sp, nil
}

// ID names the file.
func (sp *Spare) ID() uint64 { return sp.id }

// Sync makes the spare durable, except for its name.
func (sp *Spare) Sync() error {
	err := sp.file.Datasync()
	sp.ready = err == nil
	return err
}

// Discard closes the spare and removes its file.
func (sp *Spare) Discard() error {
	return errors.Join(sp.file.Close(), sp.fs.Remove(sp.path))
}

// Begin makes a segment of the spare, whatever FS, Path and ID say. Nothing is
// synced: the header becomes durable with the segment's first Sync, before
// which no manifest may have it as the active one. One reference, the caller's.
// After an error the spare is discarded.
func (sp *Spare) Begin(o CreateOptions) (*Active, error) {
	for sp.stale > 0 && o.Salt == sp.salt {
		o.Salt++ // frames of the earlier life must not verify
	}
	meta := Meta{ID: sp.id, Salt: o.Salt, BaseIndex: o.BaseIndex, PrevTerm: o.PrevTerm, BaseOffset: o.BaseOffset, MaxTimestamp: -1}
	a := newActive(sp.fs, o.Maps, sp.path, sp.file, meta, capacityOf(o.Capacity))
	page := make([]byte, dataStart)
	putFileHeader(page, &meta, o.Now, sp.stale)
	_, err := sp.file.WriteAt(page, 0)
	if err != nil {
		sp.Discard()
		return nil, err
	}
	m, err := sp.file.Map(int64(a.capacity))
	if err != nil {
		sp.Discard()
		return nil, err
	}
	a.opened.Store(&mapped{File: a.maps.Add(m, nil)})
	a.stale = sp.stale
	a.synced.Store(0)
	a.zeroed.Store(int64(sp.size))
	if sp.ready {
		a.ready.Store(int64(sp.size))
	}
	return a, nil
}

// BeginSynced is Begin, durable on return except for the name. A sync that fails
// poisons nothing: the spare is discarded.
func (sp *Spare) BeginSynced(o CreateOptions) (*Active, error) {
	a, err := sp.Begin(o)
	if err != nil {
		return nil, err
	}
	if err := a.file.Datasync(); err != nil {
		a.Release()
		sp.fs.Remove(sp.path)
		return nil, err
	}
	a.synced.Store(int64(dataStart))
	a.ready.Store(int64(sp.size))
	return a, nil
}

func newUsers() *atomic.Int32 {
	n := new(atomic.Int32)
	n.Store(1)
	return n
}

// Reopen is OpenSealed of the same file, for what the segment is once a
// manifest has meta. Both may be read; Retire knows of both.
func (s *Segment) Reopen(meta Meta) *Segment {
	s.users.Add(1)
	return &Segment{fs: s.fs, maps: s.maps, path: s.path, meta: meta, sealed: true, users: s.users}
}

// Retire gives the owner's reference back if nobody has another, on this
// segment or on one that it was opened anew from: true means that nobody reads
// the file, nor will, and that it can be used again.
func (s *Segment) Retire() bool {
	if s.users.Load() > 1 || !s.refs.Retire() {
		return false
	}
	s.close()
	return true
}
