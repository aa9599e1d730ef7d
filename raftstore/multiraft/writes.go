package multiraft

import (
	"slices"

	"chronik/raftstore"

	pb "go.etcd.io/raft/v3/raftpb"
)

// write is one MsgStorageAppend on its way to the disk.
type write struct {
	responses []*pb.Message // to deliver when durable
	entries   bool          // it appended to the log
	vote      bool          // it saved term and vote
	refused   bool          // it has found no room, and has not been durable since
	waits     int           // for so many syncs; guarded by the group's inMu, like err
	err       error
	done      func(error) // one of the syncs is done
}

// writeQueue holds a group's writes that are not done, in order. It belongs to
// the group's lock.
type writeQueue struct {
	queue    []*write
	free     *write
	unsynced int // writes of entries in the queue
}

// begin appends a write that waits for the log, the hard states, both or, in
// case it has nothing to write, just for its turn.
func (q *writeQueue) begin(g *Group, responses []*pb.Message, entries, vote bool) *write {
	w := q.free
	q.free = nil
	if w == nil {
		w = &write{}
		w.done = func(err error) {
			g.inMu.Lock()
			w.waits--
			if err != nil && w.err == nil {
				w.err = err
			}
			last := w.waits == 0
			g.inMu.Unlock()
			if last {
				g.enqueue()
			}
		}
	}
	w.responses, w.entries, w.vote, w.refused = responses, entries, vote, false
	if entries {
		q.unsynced++
	}
	w.expect()
	q.queue = append(q.queue, w)
	return w
}

// expect sets what is to be waited for.
func (w *write) expect() {
	w.waits, w.err = 0, nil
	if w.entries {
		w.waits++
	}
	if w.vote {
		w.waits++
	}
}

// stuck reports whether a write found no room when it was to become durable,
// and is not durable yet.
func (q *writeQueue) stuck(g *Group) bool {
	g.inMu.Lock()
	defer g.inMu.Unlock()
	return slices.ContainsFunc(q.queue, func(w *write) bool { return w.refused || w.full() })
}

// full tells that a write has just found no room; inMu is held.
func (w *write) full() bool { return w.waits == 0 && raftstore.DiskFull(w.err) }

// again has the writes made durable once more that found no room.
func (q *writeQueue) again(g *Group) {
	for _, w := range q.queue {
		g.inMu.Lock()
		full := w.full()
		if full {
			w.refused = true
			w.expect()
		}
		g.inMu.Unlock()
		if !full {
			continue
		}
		if w.vote {
			g.host.opt.HardStates.Checkpoint(w.done) // it has been saved
		}
		if w.entries {
			g.log.Sync(w.done)
		}
	}
}

// finish removes the oldest write if it is done. One that found no room stays,
// and its error is returned with it.
func (q *writeQueue) finish(g *Group) (*write, error) {
	if len(q.queue) == 0 {
		return nil, nil
	}
	w := q.queue[0]
	g.inMu.Lock()
	waits, err := w.waits, w.err
	g.inMu.Unlock()
	if waits > 0 {
		return nil, nil
	}
	if raftstore.DiskFull(err) {
		return w, err
	}
	n := copy(q.queue, q.queue[1:])
	q.queue[n] = nil
	q.queue = q.queue[:n]
	if w.entries {
		q.unsynced--
	}
	return w, err
}

// recycle keeps one write for the next time: its callback is made once.
func (q *writeQueue) recycle(w *write) {
	w.responses = nil
	q.free = w
}
