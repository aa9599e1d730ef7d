package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
)

// Stamp is what a record says about itself: who sent it, and its number among that producer's in its partition.
type Stamp struct {
	Producer uint32
	Seq      uint64
}

const stampBytes = 4 + 8 + 4

// Seal makes a record's value: stamp, CRC-32 over everything else, filler.
func Seal(s Stamp, rng *rand.Rand, fill int) []byte {
	v := make([]byte, stampBytes+fill)
	binary.BigEndian.PutUint32(v, s.Producer)
	binary.BigEndian.PutUint64(v[4:], s.Seq)
	for i := stampBytes; i < len(v); i++ {
		v[i] = byte(rng.Uint32() & 0x3f)
	}
	binary.BigEndian.PutUint32(v[12:], checksum(v))
	return v
}

func checksum(v []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(v[:12]), crc32.IEEETable, v[stampBytes:])
}

func Unseal(v []byte) (Stamp, error) {
	if len(v) < stampBytes {
		return Stamp{}, fmt.Errorf("a value of %d bytes is not ours", len(v))
	}
	if got, want := checksum(v), binary.BigEndian.Uint32(v[12:]); got != want {
		return Stamp{}, fmt.Errorf("checksum %08x, the record says %08x", got, want)
	}
	return Stamp{binary.BigEndian.Uint32(v), binary.BigEndian.Uint64(v[4:])}, nil
}

// ledger keeps every acknowledgement: per partition, the record at each offset.
type ledger struct {
	mu         sync.Mutex
	acked      [][]promise // by partition, indexed by offset
	count      int
	idempotent map[uint32]bool
	refused    []error // acknowledgements that contradict each other
}

type promise struct {
	Stamp
	made bool
}

func newLedger(partitions int) *ledger {
	return &ledger{acked: make([][]promise, partitions), idempotent: map[uint32]bool{}}
}

func (l *ledger) enrol(producer uint32, idempotent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idempotent[producer] = idempotent
}

// acknowledge notes that the broker promised s at an offset.
func (l *ledger) acknowledge(partition int32, offset int64, s Stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	a := &l.acked[partition]
	for int64(len(*a)) <= offset {
		*a = append(*a, promise{})
	}
	if p := (*a)[offset]; p.made && p.Stamp != s {
		l.refused = append(l.refused, fmt.Errorf("partition %d offset %d was acknowledged for %+v and for %+v", partition, offset, p.Stamp, s))
	}
	(*a)[offset] = promise{s, true}
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// audit reads a partition's log in order and compares it with the ledger.
type audit struct {
	ledger     *ledger
	partition  int32
	next       int64             // next offset
	late       bool              // the log may begin in the middle of what producers sent
	seqs       map[uint32]uint64 // next sequence number of each producer
	duplicates int               // of producers that are not idempotent
}

func newAudit(l *ledger, partition int32) *audit {
	return &audit{ledger: l, partition: partition, seqs: map[uint32]uint64{}}
}

// record takes the record at an offset. Offsets are dense (nothing is compacted, and what raft writes takes none), the
// numbers of each producer come in order without a gap, and only producers that are not idempotent repeat one.
func (a *audit) record(offset int64, value []byte) error {
	if offset != a.next {
		return fmt.Errorf("partition %d: offset %d follows %d", a.partition, offset, a.next-1)
	}
	a.next++
	s, err := Unseal(value)
	if err != nil {
		return fmt.Errorf("partition %d offset %d: %w", a.partition, offset, err)
	}
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	idempotent, known := a.ledger.idempotent[s.Producer]
	want, met := a.seqs[s.Producer]
	if !met && a.late {
		want = s.Seq
		a.seqs[s.Producer] = want
	}
	switch {
	case !known:
		return fmt.Errorf("partition %d offset %d: nobody is producer %d", a.partition, offset, s.Producer)
	case s.Seq == want:
		a.seqs[s.Producer]++
	case s.Seq > want:
		return fmt.Errorf("partition %d offset %d: producer %d (idempotent: %v) has number %d, %d is missing", a.partition, offset, s.Producer, idempotent, s.Seq, want)
	case idempotent:
		return fmt.Errorf("partition %d offset %d: number %d of idempotent producer %d is there twice", a.partition, offset, s.Seq, s.Producer)
	default:
		a.duplicates++
	}
	if acked := a.ledger.acked[a.partition]; offset < int64(len(acked)) && acked[offset].made && acked[offset].Stamp != s {
		return fmt.Errorf("partition %d offset %d holds %+v, acknowledged was %+v", a.partition, offset, s, acked[offset].Stamp)
	}
	return nil
}

// whole reports acknowledgements at or past the end of what was read.
func (a *audit) whole() error {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	acked := a.ledger.acked[a.partition]
	if n := int64(len(acked)); n > a.next {
		return fmt.Errorf("partition %d ends at offset %d, but offset %d was acknowledged (%+v)", a.partition, a.next, n-1, acked[n-1].Stamp)
	}
	return errors.Join(a.ledger.refused...)
}

// end is the offset behind the last one that was acknowledged.
func (l *ledger) end(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.acked[partition]))
}
