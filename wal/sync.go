package wal

import (
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/clock"
)

// syncState is a log's share of group sync.
type syncState struct {
	log *Log

	mu      sync.Mutex
	waiters []func(error)
	spare   []func(error) // the other buffer
	queued  bool          // the syncer has the log in the round that gathers
	busy    bool          // a flush is under way
	again   bool          // and is to go round once more

	durableMu sync.Mutex // writers of the two below
	cuts      uint64     // a truncation makes the result of a sync under way void
	index     atomic.Uint64
	offset    atomic.Int64
}

// Sync calls done once everything appended before is durable, or with the
// error that poisoned the log. done runs on a goroutine of the Syncer and must
// be quick; without a Syncer it runs on the goroutine of a caller of Sync, this
// one or another. Not to be called with a lock held that done takes.
func (l *Log) Sync(done func(error)) {
	s := &l.sync
	s.mu.Lock()
	s.waiters = append(s.waiters, done)
	enqueue := !s.queued && l.o.Syncer != nil
	s.queued = s.queued || enqueue
	s.mu.Unlock()
	switch {
	case l.o.Syncer == nil:
		s.flush(true)
	case enqueue:
		l.o.Syncer.enqueue(l)
	}
}

type syncWait struct {
	ch   chan error
	done func(error)
}

var syncWaits = sync.Pool{New: func() any {
	w := &syncWait{ch: make(chan error, 1)}
	w.done = func(err error) { w.ch <- err }
	return w
}}

// SyncWait returns once everything appended before is durable.
func (l *Log) SyncWait() error {
	w := syncWaits.Get().(*syncWait)
	l.Sync(w.done)
	err := <-w.ch
	syncWaits.Put(w)
	return err
}

// DurableIndex is the last index known to be durable.
func (l *Log) DurableIndex() Index { return Index(l.sync.index.Load()) }

// DurableOffset is the offset before which every record is known durable.
func (l *Log) DurableOffset() Offset { return Offset(l.sync.offset.Load()) }

// flush makes durable what has been appended and answers those who waited
// before it began. One at a time: a second caller has the first go round once
// more. With all, it goes on until nobody waits.
func (s *syncState) flush(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = false
	if s.busy {
		s.again = true
		return
	}
	s.busy = true
	for len(s.waiters) > 0 {
		s.again = false
		waiters := s.waiters
		s.waiters, s.spare = s.spare, nil
		s.mu.Unlock()
		err := s.syncActive()
		for _, done := range waiters {
			done(err)
		}
		clear(waiters)
		s.mu.Lock()
		s.spare = waiters[:0]
		if !all && !s.again {
			break
		}
	}
	s.busy = false
}

// syncActive syncs the active segment. Those before it are durable: a segment
// is sealed only after its own sync.
func (s *syncState) syncActive() error {
	for {
		// Before the view: a truncation that comes between voids the result,
		// which would be the end of a segment that is no longer the log's.
		s.durableMu.Lock()
		cuts := s.cuts
		s.durableMu.Unlock()
		v := s.log.view.Load()
		if v == nil {
			return ErrClosed
		}
		if !v.active.Acquire() {
			continue // rolled meanwhile
		}
		// Index first: the offset may be ahead of it, and both are of frames
		// that were written before the sync begins.
		index, offset := v.active.NextIndex()-1, v.active.NextOffset()
		err := v.active.Sync()
		v.active.Release()
		if err == nil {
			s.durable(index, offset, cuts)
		}
		return err
	}
}

// durable raises the durable marks, unless a truncation came between.
func (s *syncState) durable(index Index, offset Offset, cuts uint64) {
	s.durableMu.Lock()
	defer s.durableMu.Unlock()
	if cuts != s.cuts {
		return
	}
	if uint64(index) > s.index.Load() {
		s.index.Store(uint64(index))
	}
	if int64(offset) > s.offset.Load() {
		s.offset.Store(int64(offset))
	}
}

// advance is called when a roll has made everything before it durable.
func (s *syncState) advance(index Index, offset Offset) {
	s.durableMu.Lock()
	cuts := s.cuts
	s.durableMu.Unlock()
	s.durable(index, offset, cuts)
}

// cut is called when a truncation is durable: so is all that it left.
func (s *syncState) cut(index Index, offset Offset) {
	s.durableMu.Lock()
	defer s.durableMu.Unlock()
	s.cuts++
	s.index.Store(uint64(index))
	s.offset.Store(int64(offset))
}

// opened sets the marks of a log just opened: recovery made all of it durable.
func (s *syncState) opened() {
	a := s.log.view.Load().active
	s.index.Store(uint64(a.NextIndex() - 1))
	s.offset.Store(int64(a.NextOffset()))
}

// SyncerOptions describe a Syncer.
type SyncerOptions struct {
	// Parallel is how many files are synced at the same time; 0: 16.
	Parallel int
	Clock    clock.Clock // nil: clock.Real
	// Observe is told of each round; nil: nobody.
	Observe func(Round)
}

// Round is one round of a Syncer.
type Round struct {
	Logs int // made durable
	Took time.Duration
}

// Syncer makes the logs of a node durable together: while one round is in
// flight the next one gathers, and within a round each log is synced once
// however many wait for it, several at a time.
type Syncer struct {
	o    SyncerOptions
	wake chan struct{}
	done chan struct{}

	mu     sync.Mutex
	queue  []*Log
	closed bool

	helpers int
	work    chan *roundState
	round   roundState
}

// roundState is the work of one round, shared by those who do it.
type roundState struct {
	logs []*Log
	next atomic.Int64
	wg   sync.WaitGroup
}

func (r *roundState) run() {
	for {
		i := int(r.next.Add(1)) - 1
		if i >= len(r.logs) {
			return
		}
		r.logs[i].sync.flush(false)
	}
}

// NewSyncer starts a syncer.
func NewSyncer(o SyncerOptions) *Syncer {
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	s := &Syncer{o: o, wake: make(chan struct{}, 1), done: make(chan struct{}), work: make(chan *roundState)}
	go s.loop()
	return s
}

// enqueue adds a log to the round that gathers.
func (s *Syncer) enqueue(l *Log) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.queue = append(s.queue, l)
	}
	s.mu.Unlock()
	if closed {
		go l.sync.flush(true)
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Syncer) loop() {
	defer close(s.done)
	var spare []*Log
	for range s.wake {
		s.mu.Lock()
		batch, closed := s.queue, s.closed
		s.queue = spare[:0]
		s.mu.Unlock()
		if len(batch) > 0 {
			s.runRound(batch)
		}
		clear(batch)
		spare = batch
		if closed {
			close(s.work)
			return
		}
	}
}

func (s *Syncer) runRound(batch []*Log) {
	begin := s.o.Clock.Now()
	r := &s.round
	r.logs = batch
	r.next.Store(0)
	help := min(s.o.Parallel, len(batch)) - 1
	for ; s.helpers < help; s.helpers++ {
		go s.help()
	}
	r.wg.Add(help)
	for range help {
		s.work <- r
	}
	r.run()
	r.wg.Wait()
	if s.o.Observe != nil {
		s.o.Observe(Round{Logs: len(batch), Took: s.o.Clock.Now().Sub(begin)})
	}
}

func (s *Syncer) help() {
	for r := range s.work {
		r.run()
		r.wg.Done()
	}
}

// Close finishes the round that gathers and stops. Logs that are still open
// sync on a goroutine each from then on.
func (s *Syncer) Close() {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if !was {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	<-s.done
}
