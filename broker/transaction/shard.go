package transaction

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/effect"
)

// The words of package effect, which a caller of a Shard needs.
type (
	Error    = effect.Error
	Token    = effect.Token
	AppendID = effect.AppendID
	Effects  = effect.Effects
	Record   = effect.Record
)

// Config holds the limits of transactions.
type Config struct {
	TimeoutMax     time.Duration // transaction.max.timeout.ms
	Expiration     time.Duration // transactional.id.expiration.ms
	RecordBytesMax func() int    // the largest batch that the partition takes
	Full           func() bool   // whether Bytes, of all Shards there are, is too much to take more
}

type phase uint8

const (
	loading phase = iota
	active
	resigned
)

// Shard is every transactional id of one partition of __transaction_state. It
// begins loading: Load gives it the partition's records, Loaded makes it answer.
type Shard struct {
	cfg    Config
	phase  phase
	txns   map[string]*txn
	timers effect.Timers
	log    effect.Log
	ended  []Markers
	stats  LoadStats
	bytes  int64
}

// txn is a transactional id.
type txn struct {
	id string
	*entry
	written   bool // it is in the log
	busy      bool // a change is on its way to the log
	left      map[Partition]struct{}
	notBefore time.Time // when what failed is tried again
	timer     effect.Timer
}

// retryPause is when a change that the log refused is tried again.
const retryPause = time.Second

// NewShard returns an empty Shard that is loading.
func NewShard(cfg Config) *Shard { return &Shard{cfg: cfg, txns: map[string]*txn{}} }

// Bytes is about what the Shard takes in memory.
func (s *Shard) Bytes() int64 { return s.bytes }

// Deadline is when Tick is next needed; false when never.
func (s *Shard) Deadline() (time.Time, bool) { return s.timers.Next() }

// Tick does what is due by now: transactions that take too long, ids that are
// not used, changes that are to be tried again.
func (s *Shard) Tick(now time.Time, fx *Effects) { s.timers.Tick(now, fx) }

// Appended reports the outcome of an Append, as group.Shard's does.
func (s *Shard) Appended(now time.Time, id AppendID, err error, fx *Effects) {
	if s.phase != resigned {
		s.log.Settle(now, id, err, fx)
	}
}

// Resign ends the Shard because the broker no longer leads the partition:
// everything unsettled is answered NOT_COORDINATOR, as is every later call.
func (s *Shard) Resign(now time.Time, fx *Effects) {
	if s.phase == resigned {
		return
	}
	s.phase = resigned
	s.log.GiveUp(now, effect.NotCoordinator, fx)
	s.txns, s.timers, s.ended, s.bytes = nil, effect.Timers{}, nil, 0
}

// ready is the first check of every call.
func (s *Shard) ready(id string) Error {
	switch {
	case s.phase == loading:
		return effect.CoordinatorLoadInProgress
	case s.phase == resigned:
		return effect.NotCoordinator
	case id == "": // T2, T11
		return effect.InvalidRequest
	}
	return effect.None
}

// LoadStats counts what Load was given.
type LoadStats = effect.LoadStats

// LoadStats tells what Load has counted.
func (s *Shard) LoadStats() LoadStats { return s.stats }

// Load replays one record of the partition; value nil is a tombstone. A record
// that does not decode is an error that wraps ErrMalformed and changes nothing.
func (s *Shard) Load(key, value []byte) error {
	if s.phase != loading {
		panic("BUG: transaction: Load after Loaded")
	}
	s.stats.Records++
	id, ours, err := decodeKey(key)
	var e *entry
	if err == nil && ours && value != nil {
		e, err = decodeEntry(value)
	}
	switch {
	case err != nil:
		s.stats.Malformed++
		return err
	case !ours:
		s.stats.Skipped++
		return nil
	}
	t := s.txns[id]
	if t == nil && e != nil {
		t = s.add(id)
		t.written = true
	}
	if e != nil {
		s.set(t, e)
	} else if t != nil {
		s.forget(t)
	}
	return nil
}

// Loaded ends the loading: calls are answered from now on. Markers of
// transactions that were being ended are to be written again (T62).
func (s *Shard) Loaded(now time.Time, _ *Effects) {
	if s.phase != loading {
		panic("BUG: transaction: Loaded twice")
	}
	s.phase = active
	for _, id := range slices.Sorted(maps.Keys(s.txns)) {
		s.entered(now, s.txns[id])
	}
}

// Quiet reports whether every append has its final outcome.
func (s *Shard) Quiet() bool { return s.log.Quiet() }

// Snapshot gives records that say what all records so far say together. The
// Shard must be quiet and must not be called during the iteration.
func (s *Shard) Snapshot() iter.Seq[Record] {
	if !s.Quiet() {
		panic("BUG: transaction: snapshot with appends under way")
	}
	return func(yield func(Record) bool) {
		for _, id := range slices.Sorted(maps.Keys(s.txns)) {
			if !yield(Record{Key: encodeKey(id), Value: s.txns[id].encode()}) {
				return
			}
		}
	}
}

// add makes a transactional id that the log does not have yet.
func (s *Shard) add(id string) *txn {
	t := &txn{id: strings.Clone(id), entry: &entry{producerID: -1, previousID: -1, epoch: -1, lastEpoch: -1, startMs: -1}}
	t.timer.Fire = func(now time.Time, fx *Effects) { s.fire(now, t, fx) }
	s.txns[t.id] = t
	s.bytes += int64(idBytes + len(id))
	return t
}

func (s *Shard) set(t *txn, e *entry) {
	s.bytes += int64(e.weight() - t.weight())
	t.entry = e
}

func (s *Shard) forget(t *txn) {
	s.timers.Disarm(&t.timer)
	delete(s.txns, t.id)
	s.bytes -= int64(idBytes + len(t.id) + t.weight())
}

// write has the log take over what is said of an id; nil: the id goes. answer
// is told how that went.
func (s *Shard) write(t *txn, next *entry, fx *Effects, answer func(err Error, fx *Effects)) {
	r := Record{Key: encodeKey(t.id)}
	if next != nil {
		r.Value = next.encode()
	}
	t.busy = true
	s.timers.Disarm(&t.timer)
	s.log.Emit(fx, []Record{r}, effect.Pending{
		Applied: func(now time.Time, _ *Effects) {
			if t.busy, t.written = false, true; next == nil {
				s.forget(t)
				return
			}
			s.set(t, next)
			s.entered(now, t)
		},
		Dropped: func(now time.Time, _ *Effects) {
			if t.busy = false; !t.written {
				s.forget(t)
				return
			}
			t.notBefore = now.Add(retryPause)
			s.arm(now, t)
		},
		Answer: func(_ time.Time, err Error, fx *Effects) { answer(err, fx) },
	})
}

// unheard is for changes that nobody asked for.
func unheard(Error, *Effects) {}

// entered does what follows from a state that the log now has.
func (s *Shard) entered(now time.Time, t *txn) {
	t.notBefore, t.left = time.Time{}, nil
	if t.state.prepared() {
		t.left = map[Partition]struct{}{}
		m := Markers{ID: t.id, ProducerID: t.producerID, Epoch: t.epoch, Commit: t.state == PrepareCommit, Partitions: t.partitions()}
		for _, p := range m.Partitions {
			t.left[p] = struct{}{}
		}
		if len(m.Partitions) > 0 {
			s.ended = append(s.ended, m)
		}
	}
	s.arm(now, t)
}

// arm sets when an id is looked at: an ongoing transaction at its timeout
// (T60), one whose markers are written at once, for its end has to be written
// too, and one that does nothing when it expires (T61).
func (s *Shard) arm(now time.Time, t *txn) {
	at := now
	switch {
	case t.busy || t.state.prepared() && len(t.left) > 0:
		s.timers.Disarm(&t.timer)
		return
	case t.state == Ongoing:
		at = time.UnixMilli(t.startMs).Add(time.Duration(t.timeoutMs) * time.Millisecond)
	case !t.state.prepared():
		at = time.UnixMilli(t.updatedMs).Add(s.cfg.Expiration)
	}
	if at.Before(t.notBefore) {
		at = t.notBefore
	}
	s.timers.Arm(&t.timer, at)
}

func (s *Shard) fire(now time.Time, t *txn, fx *Effects) {
	switch {
	case t.state == Ongoing: // T60
		s.abort(now, t, fx, unheard)
	case t.state.prepared():
		s.complete(now, t, fx)
	default: // T61
		s.write(t, nil, fx, unheard)
	}
}
