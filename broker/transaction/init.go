package transaction

import (
	"math"
	"time"

	"chronik/broker/group/effect"
)

// exhaustedEpoch is the last epoch that a producer is given; from it on a new
// producer id is used (T4). One more is left for fencing.
const exhaustedEpoch = math.MaxInt16 - 1

// InitProducerIDRequest is a producer that begins to use a transactional id, or
// goes on with another epoch.
type InitProducerIDRequest struct {
	ID      string
	Timeout time.Duration
	// ProducerID and Epoch are those that the producer has; -1: none (T3).
	ProducerID int64
	Epoch      int16
	// Fresh is a producer id that nobody has; -1: none. Without one the answer
	// may be NeedsFresh, and the call is made again with one.
	Fresh int64
}

// InitProducerIDResponse answers InitProducerID. With an error the rest is -1.
type InitProducerIDResponse struct {
	Err        Error
	NeedsFresh bool
	ProducerID int64
	Epoch      int16
}

// InitProducerID answers with an InitProducerIDResponse: the producer id of a
// transactional id, in a new epoch, so that whoever used it before is fenced.
func (s *Shard) InitProducerID(now time.Time, r InitProducerIDRequest, tok Token, fx *Effects) {
	next, fresh, err := s.initial(now, r)
	if err != effect.None || fresh {
		fx.Answer(tok, InitProducerIDResponse{Err: err, NeedsFresh: fresh, ProducerID: -1, Epoch: -1})
		return
	}
	t := s.txns[r.ID]
	if t == nil {
		t = s.add(r.ID)
	}
	if next == nil { // T5
		s.abort(now, t, fx, func(err Error, fx *Effects) {
			if err == effect.None {
				err = effect.ConcurrentTransactions
			}
			fx.Answer(tok, InitProducerIDResponse{Err: err, ProducerID: -1, Epoch: -1})
		})
		return
	}
	s.write(t, next, fx, func(err Error, fx *Effects) {
		out := InitProducerIDResponse{Err: err, ProducerID: next.producerID, Epoch: next.epoch}
		if err != effect.None {
			out.ProducerID, out.Epoch = -1, -1
		}
		fx.Answer(tok, out)
	})
}

// initial is what an id is to become; nil without an error: its transaction is
// to be aborted first.
func (s *Shard) initial(now time.Time, r InitProducerIDRequest) (next *entry, needsFresh bool, err Error) {
	if err := s.checkInit(r); err != effect.None {
		return nil, false, err
	}
	next = &entry{
		previousID: -1, lastEpoch: -1, timeoutMs: int32(r.Timeout.Milliseconds()),
		state: Empty, updatedMs: now.UnixMilli(), startMs: -1,
	}
	t := s.txns[r.ID]
	switch {
	case t == nil && s.cfg.Full():
		return nil, false, effect.CoordinatorNotAvailable
	case t == nil:
		next.producerID = r.Fresh
		return next, r.Fresh < 0, effect.None
	case t.busy || t.state.prepared(): // T6
		return nil, false, effect.ConcurrentTransactions
	case r.Epoch >= 0 && !t.current(r):
		return nil, false, effect.ProducerFenced
	case t.state == Ongoing:
		return nil, false, effect.None
	case t.epoch >= exhaustedEpoch && (r.Epoch < 0 || r.Epoch == t.epoch): // T4
		next.producerID, next.previousID = r.Fresh, t.producerID
		if r.Epoch >= 0 {
			next.lastEpoch = t.epoch
		}
		return next, r.Fresh < 0, effect.None
	}
	next.producerID, next.previousID, next.epoch = t.producerID, t.previousID, t.epoch+1
	switch {
	case r.Epoch >= 0 && (r.Epoch != t.epoch || r.ProducerID != t.producerID): // a retry
		next.epoch, next.lastEpoch = t.epoch, t.lastEpoch
	case r.Epoch >= 0:
		next.lastEpoch = t.epoch
	}
	return next, false, effect.None
}

func (s *Shard) checkInit(r InitProducerIDRequest) Error {
	switch err := s.ready(r.ID); {
	case err != effect.None:
		return err
	case (r.ProducerID == -1) != (r.Epoch == -1): // T3
		return effect.InvalidRequest
	case r.Timeout <= 0 || r.Timeout > s.cfg.TimeoutMax || r.Timeout.Milliseconds() > math.MaxInt32: // T2
		return effect.InvalidTransactionTimeout
	}
	return effect.None
}

// current tells whether a producer id and epoch are the newest that an id has,
// or those before, which the producer itself had raised: it did not get the
// answer (T7). While a transaction is ongoing only the newest will do.
func (t *txn) current(r InitProducerIDRequest) bool {
	switch {
	case r.ProducerID == t.producerID && r.Epoch == t.epoch:
		return true
	case t.state == Ongoing || r.Epoch != t.lastEpoch:
		return false
	}
	return r.ProducerID == t.producerID || r.ProducerID == t.previousID && r.Epoch >= exhaustedEpoch
}
