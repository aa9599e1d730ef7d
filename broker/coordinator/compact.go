package coordinator

import (
	"context"
	"time"

	"chronik/broker/partition"
	"chronik/kafka/batch"
)

// A shard keeps its partition short. When enough has been written since the last time, it appends the whole state
// again, as ordinary records, and once they are committed moves the log start to the first of them. To a reader that
// looks for the last value of each key the log says the same before and after, and a crash in between leaves more
// than is needed, never less.
const (
	// compactBytesMin and compactFactor: the log is rewritten when it is longer than either the minimum or this many
	// times what a rewrite leaves.
	compactBytesMin = 8 << 20
	compactFactor   = 4
	// compactBatchBytes is the size of a batch of a rewrite.
	compactBatchBytes = 256 << 10
)

// rewrite is one rewrite under way. It is under noteMu.
type rewrite[S State] struct {
	s     *Shard[S]
	first int64 // offset of its first record
	open  int64 // offset of what belongs to transactions that were open when it began: they are not in it
	left  int   // batches that are not acknowledged
	err   error
}

// Acked implements partition.Acker.
func (w *rewrite[S]) Acked(token int, r partition.Result) {
	w.s.noteMu.Lock()
	defer w.s.noteMu.Unlock()
	if token == 0 {
		w.first = r.BaseOffset
	}
	w.endLocked(r.Err)
}

// endLocked counts one batch. With the last one the log start may move.
func (w *rewrite[S]) endLocked(err error) {
	if w.left--; w.err == nil {
		w.err = err
	}
	if w.left == 0 {
		w.s.rewritten = w
		w.s.poke()
	}
}

// compact starts a rewrite if one is due. It runs with mu held, and first waits until memory and log say the same: no
// call gets in meanwhile, for about as long as one write takes.
func (s *Shard[S]) compact(now time.Time) {
	if s.rewriting || s.logBytes < max(compactBytesMin, compactFactor*s.liveBytes) {
		return
	}
	for !s.state.Quiet() {
		select {
		case <-s.wake:
			s.takeNotes(now)
			s.carryOut(now)
		case <-s.stop:
			return
		}
	}
	w := &rewrite[S]{s: s, left: 1, first: -1, open: s.part.LastStable()} // one for this function
	s.rewriting = true
	s.liveBytes = 0
	var b batch.Builder
	token := 0
	flush := func() (err error) {
		if b.Len() == 0 {
			return nil
		}
		if s.buf, err = b.Build(s.buf[:0], batch.Plain(batch.None)); err != nil {
			return err
		}
		s.liveBytes += int64(len(s.buf))
		b.Reset()
		s.noteMu.Lock()
		w.left++
		s.noteMu.Unlock()
		token++
		if err = s.part.Append(s.buf, partition.AcksAll, s.epoch, w, token-1); err != nil {
			s.noteMu.Lock()
			w.left--
			s.noteMu.Unlock()
		}
		return err
	}
	var err error
	for r := range s.state.Snapshot() {
		b.Add(now.UnixMilli(), r.Key, r.Value)
		if b.Size() >= min(compactBatchBytes, s.host.opt.BatchBytesMax()/2) {
			if err = flush(); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = flush()
	}
	s.logBytes = s.liveBytes
	s.noteMu.Lock()
	w.endLocked(err)
	s.noteMu.Unlock()
}

// finishRewrite moves the log start when a rewrite has been committed. It runs without mu, for it writes to the disk.
// A rewrite that failed has done no harm; the next is due when the log has grown as much again.
func (s *Shard[S]) finishRewrite() {
	s.noteMu.Lock()
	w := s.rewritten
	s.rewritten = nil
	s.noteMu.Unlock()
	if w == nil {
		return
	}
	err := w.err
	if err == nil && w.first >= 0 && w.open >= 0 {
		_, err = s.part.DeleteRecords(context.Background(), min(w.first, w.open)) // answered when the partition is lost
	}
	if err != nil {
		s.host.opt.Logger.Warn("the log of "+s.host.opt.What+" was not shortened", "partition", s.index, "err", err)
	} else {
		s.host.opt.Logger.Debug("shortened the log of "+s.host.opt.What, "partition", s.index, "start", w.first)
	}
	s.mu.Lock()
	s.rewriting = false
	s.mu.Unlock()
}
