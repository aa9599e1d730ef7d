package wal

import (
	"errors"

	"chronik/internal/vfs"
	"chronik/segment"
)

// spareBytes is how far a new spare is zeroed: as much as the appends need that
// come before its first extension is done.
const spareBytes = 1 << 20

// used is a file whose segment was dropped and that nobody reads.
type used struct {
	path string
	meta segment.Meta
}

// prepare makes the file of the next segment ready: of one that was dropped, or
// a new one. If it comes too late it is removed: ids ascend.
func (l *Log) prepare(capacity int64) {
	l.mu.Lock()
	u, next := l.used, l.nextID
	if l.spare != nil || l.closed {
		l.mu.Unlock()
		return
	}
	l.used = nil
	l.nextID++
	l.mu.Unlock()
	sp, err := l.newSpare(u, next, capacity)
	if err != nil {
		if !errors.Is(err, vfs.ErrNoSpace) { // the roll that needs the room reports it
			l.o.Logger.Error("no segment made ready", "dir", l.o.Dir, "err", err)
		}
		return
	}
	l.mu.Lock()
	keep := !l.closed && l.nextID == next+1 && l.spare == nil
	if keep {
		l.spare = sp
	}
	l.mu.Unlock()
	if !keep {
		l.discardSpare(sp)
	}
}

// newSpare makes a spare, durable with its name.
func (l *Log) newSpare(u *used, id uint64, capacity int64) (sp *segment.Spare, err error) {
	p := l.segmentPath(id)
	if u != nil {
		if sp, err = segment.Recycle(l.o.FS, u.path, u.meta, p, id, capacity+capacity/4); err != nil {
			l.o.Logger.Warn("segment not used again", "segment", u.path, "err", err)
		}
	}
	if sp == nil {
		if sp, err = segment.NewSpare(l.o.FS, p, id, min(capacity, spareBytes)); err != nil {
			return nil, err
		}
		err = sp.Sync()
	}
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		l.discardSpare(sp)
		return nil, err
	}
	return sp, nil
}

// drop forgets a segment that the manifest does not name any more. Its file is
// kept for a segment to come if keep says so, there is none yet, and nobody
// reads it; otherwise it is removed.
func (l *Log) drop(s *segment.Segment, keep bool) {
	if keep && s.Sealed() {
		l.mu.Lock()
		if keep = l.used == nil && s.Retire(); keep {
			l.used = &used{s.Path(), s.Meta()}
		}
		l.mu.Unlock()
		if keep {
			return
		}
	}
	l.discard(s)
}

// discard forgets a segment and removes its file. A file that cannot be
// removed now is swept by the next Open.
func (l *Log) discard(s *segment.Segment) {
	l.removed(s.Path(), l.o.FS.Remove(s.Path()))
	s.Release()
}

func (l *Log) discardSpare(sp *segment.Spare) {
	l.removed(l.segmentPath(sp.ID()), sp.Discard())
}

// discardSpares gives back the room that is kept for segments to come.
func (l *Log) discardSpares() {
	l.mu.Lock()
	sp, u := l.spare, l.used
	l.spare, l.used = nil, nil
	l.mu.Unlock()
	if sp != nil {
		l.discardSpare(sp)
	}
	if u != nil {
		l.removed(u.path, l.o.FS.Remove(u.path))
	}
}

func (l *Log) removed(path string, err error) {
	if err != nil {
		l.o.Logger.Error("segment not removed", "segment", path, "err", err)
	}
}
