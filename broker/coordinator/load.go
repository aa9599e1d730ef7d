package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/kafka/batch"
	"chronik/segment"
)

const (
	loadBytes = 1 << 20 // of one step; calls get their turn between two
	loadRetry = 5 * time.Second
	// loadWait is between two looks for what is in the log but not committed. A leader is told to us when all it
	// found is committed, so this is the exception.
	loadWait = 50 * time.Millisecond
	// malformedLogged is how many records that do not decode are logged one by one.
	malformedLogged = 5
)

// load replays the partition into the state machine, again and again until it succeeds. It returns false when the
// partition is lost before.
func (s *Shard[S]) load() bool {
	log := s.host.opt.Logger.With("partition", s.index, "epoch", s.epoch)
	began := s.host.opt.Clock.Now()
	for {
		err := s.replay()
		if err == nil {
			break
		}
		select {
		case <-s.stop:
			return false
		default:
		}
		if !errors.Is(fromPartition(err), effect.ErrNotLeader) { // else we are about to be told
			log.Error("cannot load, trying again", "what", s.host.opt.What, "err", err, "wait", loadRetry)
		}
		if !s.pause(loadRetry) {
			return false
		}
	}
	current := s.awaitCurrent()
	s.do(func(now time.Time) {
		s.state.Loaded(now, &s.fx)
		if s.host.opt.Loaded != nil {
			s.host.opt.Loaded(s, now, current)
		}
		s.liveBytes = s.logBytes / 2 // a guess: a load is no reason to rewrite everything
		stats := s.state.LoadStats()
		if stats.Records > 0 {
			log.Info("loaded "+s.host.opt.What, "records", stats.Records, "skipped", stats.Skipped,
				"malformed", stats.Malformed, "took", now.Sub(began))
		}
	})
	return true
}

// currentMax is how long a load waits to know which topics exist.
const currentMax = 5 * time.Second

// awaitCurrent waits until this node knows of every topic whose offsets it has
// just loaded, and reports whether it does: it may have heard of a commit
// before it hears of the topic. If it does not, offsets of topics that are
// deleted stay until the next load.
func (s *Shard[S]) awaitCurrent() bool {
	if s.host.opt.Current == nil {
		return true
	}
	ctx, cancel := clock.WithTimeout(context.Background(), s.host.opt.Clock, currentMax)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-over:
		}
	}()
	return s.host.opt.Current(ctx) == nil
}

var errStopped = errors.New("the partition is no longer led here")

// replay reads what was in the log when leadership began; nobody but this shard writes after that.
func (s *Shard[S]) replay() error {
	begin := s.part.State()
	s.mu.Lock()
	s.state = s.host.newState()
	s.logBytes = 0
	s.mu.Unlock()
	var frames []segment.Entry
	for offset := begin.LogStart; offset < begin.End; {
		var r partition.ReadResult
		var err error
		r, frames, err = s.part.Read(partition.Read{
			Offset: offset, BytesMax: loadBytes, AtLeastOne: true, CurrentEpoch: s.epoch, LastEpoch: -1,
		}, frames)
		if err != nil {
			return fmt.Errorf("read at offset %d: %w", offset, err)
		}
		next, err := s.feed(r.Records, offset)
		r.Release()
		if err != nil {
			return err
		}
		if next > offset {
			offset = next
			continue
		}
		if !s.pause(loadWait) {
			return errStopped
		}
	}
	return nil
}

// pause waits, and reports false when the partition is lost meanwhile.
func (s *Shard[S]) pause(d time.Duration) bool {
	over := make(chan struct{})
	t := s.host.opt.Clock.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-s.stop:
		return false
	}
}

// feed loads the records of whole batches and returns the offset behind them.
func (s *Shard[S]) feed(records [][]byte, offset int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.weigh()
	var scratch batch.Scratch
	for _, rest := range records {
		for len(rest) > 0 {
			v, tail, err := batch.Next(rest)
			if err != nil {
				return offset, fmt.Errorf("batch behind offset %d: %w", offset, err)
			}
			rest = tail
			s.logBytes += int64(len(v))
			feed := s.feedBatch
			if v.Attributes().Control() {
				feed = s.feedMarker
			}
			if err := feed(v, &scratch); err != nil {
				return offset, err
			}
			offset = v.BaseOffset() + int64(v.LastOffsetDelta()) + 1
		}
	}
	return offset, nil
}

func (s *Shard[S]) feedBatch(v batch.View, scratch *batch.Scratch) error {
	load := s.state.Load
	if in, ok := any(s.state).(Transactional); ok && v.Attributes().Transactional() {
		load = func(key, value []byte) error {
			return in.LoadInTxn(effect.Txn{ProducerID: v.ProducerID(), Epoch: v.ProducerEpoch()}, key, value)
		}
	}
	for r, err := range batch.Records(v, scratch) {
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w", v.BaseOffset(), err)
		}
		if err := load(r.Key, r.Value); err != nil && s.state.LoadStats().Malformed <= malformedLogged {
			s.host.opt.Logger.Warn("skipped a record that does not decode", "what", s.host.opt.What, "partition", s.index, "offset", r.Offset, "err", err)
		}
	}
	return nil
}

// feedMarker loads the end of a transaction. Other control batches say nothing to a coordinator.
func (s *Shard[S]) feedMarker(v batch.View, _ *batch.Scratch) error {
	typ, _, err := batch.EndTxn(v)
	if in, ok := any(s.state).(Transactional); ok && err == nil && (typ == batch.Commit || typ == batch.Abort) {
		in.LoadMarker(v.ProducerID(), typ == batch.Commit)
	}
	return nil
}
