package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
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

// producer is what a partition remembers of one producer id.
type producer struct {
	epoch  int16
	n      int                          // batches in use
	window [windowBatches]producedBatch // oldest first
	seen   int64                        // ms, when it last wrote

	// The batch that left the window last, and its epoch: when all of the
	// window still waits for the log, a checkpoint has this one.
	gone      producedBatch
	goneEpoch int16
	hasGone   bool
}

func (p *producer) last() (producedBatch, bool) {
	if p.n == 0 {
		return producedBatch{}, false
	}
	return p.window[p.n-1], true
}

// add appends b to the window of the given epoch; a new epoch clears it (P26).
func (p *producer) add(epoch int16, b producedBatch) {
	switch {
	case epoch != p.epoch:
		if p.n > 0 {
			p.gone, p.goneEpoch, p.hasGone = p.window[p.n-1], p.epoch, true
		}
		p.epoch, p.n = epoch, 0
	case p.n == windowBatches:
		p.gone, p.goneEpoch, p.hasGone = p.window[0], p.epoch, true
		copy(p.window[:], p.window[1:])
		p.n--
	}
	p.window[p.n] = b
	p.n++
	p.seen = max(p.seen, b.timestamp)
}

// Sequence errors. They carry no state: the caller names the producer.
var (
	// ErrOutOfOrderSequence says that a batch does not follow the producer's
	// last one (P23, P24, P31).
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch says that a newer producer has taken over (P22).
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the partition's")
)

// producers is the sequence table of one partition.
type producers map[int64]*producer

// check decides about a batch with sequences (rules P20..P31): a duplicate
// returns the batch it repeats, ok says whether it may be appended.
func (t producers) check(id int64, epoch int16, first, last int32) (dup producedBatch, isDup bool, err error) {
	p := t[id]
	if p == nil {
		return producedBatch{}, false, nil // P23: no state, any sequence
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
	for i := range p.n {
		if b := p.window[i]; b.first == first && b.last == last {
			return b, true, nil
		}
	}
	if b, ok := p.last(); ok && first != nextSequence(b.last) {
		return producedBatch{}, false, fmt.Errorf("%w: producer %d epoch %d: got %d, expected %d",
			ErrOutOfOrderSequence, id, epoch, first, nextSequence(b.last))
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
func (t producers) observe(h batch.View, base, now int64) {
	id := h.ProducerID()
	if id < 0 || h.Attributes().Control() {
		return // P30; a marker does not move the window
	}
	p := t[id]
	if p == nil {
		p = &producer{epoch: h.ProducerEpoch()}
		t[id] = p
	}
	first := h.BaseSequence()
	p.add(h.ProducerEpoch(), producedBatch{
		first: first, last: h.LastSequence(),
		base: base, lastOffset: base + int64(h.LastOffsetDelta()), timestamp: h.MaxTimestamp(),
	})
	p.seen = max(p.seen, now)
}

// expire forgets producers that last wrote before the time given (P27).
func (t producers) expire(before int64) {
	for id, p := range t {
		if p.seen < before {
			delete(t, id)
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
	n := 0
	for n < p.n && p.window[n].lastOffset < end {
		n++
	}
	if n == 0 && p.hasGone && p.gone.lastOffset < end {
		return p.goneEpoch, []producedBatch{p.gone}
	}
	return p.epoch, p.window[:n]
}

// checkpoint is the table as of the offset end: batches at or after it are
// left out, and found again by reading the log from end on. Batches that
// later ones have pushed out of a window are pushed out again by that replay.
func (t producers) checkpoint(end int64) []byte {
	ids := make([]int64, 0, len(t))
	for id := range t {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out := binary.LittleEndian.AppendUint16(nil, checkpointVersion)
	out = binary.LittleEndian.AppendUint32(out, 0)
	count := uint32(0)
	for _, id := range ids {
		p := t[id]
		epoch, known := p.before(end)
		if len(known) == 0 {
			continue
		}
		count++
		out = binary.LittleEndian.AppendUint64(out, uint64(id))
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

// loadProducers reads what checkpoint wrote.
func loadProducers(b []byte) (producers, error) {
	if len(b) == 0 {
		return producers{}, nil
	}
	if len(b) < checkpointHeaderBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(b))
	}
	if v := binary.LittleEndian.Uint16(b); v != checkpointVersion {
		return nil, fmt.Errorf("%w: version %d, this release reads %d", ErrCheckpoint, v, checkpointVersion)
	}
	count := int(binary.LittleEndian.Uint32(b[2:]))
	b = b[checkpointHeaderBytes:]
	if count > len(b)/checkpointProducerBytes {
		return nil, fmt.Errorf("%w: %d producers in %d bytes", ErrCheckpoint, count, len(b))
	}
	t := make(producers, count)
	for range count {
		if len(b) < checkpointProducerBytes {
			return nil, fmt.Errorf("%w: cut short", ErrCheckpoint)
		}
		p := &producer{
			epoch: int16(binary.LittleEndian.Uint16(b[8:])),
			seen:  int64(binary.LittleEndian.Uint64(b[10:])),
			n:     int(b[18]),
		}
		id := int64(binary.LittleEndian.Uint64(b))
		b = b[checkpointProducerBytes:]
		if p.n == 0 || p.n > windowBatches || len(b) < p.n*checkpointBatchBytes {
			return nil, fmt.Errorf("%w: producer %d has %d batches in %d bytes", ErrCheckpoint, id, p.n, len(b))
		}
		for i := range p.n {
			p.window[i] = producedBatch{
				first:      int32(binary.LittleEndian.Uint32(b)),
				last:       int32(binary.LittleEndian.Uint32(b[4:])),
				base:       int64(binary.LittleEndian.Uint64(b[8:])),
				lastOffset: int64(binary.LittleEndian.Uint64(b[16:])),
				timestamp:  int64(binary.LittleEndian.Uint64(b[24:])),
			}
			b = b[checkpointBatchBytes:]
		}
		t[id] = p
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes left over", ErrCheckpoint, len(b))
	}
	return t, nil
}
