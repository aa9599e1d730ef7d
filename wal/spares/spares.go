package spares

import (
	"errors"
	"log/slog"
	"path"
	"sync"

	"chronik/internal/vfs"
	"chronik/segment"
)

// spareBytes is how far a new spare is zeroed: as much as the appends need that
// come before its first extension is done.
const spareBytes = 1 << 20

// Options describe where a log's files are.
type Options struct {
	FS     vfs.FS
	Dir    string
	Name   func(id uint64) string // of a segment's file
	Logger *slog.Logger
}

// Set is the spares of a log.
type Set struct {
	o Options

	mu     sync.Mutex
	closed bool
	nextID uint64
	spare  *segment.Spare // nil: none is ready
	used   *used          // nil: no file to make another of
}

// used is the file of a dropped segment.
type used struct {
	path string
	meta segment.Meta
}

// Init begins with an id that no segment has had.
func (s *Set) Init(o Options, nextID uint64) { s.o, s.nextID = o, nextID }

// NextID is greater than any id given so far.
func (s *Set) NextID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextID
}

// Ready tells whether there is a spare.
func (s *Set) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spare != nil
}

// Take returns the spare, or one made on the spot when there is none: then
// nothing of it is durable, nor is it named durably.
func (s *Set) Take() (sp *segment.Spare, named bool, err error) {
	s.mu.Lock()
	sp = s.spare
	s.spare = nil
	id := s.nextID
	if sp == nil {
		s.nextID++
	}
	s.mu.Unlock()
	if sp != nil {
		return sp, true, nil
	}
	sp, err = segment.NewSpare(s.o.FS, s.path(id), id, 0)
	return sp, false, err
}

// Prepare makes a spare if there is none, for a segment of capacity bytes: of
// the file kept for that, or a new one. A full disk is no failure here: whoever
// takes what is not there meets it.
func (s *Set) Prepare(capacity int64) {
	s.mu.Lock()
	u, id := s.used, s.nextID
	if s.spare != nil || s.closed {
		s.mu.Unlock()
		return
	}
	s.used = nil
	s.nextID++
	s.mu.Unlock()
	sp, err := s.make(u, id, capacity)
	if err != nil {
		if !errors.Is(err, vfs.ErrNoSpace) {
			s.o.Logger.Error("no segment made ready", "dir", s.o.Dir, "err", err)
		}
		return
	}
	s.mu.Lock()
	keep := !s.closed && s.nextID == id+1
	if keep {
		s.spare = sp
	}
	s.mu.Unlock()
	if !keep {
		s.removed(s.path(id), sp.Discard())
	}
}

func (s *Set) make(u *used, id uint64, capacity int64) (sp *segment.Spare, err error) {
	if u != nil {
		if sp, err = segment.Recycle(s.o.FS, u.path, u.meta, s.path(id), id, capacity+capacity/4); err != nil {
			s.o.Logger.Warn("segment not used again", "segment", u.path, "err", err)
		}
	}
	if sp == nil {
		if sp, err = segment.NewSpare(s.o.FS, s.path(id), id, min(capacity, spareBytes)); err != nil {
			return nil, err
		}
		err = sp.Sync()
	}
	if err == nil {
		err = s.o.FS.SyncDir(s.o.Dir)
	}
	if err != nil {
		s.removed(s.path(id), sp.Discard())
		return nil, err
	}
	return sp, nil
}

// Keep takes the owner's reference on a sealed segment that the manifest does
// not name any more, for its file, and tells whether it did.
func (s *Set) Keep(g *segment.Segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.used != nil || !g.Sealed() || !g.Retire() {
		return false
	}
	s.used = &used{g.Path(), g.Meta()}
	return true
}

// Discard gives back the room of the files.
func (s *Set) Discard() {
	s.mu.Lock()
	sp, u := s.spare, s.used
	s.spare, s.used = nil, nil
	s.mu.Unlock()
	if sp != nil {
		s.removed(s.path(sp.ID()), sp.Discard())
	}
	if u != nil {
		s.removed(u.path, s.o.FS.Remove(u.path))
	}
}

// Close is Discard, and nothing is kept any more.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Discard()
}

func (s *Set) path(id uint64) string { return path.Join(s.o.Dir, s.o.Name(id)) }

func (s *Set) removed(path string, err error) {
	if err != nil {
		s.o.Logger.Error("segment not removed", "segment", path, "err", err)
	}
}
