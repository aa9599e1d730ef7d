package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/kafka/batch"
)

// Shard is the State of one partition, with the partition behind it.
//
// Lock order: mu, then the partition's own, then notes. Acked comes with the partition's lock held and therefore
// takes notes only.
type Shard[S State] struct {
	host  *Runner[S]
	index int32
	part  Partition
	epoch int32
	stop  chan struct{} // closed when the partition is no longer ours
	wake  chan struct{} // capacity 1: there are notes, or a deadline has come

	mu      sync.Mutex
	state   S
	bytes   int64 // of state, as the host knows it
	fx      effect.Effects
	waiting map[effect.Token]chan any
	tokens  effect.Token
	builder batch.Builder
	buf     []byte
	timer   clock.Timer
	armed   time.Time // when timer fires; zero when it does not

	logBytes  int64 // batches in the log since its start, as far as they are known
	liveBytes int64 // what the last rewrite left of them
	rewriting bool

	noteMu    sync.Mutex
	notes     []outcome
	rewritten *rewrite[S] // acknowledged or failed
}

// outcome is what became of an append.
type outcome struct {
	id  effect.AppendID
	err error
}

func newShard[S State](h *Runner[S], index int32, p Partition, epoch int32) *Shard[S] {
	return &Shard[S]{
		host: h, index: index, part: p, epoch: epoch, stop: make(chan struct{}), wake: make(chan struct{}, 1),
		state: h.newState(), waiting: map[effect.Token]chan any{},
	}
}

// run loads the partition and then serves outcomes and deadlines until the partition is lost.
func (s *Shard[S]) run() {
	if s.load() {
		for {
			select {
			case <-s.stop:
			case <-s.wake:
				s.do(s.attend)
				s.finishRewrite()
				continue
			}
			break
		}
	}
	s.do(func(now time.Time) { s.state.Resign(now, &s.fx) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

// attend tells the state machine what has happened.
func (s *Shard[S]) attend(now time.Time) {
	s.takeNotes(now)
	if !s.armed.IsZero() && !now.Before(s.armed) {
		s.armed = time.Time{}
	}
	s.state.Tick(now, &s.fx)
	s.carryOut(now)
	s.compact(now)
}

func (s *Shard[S]) takeNotes(now time.Time) {
	s.noteMu.Lock()
	notes := s.notes
	s.notes = nil
	s.noteMu.Unlock()
	for _, n := range notes {
		s.state.Appended(now, n.id, n.err, &s.fx)
	}
}

// do runs f with the state machine and carries out what follows.
func (s *Shard[S]) do(f func(now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.host.opt.Clock.Now()
	f(now)
	s.carryOut(now)
	s.weigh()
}

// weigh tells the host what the state machine takes in memory.
func (s *Shard[S]) weigh() {
	n := s.state.Bytes()
	s.host.bytes.Add(n - s.bytes)
	s.bytes = n
}

// Index is the partition, and Epoch the leader epoch in which it is led.
func (s *Shard[S]) Index() int32 { return s.index }
func (s *Shard[S]) Epoch() int32 { return s.epoch }

// Stopped is closed when the partition is no longer led here in that epoch.
func (s *Shard[S]) Stopped() <-chan struct{} { return s.stop }

// Do runs f with the state machine and carries out what follows.
func (s *Shard[S]) Do(f func(now time.Time, state S, fx *effect.Effects)) {
	s.do(func(now time.Time) { f(now, s.state, &s.fx) })
}

// Ask does a call that is answered by a reply to its token. gone is the answer when ctx ends before that.
func Ask[R any, S State](ctx context.Context, s *Shard[S], gone R, f func(now time.Time, state S, tok effect.Token, fx *effect.Effects)) R {
	return ask(ctx, s, gone, func(s *Shard[S], now time.Time, tok effect.Token) { f(now, s.state, tok, &s.fx) })
}

// ask does a call that is answered by a reply. gone is the answer when ctx ends before that.
func ask[R any, S State](ctx context.Context, s *Shard[S], gone R, f func(s *Shard[S], now time.Time, tok effect.Token)) R {
	answer := make(chan any, 1)
	var tok effect.Token
	s.do(func(now time.Time) {
		s.tokens++
		tok = s.tokens
		s.waiting[tok] = answer
		f(s, now, tok)
	})
	select {
	case r := <-answer:
		return r.(R)
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.waiting, tok)
		s.mu.Unlock()
		return gone
	}
}

// carryOut hands replies to their callers and appends to the partition, and sets the timer. An append that the
// partition refuses may have effects of its own.
func (s *Shard[S]) carryOut(now time.Time) {
	for len(s.fx.Replies)+len(s.fx.Appends) > 0 {
		for _, r := range s.fx.Replies {
			if answer := s.waiting[r.Token]; answer != nil { // else nobody waits any more
				delete(s.waiting, r.Token)
				answer <- r.Response
			}
		}
		var refused []outcome
		for _, a := range s.fx.Appends {
			if err := s.append(now, a); err != nil {
				refused = append(refused, outcome{a.ID, fromPartition(err)})
			}
		}
		s.fx.Reset()
		for _, o := range refused {
			s.state.Appended(now, o.id, o.err, &s.fx)
		}
	}
	if s.host.opt.After != nil {
		s.host.opt.After(s, s.state)
	}
	s.arm(now)
}

// append gives the records of one effect to the partition as one batch.
func (s *Shard[S]) append(now time.Time, a effect.Append) error {
	if m := a.Marker; m != nil {
		marker := partition.Marker{ProducerID: m.ProducerID, Epoch: m.Epoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit}
		return s.part.AppendMarker(marker, s.epoch, s, int(a.ID))
	}
	bytesMax := s.host.opt.BatchBytesMax()
	s.builder.Reset()
	for _, r := range a.Records {
		if s.builder.Size()+len(r.Key)+len(r.Value) > bytesMax {
			return effect.ErrTooLarge
		}
		s.builder.Add(now.UnixMilli(), r.Key, r.Value)
	}
	how := batch.Plain(batch.None)
	if a.Txn != nil { // without a sequence, for what is sent again is another commit
		how.Transactional, how.ProducerID, how.ProducerEpoch = true, a.Txn.ProducerID, a.Txn.Epoch
	}
	b, err := s.builder.Build(s.buf[:0], how)
	if err != nil {
		return err
	}
	if s.buf = b; len(b) > bytesMax {
		return effect.ErrTooLarge
	}
	s.logBytes += int64(len(b))
	return s.part.Append(b, partition.AcksAll, s.epoch, s, int(a.ID))
}

// Acked implements partition.Acker.
func (s *Shard[S]) Acked(token int, r partition.Result) {
	s.noteMu.Lock()
	s.notes = append(s.notes, outcome{effect.AppendID(token), fromPartition(r.Err)})
	if errors.Is(r.Err, partition.ErrNotEnoughReplicasAfterAppend) { // the call has failed, and its records are committed
		s.notes = append(s.notes, outcome{effect.AppendID(token), nil})
	}
	s.noteMu.Unlock()
	s.poke()
}

func (s *Shard[S]) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// arm sets the timer to the state machine's deadline. A timer that is early enough stays: deadlines move back with
// every heartbeat, and waking up once too often costs less than setting a timer each time.
func (s *Shard[S]) arm(now time.Time) {
	at, ok := s.state.Deadline()
	if !ok || !s.armed.IsZero() && !at.Before(s.armed) {
		return
	}
	s.armed = at
	if s.timer == nil {
		s.timer = s.host.opt.Clock.AfterFunc(at.Sub(now), s.poke)
	} else {
		s.timer.Reset(at.Sub(now))
	}
}

// fromPartition turns the errors of a partition into those that a Shard knows.
func fromPartition(err error) error {
	switch {
	case errors.Is(err, partition.ErrNotLeader), errors.Is(err, partition.ErrClosed),
		errors.Is(err, partition.ErrFencedEpoch), errors.Is(err, partition.ErrUnknownEpoch):
		return errors.Join(effect.ErrNotLeader, err)
	case errors.Is(err, partition.ErrStorage):
		return errors.Join(effect.ErrStorage, err)
	case errors.Is(err, partition.ErrNotEnoughReplicas):
		return errors.Join(effect.ErrNotEnoughReplicas, err)
	case errors.Is(err, partition.ErrNotEnoughReplicasAfterAppend):
		return errors.Join(effect.ErrNotEnoughReplicasAfterAppend, err)
	case errors.Is(err, partition.ErrInvalidProducerEpoch):
		return errors.Join(effect.ErrInvalidProducerEpoch, err)
	case errors.Is(err, partition.ErrFencedCoordinator):
		return errors.Join(effect.ErrFencedCoordinator, err)
	}
	return err
}
