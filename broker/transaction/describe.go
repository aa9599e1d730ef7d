package transaction

import (
	"errors"
	"maps"
	"slices"

	"chronik/broker/group/effect"
)

// Description is what DescribeTransactions and ListTransactions tell of an id.
type Description struct {
	Err        Error
	ID         string
	State      State
	TimeoutMs  int32
	StartMs    int64 // -1: no transaction
	ProducerID int64
	Epoch      int16
	Partitions []Partition // that are in the transaction; of one that is ending those that lack their marker
}

// ErrPattern is a pattern of transactional ids that is not a regular expression.
var ErrPattern = errors.New("the pattern of transactional ids is not a regular expression")

// Describe tells about one id.
func (s *Shard) Describe(id string) Description {
	d := Description{ID: id, Err: s.ready(id), StartMs: -1, ProducerID: -1, Epoch: -1}
	t := s.txns[id]
	switch {
	case d.Err != effect.None:
		return d
	case t == nil || !t.written:
		d.Err = effect.TransactionalIDNotFound
		return d
	}
	d = t.listing()
	d.Partitions = slices.DeleteFunc(t.partitions(), func(p Partition) bool {
		_, left := t.left[p]
		return t.state.prepared() && !left
	})
	return d
}

func (t *txn) listing() Description {
	d := Description{ID: t.id, State: t.state, TimeoutMs: t.timeoutMs, StartMs: -1, ProducerID: t.producerID, Epoch: t.epoch}
	if t.state == Ongoing || t.state.prepared() {
		d.StartMs = t.startMs
	}
	return d
}

// Count adds to states how many ids are in each state.
func (s *Shard) Count(states map[State]int) {
	for _, t := range s.txns {
		if t.written {
			states[t.state]++
		}
	}
}

// List is every id, sorted, without the partitions. Filters are the caller's.
func (s *Shard) List() ([]Description, Error) {
	if err := s.ready("any"); err != effect.None {
		return nil, err
	}
	out := make([]Description, 0, len(s.txns))
	for _, id := range slices.Sorted(maps.Keys(s.txns)) {
		if t := s.txns[id]; t.written {
			out = append(out, t.listing())
		}
	}
	return out, effect.None
}
