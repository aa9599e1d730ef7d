package transaction

import (
	"time"

	"chronik/broker/group/effect"
)

// Producer says who calls: a transactional id, and the producer id and epoch
// that it was given.
type Producer struct {
	ID         string
	ProducerID int64
	Epoch      int16
}

// Response answers AddPartitions and End.
type Response struct{ Err Error }

// find is the id of a call, unless its producer is unknown or fenced.
func (s *Shard) find(p Producer) (*txn, Error) {
	if err := s.ready(p.ID); err != effect.None {
		return nil, err
	}
	t := s.txns[p.ID]
	switch {
	case t == nil:
		return nil, effect.InvalidProducerIDMapping
	case !t.written: // not known to anybody before it is in the log
		return t, effect.ConcurrentTransactions
	case t.producerID != p.ProducerID:
		return t, effect.InvalidProducerIDMapping
	case t.epoch != p.Epoch:
		return t, effect.ProducerFenced
	}
	return t, effect.None
}

// AddPartitions answers with a Response when the partitions are in the
// producer's transaction, which begins with the first one (T11).
func (s *Shard) AddPartitions(now time.Time, p Producer, parts []Partition, tok Token, fx *Effects) {
	t, err := s.find(p)
	switch {
	case t != nil && t.busy:
		err = effect.ConcurrentTransactions
	case err != effect.None:
	case t.state.prepared():
		err = effect.ConcurrentTransactions
	}
	if err == effect.None && t.state == Ongoing {
		more := parts[:0:0]
		for _, x := range parts {
			if !t.has(x) {
				more = append(more, x)
			}
		}
		parts = more
	}
	if err == effect.None && len(parts) > 0 && s.cfg.Full() {
		err = effect.CoordinatorNotAvailable
	}
	if err != effect.None || len(parts) == 0 {
		fx.Answer(tok, Response{err})
		return
	}
	next := *t.entry
	next.state, next.updatedMs = Ongoing, now.UnixMilli()
	if t.state != Ongoing {
		next.topics, next.startMs = nil, now.UnixMilli()
	}
	next.topics = next.with(parts)
	if len(next.encode())+len(t.id)+recordRoom > s.cfg.RecordBytesMax() {
		fx.Answer(tok, Response{effect.InvalidRequest})
		return
	}
	s.write(t, &next, fx, func(err Error, fx *Effects) { fx.Answer(tok, Response{err}) })
}

// recordRoom is what a batch of one record takes beside an id and its value.
const recordRoom = 200

// Verify tells whether a partition is in the producer's transaction (T12).
func (s *Shard) Verify(p Producer, part Partition) Error {
	t, err := s.find(p)
	switch {
	case err != effect.None:
		return err
	case t.state.prepared():
		return effect.ConcurrentTransactions
	case !t.has(part):
		return effect.TransactionAbortable
	}
	return effect.None
}

// End answers with a Response when it is certain that the transaction will be
// committed, or aborted (T30, T31).
func (s *Shard) End(now time.Time, p Producer, commit bool, tok Token, fx *Effects) {
	t, err := s.find(p)
	prepare, complete := PrepareAbort, CompleteAbort
	if commit {
		prepare, complete = PrepareCommit, CompleteCommit
	}
	switch {
	case err != effect.None:
	case t.busy:
		err = effect.ConcurrentTransactions
	case t.state == Ongoing:
		s.end(now, t, prepare, t.epoch, fx, func(err Error, fx *Effects) { fx.Answer(tok, Response{err}) })
		return
	case t.state == prepare:
		err = effect.ConcurrentTransactions
	case t.state != complete:
		err = effect.InvalidTxnState
	}
	fx.Answer(tok, Response{err})
}

// abort ends an ongoing transaction whose producer is not asked: it is fenced.
func (s *Shard) abort(now time.Time, t *txn, fx *Effects, answer func(Error, *Effects)) {
	epoch := t.epoch
	if epoch <= exhaustedEpoch { // else it is the one for fencing, which no producer is given
		epoch++
	}
	s.end(now, t, PrepareAbort, epoch, fx, answer)
}

func (s *Shard) end(now time.Time, t *txn, state State, epoch int16, fx *Effects, answer func(Error, *Effects)) {
	next := *t.entry
	if next.state, next.updatedMs = state, now.UnixMilli(); epoch != next.epoch {
		next.epoch, next.lastEpoch = epoch, -1
	}
	s.write(t, &next, fx, answer)
}

// Markers is a transaction whose markers are to be written.
type Markers struct {
	ID         string
	ProducerID int64
	Epoch      int16
	Commit     bool
	Partitions []Partition
}

// Ended is the transactions that have been ended since the last call. Their
// markers are to be written to every partition, and each reported to
// MarkerWritten.
func (s *Shard) Ended() []Markers {
	out := s.ended
	s.ended = nil
	return out
}

// MarkerWritten takes note that a partition has the marker of a transaction, or
// is gone. With the last one the transaction is complete.
func (s *Shard) MarkerWritten(now time.Time, m Markers, p Partition, fx *Effects) {
	t := s.txns[m.ID]
	if s.phase != active || t == nil || t.producerID != m.ProducerID || t.epoch != m.Epoch || !t.state.prepared() {
		return
	}
	if _, ok := t.left[p]; !ok {
		return
	}
	if delete(t.left, p); len(t.left) == 0 {
		s.complete(now, t, fx)
	}
}

// complete notes that every partition has the marker.
func (s *Shard) complete(now time.Time, t *txn, fx *Effects) {
	if t.busy {
		return
	}
	next := *t.entry
	next.topics, next.updatedMs = nil, now.UnixMilli()
	if next.state = CompleteAbort; t.state == PrepareCommit {
		next.state = CompleteCommit
	}
	s.write(t, &next, fx, unheard)
}
