package producers

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"chronik/segment"
)

// The checkpoint, little-endian; the segment that carries it hashes it:
//
//	version u16, producers u32
//	as of offset i64, next index u64, log start i64   (version 2)
//	then for each producer, in order of id, so that equal states have equal bytes:
//	id i64, epoch i16, ms of the last write i64, batches u8, and of each batch
//	first sequence i32, last sequence i32, base offset i64, last offset i64, timestamp i64
//
// Batches below `as of offset` are in it; those behind are found by reading the
// log from `next index` on. A leader's is as of the end of its segment, a
// follower's as of the frames that it had noted before. Version 1 has not these
// three: it is as of the end of its segment.
const (
	checkpointVersion       = 2
	checkpointHeaderBytes   = 2 + 4
	checkpointAsOfBytes     = 8 + 8 + 8
	checkpointProducerBytes = 8 + 2 + 8 + 1
	checkpointBatchBytes    = 4 + 4 + 8 + 8 + 8
)

// AsOf is the part of the log that a checkpoint covers.
type AsOf struct {
	Offset segment.Offset // batches below are in it
	Next   segment.Index  // where to read on
	Start  int64          // log start that the log had been told
}

// ErrCheckpoint says that a checkpoint cannot be read.
var ErrCheckpoint = errors.New("producer checkpoint is malformed")

// before is the producer's epoch and batches below the offset end: those of its
// window, else the one that left it last; none when that is not below either.
func (p *producer) before(end int64) (epoch int16, batches []Batch) {
	w := p.window()
	n := 0
	for n < len(w) && w[n].LastOffset < end {
		n++
	}
	if n == 0 && p.gone && p.batches[0].LastOffset < end {
		return p.goneEpoch, p.batches[:1]
	}
	return p.epoch, w[:n]
}

// Checkpoint is the table as of an offset that is not below the end of
// the log: batches at or after it are left out, and found again by reading the
// log from end on. Batches that later ones have pushed out of a window are
// pushed out again by that replay, and so are producers out of the table.
func (t *Table) Checkpoint(of AsOf) []byte {
	end := int64(of.Offset)
	all := slices.Collect(maps.Values(t.byID))
	for _, e := range t.evicted {
		if e.by >= end {
			all = append(all, e.producer)
		}
	}
	slices.SortFunc(all, func(a, b *producer) int { return cmp.Compare(a.id, b.id) })
	out := binary.LittleEndian.AppendUint16(nil, checkpointVersion)
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint64(out, uint64(of.Offset))
	out = binary.LittleEndian.AppendUint64(out, uint64(of.Next))
	out = binary.LittleEndian.AppendUint64(out, uint64(of.Start))
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
			out = binary.LittleEndian.AppendUint32(out, uint32(b.First))
			out = binary.LittleEndian.AppendUint32(out, uint32(b.Last))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.Base))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.LastOffset))
			out = binary.LittleEndian.AppendUint64(out, uint64(b.Timestamp))
		}
	}
	binary.LittleEndian.PutUint32(out[2:], count)
	return out
}

// Load puts what checkpoint wrote into the empty table, and changes of to what
// it covers, unless it is of version 1. Of more producers than
// the table holds, which earlier releases wrote, those stay that wrote last.
func (t *Table) Load(b []byte, of *AsOf) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) < checkpointHeaderBytes {
		return fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(b))
	}
	v := binary.LittleEndian.Uint16(b)
	if v < 1 || v > checkpointVersion {
		return fmt.Errorf("%w: version %d, this release reads up to %d", ErrCheckpoint, v, checkpointVersion)
	}
	count := int(binary.LittleEndian.Uint32(b[2:]))
	b = b[checkpointHeaderBytes:]
	if v >= 2 {
		if len(b) < checkpointAsOfBytes {
			return fmt.Errorf("%w: cut short", ErrCheckpoint)
		}
		of.Offset = segment.Offset(binary.LittleEndian.Uint64(b))
		of.Next = segment.Index(binary.LittleEndian.Uint64(b[8:]))
		of.Start = int64(binary.LittleEndian.Uint64(b[16:]))
		b = b[checkpointAsOfBytes:]
	}
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
	slices.SortFunc(all, func(a, b producer) int { return cmp.Compare(a.last().LastOffset, b.last().LastOffset) })
	for _, p := range all[max(0, count-t.max):] {
		for _, b := range p.batches {
			t.put(p.id, p.epoch, b, p.seen)
		}
	}
	return nil
}

// Load reads one producer and returns what is behind it.
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
		p.batches = append(p.batches, Batch{
			First:      int32(binary.LittleEndian.Uint32(b)),
			Last:       int32(binary.LittleEndian.Uint32(b[4:])),
			Base:       int64(binary.LittleEndian.Uint64(b[8:])),
			LastOffset: int64(binary.LittleEndian.Uint64(b[16:])),
			Timestamp:  int64(binary.LittleEndian.Uint64(b[24:])),
		})
		b = b[checkpointBatchBytes:]
	}
	return b, nil
}
