package writes

import (
	"slices"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Write is one write on its way to the disk.
type Write struct {
	Responses []*pb.Message // to deliver when durable
	Entries   bool          // it appended to the log
	Vote      bool          // it saved term and vote
	Bytes     int           // that it holds in memory

	Done    func(error) // to be called for each of the syncs it waits for
	refused bool        // it has found no room, and has not been durable since
	waits   int         // for so many syncs; guarded by the queue's mu, like err
	err     error
}

// Queue holds a group's writes that are not done.
type Queue struct {
	notify func()           // a write may be done
	full   func(error) bool // the error is a full disk and nothing worse

	mu       sync.Mutex
	queue    []*Write
	free     *Write
	unsynced int // writes of entries in the queue
}

// Init readies a queue.
func (q *Queue) Init(notify func(), full func(error) bool) { q.notify, q.full = notify, full }

// Clear forgets what is in the queue.
func (q *Queue) Clear() { q.queue, q.unsynced = nil, 0 }

// Unsynced is how many writes of entries are in the queue.
func (q *Queue) Unsynced() int { return q.unsynced }

// Begin appends a write. Its Done is to be called once for the entries and once
// for the vote, if it has them.
func (q *Queue) Begin(responses []*pb.Message, entries, vote bool) *Write {
	w := q.free
	q.free = nil
	if w == nil {
		w = &Write{}
		w.Done = func(err error) { q.done(w, err) }
	}
	w.Responses, w.Entries, w.Vote, w.Bytes, w.refused = responses, entries, vote, 0, false
	if entries {
		q.unsynced++
	}
	w.expect()
	q.queue = append(q.queue, w)
	return w
}

func (q *Queue) done(w *Write, err error) {
	q.mu.Lock()
	w.waits--
	if err != nil && w.err == nil {
		w.err = err
	}
	last := w.waits == 0
	q.mu.Unlock()
	if last {
		q.notify()
	}
}

// expect sets what is to be waited for.
func (w *Write) expect() {
	w.waits, w.err = 0, nil
	if w.Entries {
		w.waits++
	}
	if w.Vote {
		w.waits++
	}
}

// Stuck reports whether a write found no room when it was to become durable,
// and is not durable yet.
func (q *Queue) Stuck() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.queue, func(w *Write) bool { return w.refused || q.fullLocked(w) })
}

// fullLocked tells that a write has just found no room.
func (q *Queue) fullLocked(w *Write) bool { return w.waits == 0 && q.full(w.err) }

// Again has each write that found no room made durable once more, by sync.
func (q *Queue) Again(sync func(*Write)) {
	for _, w := range q.queue {
		q.mu.Lock()
		full := q.fullLocked(w)
		if full {
			w.refused = true
			w.expect()
		}
		q.mu.Unlock()
		if full {
			sync(w)
		}
	}
}

// Finish removes the oldest write if it is done, and returns it with its
// error; nil if it is not. One that found no room stays.
func (q *Queue) Finish() (*Write, error) {
	if len(q.queue) == 0 {
		return nil, nil
	}
	w := q.queue[0]
	q.mu.Lock()
	waits, err := w.waits, w.err
	q.mu.Unlock()
	if waits > 0 {
		return nil, nil
	}
	if q.full(err) {
		return w, err
	}
	n := copy(q.queue, q.queue[1:])
	q.queue[n] = nil
	q.queue = q.queue[:n]
	if w.Entries {
		q.unsynced--
	}
	return w, err
}

// Recycle keeps one write for the next time: its callback is made once.
func (q *Queue) Recycle(w *Write) {
	w.Responses = nil
	q.free = w
}
