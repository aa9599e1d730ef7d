package partition

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"chronik/kafka/batch"
)

// windowBatches is how many batches a producer's duplicates are recognised
// among; clients keep at most as many in flight (KIP-98, P20, P32).
const windowBatches = 5

// sequence of one batch that a producer wrote.
type producedBatch struct {
	first, last int32 // sequence numbers
	base        int64 // offset of the first record
	lastOffset  int64
	timestamp   int64 // ms, the batch's greatest
}

// producer is what a partition remembers of one producer id: 130 bytes of one
// that has written once, 290 of a busy one.
type producer struct {
	id           int64
	seen         int64     // ms, when it last wrote
	older, newer *producer // neighbours in the order of last batches

	// Oldest first. With gone, the first is not in the window any more: when all
	// of the window still waits for the log, a checkpoint has this one.
	batches   []producedBatch
	epoch     int16
	goneEpoch int16
	gone      bool
}

func (p *producer) window() []producedBatch {
	if p.gone {
		return p.batches[1:]
	}
	return p.batches
}

func (p *producer) last() producedBatch { return p.batches[len(p.batches)-1] }

// add appends b to the window of the given epoch; a new epoch clears it (P26).
func (p *producer) add(epoch int16, b producedBatch) {
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
		p.batches = append(make([]producedBatch, 0, min(windowBatches*n+1, windowBatches+1)), p.batches...)
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

// producersMax bounds how many producers a partition remembers. Ids cost a
// client nothing: it may make them up.
const producersMax = 10_000

// producers is the sequence table of one partition: the producers that wrote
// last, at most max of them. Which ones follows from the log alone: a batch of
// another producer takes the place of the one whose last batch is the oldest.
type producers struct {
	max  int
	byID map[int64]*producer
	ring producer // ring.newer wrote least recently, ring.older most recently

	written int64     // end of the log; batches from there on wait for it
	evicted []evicted // by batches that wait: the log does not know of it yet
}

// evicted is a producer whose place was taken by the batch at an offset.
type evicted struct {
	*producer
	by int64
}

// newProducers is the empty table of a log that ends at the offset written.
func newProducers(max int, written int64) *producers {
	t := &producers{max: max, byID: map[int64]*producer{}, written: written}
	t.ring.older, t.ring.newer = &t.ring, &t.ring
	return t
}

// put notes a batch of a producer, which is the one that wrote last now.
func (t *producers) put(id int64, epoch int16, b producedBatch, now int64) {
	p := t.byID[id]
	if p == nil {
		if len(t.byID) >= t.max {
			oldest := t.ring.newer
			t.remove(oldest)
			if b.base >= t.written {
				t.evicted = append(t.evicted, evicted{oldest, b.base})
			}
		}
		p = &producer{id: id, epoch: epoch}
		t.byID[id] = p
	} else {
		p.unlink()
	}
	p.add(epoch, b)
	p.seen = max(p.seen, b.timestamp, now)
	p.older, p.newer = t.ring.older, &t.ring
	p.older.newer, t.ring.older = p, p
}

func (t *producers) remove(p *producer) {
	p.unlink()
	delete(t.byID, p.id)
}

func (p *producer) unlink() { p.older.newer, p.newer.older = p.newer, p.older }

// settle notes the new end of the log.
func (t *producers) settle(written int64) {
	t.written = written
	n := 0
	for n < len(t.evicted) && t.evicted[n].by < written {
		n++
	}
	t.evicted = slices.Delete(t.evicted, 0, n)
}

// check decides about a batch with sequences (rules P20..P31): a duplicate
// returns the batch it repeats, ok says whether it may be appended.
func (t *producers) check(id int64, epoch int16, first, last int32) (dup producedBatch, isDup bool, err error) {
	p := t.byID[id]
	if p == nil {
		return producedBatch{}, false, nil // P23: no state, or no more: any sequence
	}
	if epoch < p.epoch {
		return producedBatch{}, false, fmt.Errorf("%w: producer %d epoch %d, current %d", ErrInvalidProducerEpoch, id, epoch, p.epoch)
	}
	if epoch > p.epoch {
		if first != 0 {
			return producedBatch{}, false, fmt.Errorf("%w: producer %d starts epoch %d with sequence %d", ErrOutOfOrderSequence, id, epoch, first)
		}
		return producedBatch{}, false, nil
	}
	for _, b := range p.window() {
		if b.first == first && b.last == last {
			return b, true, nil
		}
	}
	if next := nextSequence(p.last().last); first != next {
		return producedBatch{}, false, fmt.Errorf("%w: producer %d epoch %d: got %d, expected %d", ErrOutOfOrderSequence, id, epoch, first, next)
	}
	return producedBatch{}, false, nil
}

// nextSequence follows s; sequences wrap after 2147483647 to 0 (P24).
func nextSequence(s int32) int32 {
	if s == 1<<31-1 {
		return 0
	}
	return s + 1
}

// observe records a batch that is (or is about to be) in the log. now is in ms.
func (t *producers) observe(h batch.View, base, now int64) {
	id := h.ProducerID()
	if id < 0 || h.Attributes().Control() {
		return // P30; a marker does not move the window
	}
	t.put(id, h.ProducerEpoch(), producedBatch{
		first: h.BaseSequence(), last: h.LastSequence(),
		base: base, lastOffset: base + int64(h.LastOffsetDelta()), timestamp: h.MaxTimestamp(),
	}, now)
}

// expire forgets producers that last wrote before the time given (P27).
func (t *producers) expire(before int64) {
	for _, p := range t.byID {
		if p.seen < before {
			t.remove(p)
		}
	}
}

// The checkpoint: version, producer count, then per producer its id, epoch,
// time of last write and window. Little-endian, in order of producer id, so
// that equal states have equal bytes. The segment that carries it hashes it.
const (
	checkpointVersion       = 1
	checkpointHeaderBytes   = 2 + 4
	checkpointProducerBytes = 8 + 2 + 8 + 1
	checkpointBatchBytes    = 4 + 4 + 8 + 8 + 8
)

// ErrCheckpoint says that a checkpoint cannot be read.
var ErrCheckpoint = errors.New("producer checkpoint is malformed")

// before is the producer's epoch and batches below the offset end: those of its
// window, else the one that left it last; none when that is not below either.
func (p *producer) before(end int64) (epoch int16, batches []producedBatch) {
	w := p.window()
	n := 0
	for n < len(w) && w[n].lastOffset < end {
		n++
	}
	if n == 0 && p.gone && p.batches[0].lastOffset < end {
		return p.goneEpoch, p.batches[:1]
	}
	return p.epoch, w[:n]
}

// checkpoint is the table as of the offset end, which is not below the end of
// the log: batches at or after it are left out, and found again by reading the
// log from end on. Batches that later ones have pushed out of a window are
// pushed out again by that replay, and so are producers out of the table.
func (t *producers) checkpoint(end int64) []byte {
	all := slices.Collect(maps.Values(t.byID))
	for _, e := range t.evicted {
		if e.by >= end {
			all = append(all, e.producer)
		}
	}
	slices.SortFunc(all, func(a, b *producer) int { return cmp.Compare(a.id, b.id) })
	out := binary.LittleEndian.AppendUint16(nil, checkpointVersion)
	out = binary.LittleEndian.AppendUint32(out, 0)
	count := uint32(0)
	for _, p := range all {
		epoch, known := p.before(end)
		if len(known) == 0 {
			continue
		}
		count++
		out = binary.LittleEndian.AppendUint64(out, uint64(p.id))
		out = binary.LittleEndian.AppendUint16(out, uint16(epoch))
		out = binary.LittleEndian.AppendUint64(out, uint64(p.seen))
		out = append(out, byte(len(known)))
		for _, b := range known {
			out = binary.LittleEndian.AppendUint32(out, uint32(b.first))
			out = binary.LittleEndian.AppendUint32(out, uint32(b.last))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.base))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.lastOffset))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.timestamp))
		}
	}
	binary.LittleEndian.PutUint32(out[2:], count)
	return out
}

// load puts what checkpoint wrote into the empty table. Of more producers than
// it holds, which earlier releases wrote, those stay that wrote last.
func (t *producers) load(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) < checkpointHeaderBytes {
		return fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(b))
	}
	if v := binary.LittleEndian.Uint16(b); v != checkpointVersion {
		return fmt.Errorf("%w: version %d, this release reads %d", ErrCheckpoint, v, checkpointVersion)
	}
	count := int(binary.LittleEndian.Uint32(b[2:]))
	b = b[checkpointHeaderBytes:]
	if count > len(b)/(checkpointProducerBytes+checkpointBatchBytes) {
		return fmt.Errorf("%w: %d producers in %d bytes", ErrCheckpoint, count, len(b))
	}
	all := make([]producer, count)
	for i := range all {
		var err error
		if b, err = all[i].load(b); err != nil {
			return err
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: %d bytes left over", ErrCheckpoint, len(b))
	}
	slices.SortFunc(all, func(a, b producer) int { return cmp.Compare(a.last().lastOffset, b.last().lastOffset) })
	for _, p := range all[max(0, count-t.max):] {
		for _, b := range p.batches {
			t.put(p.id, p.epoch, b, p.seen)
		}
	}
	return nil
}

// load reads one producer and returns what is behind it.
func (p *producer) load(b []byte) (rest []byte, err error) {
	if len(b) < checkpointProducerBytes {
		return nil, fmt.Errorf("%w: cut short", ErrCheckpoint)
	}
	p.id = int64(binary.LittleEndian.Uint64(b))
	p.epoch = int16(binary.LittleEndian.Uint16(b[8:]))
	p.seen = int64(binary.LittleEndian.Uint64(b[10:]))
	n := int(b[18])
	b = b[checkpointProducerBytes:]
	if n == 0 || n > windowBatches || len(b) < n*checkpointBatchBytes {
		return nil, fmt.Errorf("%w: producer %d has %d batches in %d bytes", ErrCheckpoint, p.id, n, len(b))
	}
	for range n {
		p.batches = append(p.batches, producedBatch{
			first:      int32(binary.LittleEndian.Uint32(b)),
			last:       int32(binary.LittleEndian.Uint32(b[4:])),
			base:       int64(binary.LittleEndian.Uint64(b[8:])),
			lastOffset: int64(binary.LittleEndian.Uint64(b[16:])),
			timestamp:  int64(binary.LittleEndian.Uint64(b[24:])),
		})
		b = b[checkpointBatchBytes:]
	}
	return b, nil
}
