package group

import (
	"slices"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/group/record"
)

// Offsets that are committed in a transaction are in the log from the beginning, in batches of their producer, and
// show when its marker is in the log behind them, or never (T22, T52). What is not decided is kept here; a load finds
// it again from the same batches and markers.

// openTxn is what a producer has committed in a transaction that has not ended.
type openTxn struct {
	epoch   int16
	ending  bool                           // its marker is on its way to the log: nothing more belongs to it
	offsets map[*offsetEntry]pendingOffset // the last one of each partition
}

// pendingOffset is a committed offset that does not show yet.
type pendingOffset struct {
	g     *group
	at    slot
	id    AppendID // that brought it
	value record.Offset
}

func (p pendingOffset) weight() int { return offsetBytes + len(p.value.Metadata) }

// openBytes is what an openTxn takes in memory, rounded up.
const openBytes = 300

// take takes over an offset that is in the log: it shows at once, or with the transaction it belongs to.
func (s *Shard) take(g *group, at slot, id AppendID, o record.Offset, txn *Txn) {
	if txn == nil {
		s.charge(at.entry.set(id, o))
		return
	}
	if id < at.entry.deletedBefore { // of a topic that has been deleted meanwhile
		at.entry.txns--
		return
	}
	t := s.open[txn.ProducerID]
	if t == nil {
		t = &openTxn{offsets: map[*offsetEntry]pendingOffset{}}
		s.open[txn.ProducerID] = t
		s.charge(openBytes)
	}
	t.epoch = max(t.epoch, txn.Epoch)
	if old, ok := t.offsets[at.entry]; ok {
		at.entry.txns-- // one stands for both
		s.charge(-old.weight())
	}
	p := pendingOffset{g, at, id, o}
	t.offsets[at.entry] = p
	s.charge(p.weight())
}

// inTxn counts a commit if it is one of a transaction.
func (e *offsetEntry) inTxn(txn *Txn, n int) {
	if txn != nil {
		e.txns += n
	}
}

// MarkerResponse answers EndTransaction.
type MarkerResponse struct{ Err Error }

// EndTransaction writes the marker of a transaction to the partition and answers with a MarkerResponse when it is
// committed. What the producer has committed in the transaction shows from then on, or is dropped.
func (s *Shard) EndTransaction(_ time.Time, m Marker, tok Token, fx *Effects) {
	if err := s.ready(); err != None {
		fx.Answer(tok, MarkerResponse{err})
		return
	}
	delete(s.asking, m.ProducerID) // permits are void
	if t := s.open[m.ProducerID]; t != nil {
		t.ending = true
	}
	s.log.EmitAppend(fx, effect.Append{Marker: &m}, effect.Pending{
		Applied: func(now time.Time, _ *Effects) { s.finish(now, m.ProducerID, m.Commit) },
		Answer:  func(_ time.Time, err Error, fx *Effects) { fx.Answer(tok, MarkerResponse{err}) },
	})
}

// finish ends a transaction whose marker is in the log.
func (s *Shard) finish(now time.Time, producerID int64, commit bool) {
	t := s.open[producerID]
	if t == nil {
		return
	}
	delete(s.open, producerID)
	s.charge(-openBytes)
	for e, p := range t.offsets {
		e.txns--
		s.charge(-p.weight())
		if commit {
			s.charge(e.set(p.id, p.value))
		}
		s.prune(p.g, p.at)
		if s.phase == active {
			s.armSweep(now, p.g)
		}
		s.forgetIfUnused(p.g)
	}
}

// dropOpen drops what is pending and removed by a tombstone, or with its group.
func (s *Shard) dropOpen(drop func(pendingOffset) bool) {
	for id, t := range s.open {
		for e, p := range t.offsets {
			if drop(p) {
				delete(t.offsets, e)
				e.txns--
				s.charge(-p.weight())
			}
		}
		if len(t.offsets) == 0 {
			delete(s.open, id)
			s.charge(-openBytes)
		}
	}
}

// dropPending drops what is pending for one partition.
func (s *Shard) dropPending(e *offsetEntry) {
	if e.txns > 0 {
		s.dropOpen(func(p pendingOffset) bool { return p.at.entry == e })
	}
}

// LoadInTxn is Load for a record of a producer's transaction.
func (s *Shard) LoadInTxn(txn Txn, key, value []byte) error {
	k, err := record.DecodeKey(key)
	if err != nil || k.Kind != record.KindOffset || value == nil {
		return s.Load(key, value) // nobody writes such ones in a transaction; it counts those that do not decode
	}
	o, err := record.DecodeOffset(value)
	if err != nil {
		return s.Load(key, value)
	}
	s.stats.Records++
	g, at, o := s.loadedSlot(k, o)
	at.entry.txns++
	s.take(g, at, 0, o, &txn)
	return nil
}

// LoadMarker replays the end of a producer's transaction.
func (s *Shard) LoadMarker(producerID int64, commit bool) {
	s.finish(time.Time{}, producerID, commit)
}

// Permit is the right to begin a transaction here, which is asked for elsewhere. The marker of a transaction makes it
// void, and so does another leader: what was true before a transaction ended must not begin it again, for nobody would
// end it. One is good as long as its Shard knows it.
type Permit struct{ _ byte } // not without size: each has an address of its own

// AskPermit tells whether the transaction coordinator has to be asked before an offset of a transaction is taken, and
// gives the Permit that CommitOffsets is to be given then. It must come back by CommitOffsets, or GiveUpPermit.
func (s *Shard) AskPermit(txn Txn) *Permit {
	if t := s.open[txn.ProducerID]; s.phase != active || t != nil && t.epoch == txn.Epoch && !t.ending {
		return nil
	}
	p := &Permit{}
	s.asking[txn.ProducerID] = append(s.asking[txn.ProducerID], p)
	return p
}

// GiveUpPermit takes back a Permit that was not granted, and reports whether it was good.
func (s *Shard) GiveUpPermit(txn Txn, p *Permit) bool {
	asking := s.asking[txn.ProducerID]
	i := slices.Index(asking, p)
	switch {
	case i < 0:
		return false
	case len(asking) > 1:
		s.asking[txn.ProducerID] = slices.Delete(asking, i, i+1)
	default:
		delete(s.asking, txn.ProducerID)
	}
	return true
}

// permitted tells whether a commit may begin its transaction, or goes on with it.
func (s *Shard) permitted(req CommitOffsetsRequest) bool {
	if req.Permit == nil {
		t := s.open[req.Txn.ProducerID]
		return t != nil && !t.ending
	}
	return s.GiveUpPermit(*req.Txn, req.Permit)
}
