package producers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chronik/kafka/batch"
)

// windowBatches is how many batches a producer's duplicates are recognised
// among; clients keep at most as many in flight (KIP-98, P20, P32).
const windowBatches = 5

// Batch is the sequence of one batch that a producer wrote.
type Batch struct {
	First, Last int32 // sequence numbers
	Base        int64 // offset of the first record
	LastOffset  int64
	Timestamp   int64 // ms, the batch's greatest
}

// producer is what a partition remembers of one producer id: 130 bytes of one
// that has written once, 290 of a busy one.
type producer struct {
	id           int64
	seen         int64     // ms, when it last wrote
	older, newer *producer // neighbours in the order of last batches

	// Oldest first. With gone, the first is not in the window any more: when all
	// of the window still waits for the log, a checkpoint has this one.
	batches   []Batch
	epoch     int16
	goneEpoch int16
	gone      bool
}

func (p *producer) window() []Batch {
	if p.gone {
		return p.batches[1:]
	}
	return p.batches
}

func (p *producer) last() Batch { return p.batches[len(p.batches)-1] }

// add appends b to the window of the given epoch; a new epoch clears it (P26).
func (p *producer) add(epoch int16, b Batch) {
	n := len(p.batches)
	switch {
	case n > 0 && epoch != p.epoch:
		p.batches = append(p.batches[:0], p.last())
		p.gone, p.goneEpoch = true, p.epoch
	case len(p.window()) == windowBatches:
		if p.gone {
			p.batches = p.batches[:copy(p.batches, p.batches[1:])]
		}
		p.gone, p.goneEpoch = true, p.epoch
	}
	p.epoch = epoch
	if n = len(p.batches); n == cap(p.batches) { // most producer ids write once, or often
		p.batches = append(make([]Batch, 0, min(windowBatches*n+1, windowBatches+1)), p.batches...)
	}
	p.batches = append(p.batches, b)
}

// Sequence errors. They carry no state: the caller names the producer.
var (
	// ErrOutOfOrderSequence says that a batch does not follow the producer's
	// last one (P23, P24, P31).
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch says that a newer producer has taken over (P22).
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the partition's")
)

// Max bounds how many producers a partition remembers. Ids cost a
// client nothing: it may make them up.
const Max = 10_000

// Table is the sequence table of one partition: the producers that wrote
// last, at most max of them. Which ones follows from the log alone: a batch of
// another producer takes the place of the one whose last batch is the oldest.
type Table struct {
	max  int
	byID map[int64]*producer
	ring producer // ring.newer wrote least recently, ring.older most recently

	top     int64     // behind the last batch that was put, even if its producer is forgotten
	written int64     // end of the log; batches from there on wait for it
	evicted []evicted // by batches that wait: the log does not know of it yet
}

// evicted is a producer whose place was taken by the batch at an offset.
type evicted struct {
	*producer
	by int64
}

// New is the empty table of a log that ends at the offset written.
func New(max int, written int64) *Table {
	t := &Table{max: max, byID: map[int64]*producer{}, written: written}
	t.ring.older, t.ring.newer = &t.ring, &t.ring
	return t
}

// put notes a batch of a producer, which is the one that wrote last now.
func (t *Table) put(id int64, epoch int16, b Batch, now int64) {
	t.top = max(t.top, b.LastOffset+1)
	p := t.byID[id]
	if p == nil {
		if len(t.byID) >= t.max {
			oldest := t.ring.newer
			t.remove(oldest)
			if b.Base >= t.written {
				t.evicted = append(t.evicted, evicted{oldest, b.Base})
			}
		}
		p = &producer{id: id, epoch: epoch}
		t.byID[id] = p
	} else {
		p.unlink()
	}
	p.add(epoch, b)
	p.seen = max(p.seen, b.Timestamp, now)
	p.older, p.newer = t.ring.older, &t.ring
	p.older.newer, t.ring.older = p, p
}

func (t *Table) remove(p *producer) {
	p.unlink()
	delete(t.byID, p.id)
}

func (p *producer) unlink() { p.older.newer, p.newer.older = p.newer, p.older }

// Settle notes the new end of the log.
func (t *Table) Settle(written int64) {
	t.written = written
	n := 0
	for n < len(t.evicted) && t.evicted[n].by < written {
		n++
	}
	t.evicted = slices.Delete(t.evicted, 0, n)
}

// Check decides about a batch with sequences (rules P20..P31): a duplicate
// returns the batch it repeats, ok says whether it may be appended.
func (t *Table) Check(id int64, epoch int16, first, last int32) (dup Batch, isDup bool, err error) {
	p := t.byID[id]
	if p == nil {
		return Batch{}, false, nil // P23: no state, or no more: any sequence
	}
	if epoch < p.epoch {
		return Batch{}, false, fmt.Errorf("%w: producer %d epoch %d, current %d", ErrInvalidProducerEpoch, id, epoch, p.epoch)
	}
	if first < 0 {
		return Batch{}, false, nil // a coordinator's records have no sequence
	}
	if epoch > p.epoch {
		if first != 0 {
			return Batch{}, false, fmt.Errorf("%w: producer %d starts epoch %d with sequence %d", ErrOutOfOrderSequence, id, epoch, first)
		}
		return Batch{}, false, nil
	}
	for _, b := range p.window() {
		if b.First == first && b.Last == last {
			return b, true, nil
		}
	}
	if next := nextSequence(p.last().Last); first != next {
		return Batch{}, false, fmt.Errorf("%w: producer %d epoch %d: got %d, expected %d", ErrOutOfOrderSequence, id, epoch, first, next)
	}
	return Batch{}, false, nil
}

// nextSequence follows s; sequences wrap after 2147483647 to 0 (P24).
func nextSequence(s int32) int32 {
	if s == 1<<31-1 {
		return 0
	}
	return s + 1
}

// Observe records a batch that is (or is about to be) in the log. now is in ms.
func (t *Table) Observe(h batch.View, base, now int64) {
	id := h.ProducerID()
	if id < 0 || h.Attributes().Control() {
		return // P30; a marker does not move the window
	}
	t.put(id, h.ProducerEpoch(), Batch{
		First: h.BaseSequence(), Last: h.LastSequence(),
		Base: base, LastOffset: base + int64(h.LastOffsetDelta()), Timestamp: h.MaxTimestamp(),
	}, now)
}

// Top is the offset behind the last batch that the table has noted, even if
// its producer is forgotten: without what the log lost from there on, it would
// be the same.
func (t *Table) Top() int64 { return t.top }

// Len is how many producers the table knows.
func (t *Table) Len() int { return len(t.byID) }

// String is what the table knows, least recently seen first.
func (t *Table) String() string {
	var b strings.Builder
	for p := t.ring.newer; p != &t.ring; p = p.newer {
		fmt.Fprintf(&b, "%d epoch %d %v\n", p.id, p.epoch, p.window())
	}
	return b.String()
}

// Epoch is a producer's epoch, if it is known.
func (t *Table) Epoch(id int64) (epoch int16, ok bool) {
	p := t.byID[id]
	if p == nil {
		return -1, false
	}
	return p.epoch, true
}

// Each calls f with every producer and its last batch, in no order.
func (t *Table) Each(f func(id int64, epoch int16, last Batch)) {
	for id, p := range t.byID {
		f(id, p.epoch, p.last())
	}
}

// Expire forgets producers that last wrote before the time given (P27), but for
// those that keep says; nil: none.
func (t *Table) Expire(before int64, keep func(id int64) bool) {
	for _, p := range t.byID {
		if p.seen < before && (keep == nil || !keep(p.id)) {
			t.remove(p)
		}
	}
}
